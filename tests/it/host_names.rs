//! Whose a host name is, where several projects may have it.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use windlass_core::api::{DeploymentView, Release, StepView};
use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_core::names::Digest;
use windlass_core::plan::StepKind;
use windlass_testing::github::{CheckState, Conclusion, FakeRepository};

use crate::world::{PATIENCE, World};

const STAGES: &str = r#"
[projects."acme/one"]
limits = { urls = ["*.example.com"] }
[projects."acme/one".stages.production]
deploy-on = []
[projects."acme/two"]
limits = { urls = ["*.example.com"] }
[projects."acme/two".stages.production]
deploy-on = []
[projects."acme/api"]
limits = { urls = ["a.example.com/api"] }
[projects."acme/api".stages.production]
deploy-on = []
"#;

/// A project beside the world's own.
struct Project<'a> {
    world: &'a World,
    name: &'static str,
    repository: &'a FakeRepository,
    image: Digest,
}

impl Project<'_> {
    fn path(&self, below: &str) -> String {
        format!("/projects/{}/stages/production{below}", self.name)
    }

    async fn release(&self, addresses: &str) -> u64 {
        let commit = self.repository.push("main", addresses);
        self.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        let config = format!(
            "schema = 1\n{addresses}\nport = 3000\nwatch = \"500ms\"\n\
             health = {{ path = \"/up\", interval = \"1s\", deadline = \"20s\" }}\n\
             stop = {{ grace = \"5s\", drain = \"5s\" }}\n"
        );
        let body = json!({ "commit": commit, "digest": self.image, "config": config });
        self.world.post::<Release>(&self.path("/apps/default/releases"), &body).await.number.0
    }

    async fn deploy(&self, kind: &str, release: u64) -> DeploymentView {
        let body = json!({ "kind": kind, "releases": { "default": release } });
        let started: DeploymentView = self.world.post(&self.path("/deployments"), &body).await;
        self.world.until_ended(started.id.as_str()).await
    }

    async fn succeeds(&self, release: u64) {
        let ended = self.deploy("deploy", release).await;
        assert_eq!(ended.state, DeploymentState::Succeeded, "{ended:?}");
    }

    /// Before anything runs, and without a word of whose it is.
    async fn is_refused(&self, kind: &str, release: u64, address: &str) {
        let ended = self.deploy(kind, release).await;
        let failure = ended.failure.as_ref().expect("it says why");
        assert_eq!((ended.state, failure.code), (DeploymentState::Refused, FailureCode::PolicyRefused), "{failure}");
        let said = format!("{failure} {}", failure.hint.as_deref().unwrap_or_default());
        for part in [address, "another project", "windlass.toml", "`limits.urls`", "windlass-server.toml"] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains("acme/"), "{said}");
        let step = |it: &StepView| it.step == StepKind::Gate;
        assert!(ended.steps.iter().all(step), "nothing was planned: {ended:?}");
    }
}

/// Without the request's id, which the gateway's own words end with.
async fn answer(world: &World, host: &str, path: &str) -> String {
    let request = reqwest::Client::new().get(format!("http://{}{path}", world.gateway_address)).header("host", host);
    let text = request.send().await.unwrap().text().await.unwrap();
    text.lines().filter(|line| !line.starts_with("Request ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_name_belongs_to_the_project_that_had_it_first_until_nothing_of_it_has_it_any_more() {
    let mut world = World::start_with(STAGES).await;
    let repositories = ["acme/one", "acme/two", "acme/api"].map(|name| world.github.add_repository(name));
    // Whose they are is learnt when it starts.
    world.kill_service().await;
    world.start_service().await;
    let image = |name: &'static str| {
        let world = &world;
        async move { world.build(&[("SAMPLE_VERSION", name)]).await }
    };
    let images = [image("one").await, image("two").await, image("api").await];
    let project =
        |at: usize, name| Project { world: &world, name, repository: &repositories[at], image: images[at].clone() };
    let (one, two, api) = (project(0, "acme/one"), project(1, "acme/two"), project(2, "acme/api"));

    let first = one.release("url = \"http://a.example.com\"").await;
    one.succeeds(first).await;
    let login = two.release("url = \"http://a.example.com/login\"").await;
    two.is_refused("deploy", login, "`url` has a.example.com/login").await;
    let redirect = two.release("url = \"http://b.example.com\"\nredirect = [\"a.example.com\"]").await;
    two.is_refused("deploy", redirect, "`redirect` has a.example.com").await;
    let plan = world.request(Method::POST, &two.path("/plan")).json(&json!({ "releases": { "default": login } }));
    let plan = plan.send().await.unwrap();
    assert_eq!(plan.status(), 422);
    assert!(plan.json::<Value>().await.unwrap().to_string().contains("another project"), "whoever looks is told");
    let before = answer(&world, "a.example.com", "/").await;
    assert_eq!(answer(&world, "a.example.com", "/login").await, answer(&world, "a.example.com", "/nowhere").await);

    let shared = api.release("url = \"http://a.example.com/api\"").await;
    api.succeeds(shared).await;
    let below = one.release("url = [\"http://a.example.com\", \"http://a.example.com/api/v1\"]").await;
    one.is_refused("deploy", below, "`url` has a.example.com/api/v1").await;
    assert_eq!(answer(&world, "a.example.com", "/").await, before);

    let moved = one.release("url = \"http://c.example.com\"").await;
    one.succeeds(moved).await;
    two.succeeds(login).await;
    one.is_refused("rollback", first, "`url` has a.example.com").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_paths_that_a_project_does_not_serve_of_its_name_are_no_other_projects_wildcards() {
    let mut world = World::start_with(STAGES).await;
    let repositories = ["acme/one", "acme/two", "acme/api"].map(|name| world.github.add_repository(name));
    world.kill_service().await;
    world.start_service().await;
    let (one, two, api) =
        (world.build(&[]).await, world.build(&[("SAMPLE_VERSION", "two")]).await, world.build(&[]).await);
    let project = |at: usize, name, image| Project { world: &world, name, repository: &repositories[at], image };
    let one = project(0, "acme/one", one);
    let two = project(1, "acme/two", two);
    let api = project(2, "acme/api", api);

    let part = one.release("url = \"http://b.example.com/api\"").await;
    one.succeeds(part).await;
    let shared = api.release("url = \"http://a.example.com/api\"").await;
    api.succeeds(shared).await;
    let wildcard = two.release("url = \"http://*.example.com\"").await;
    two.succeeds(wildcard).await;

    let of_two = answer(&world, "c.example.com", "/").await;
    assert!(of_two.contains("two"), "{of_two}");
    assert_eq!(answer(&world, "a.example.com", "/").await, of_two, "the file gives away a part of it only");
    assert_ne!(answer(&world, "a.example.com", "/api").await, of_two);
    let nobodys = answer(&world, "b.example.com", "/").await;
    assert_eq!(nobodys, answer(&world, "example.org", "/").await, "as where no address is");
    assert_ne!(answer(&world, "b.example.com", "/api").await, nobodys);

    let other_part = one.release("url = \"http://b.example.com/docs\"").await;
    one.succeeds(other_part).await;
    assert_ne!(answer(&world, "b.example.com", "/docs").await, nobodys, "the name was its own before the wildcard");
    assert_eq!(answer(&world, "b.example.com", "/api").await, nobodys);
    let elsewhere = one.release("").await;
    one.succeeds(elsewhere).await;
    // Its address is taken away with the old tasks, which is after its last word.
    let falls_to_two = async {
        while answer(&world, "b.example.com", "/").await != of_two {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, falls_to_two).await.expect("a name that nobody has any more is the wildcard's");
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_a_host_name_is_is_known_after_a_restart_and_where_it_was_never_written_down() {
    let mut world = World::start_with(STAGES).await;
    let repositories = ["acme/one", "acme/two"].map(|name| world.github.add_repository(name));
    world.kill_service().await;
    world.start_service().await;
    let image = world.build(&[]).await;
    {
        let one = Project { world: &world, name: "acme/one", repository: &repositories[0], image: image.clone() };
        let wildcard = one.release("url = \"http://*.example.com\"").await;
        one.succeeds(wildcard).await;
    }
    for forgets in [false, true] {
        world.kill_service().await;
        if forgets {
            let store = format!("sqlite://{}", world.path("data/windlass.db").display());
            let pool = sqlx::SqlitePool::connect(&store).await.unwrap();
            sqlx::query("DELETE FROM host_claims").execute(&pool).await.unwrap();
            pool.close().await;
        }
        world.start_service().await;
        let two = Project { world: &world, name: "acme/two", repository: &repositories[1], image: image.clone() };
        let taken = two.release("url = \"http://shop2.example.com\"").await;
        two.is_refused("deploy", taken, "`url` has shop2.example.com").await;
    }
}
