//! `windlass doctor` against a stand-in GitHub: what it finds, and what it costs.

use axum::http::Method;
use tempfile::TempDir;
use windlass_core::config::{DockerEndpoint, HostConfig, ServerConfig};
use windlass_core::subnet::Subnet;
use windlass_testing::FakeGitHub;
use windlass_testing::docker::FakeEngine;
use windlass_testing::github::{Failure, FakeRepository};
use windlass_webhook::{Checked, Finding, doctor};

const KEY: &str = include_str!("github/key-of-no-app.pem");

struct World {
    fake: FakeGitHub,
    shop: FakeRepository,
    config: ServerConfig,
    _folder: TempDir,
}

impl World {
    async fn of_an_app() -> Self {
        Self::start("app-id = 1\nprivate-key = { file = \"KEY\" }").await
    }

    async fn of_a_token() -> Self {
        Self::start("token = { file = \"TOKEN\" }").await
    }

    async fn start(identity: &str) -> Self {
        let fake = FakeGitHub::start().await;
        let shop = fake.add_repository("acme/shop");
        fake.set_webhook("http://localhost:8080/webhooks/github", "secret");
        let folder = crate::private_folder();
        let file = |name: &str, content: &str| {
            let path = folder.path().join(name);
            std::fs::File::create(&path)
                .and_then(|mut file| std::io::Write::write_all(&mut file, content.as_bytes()))
                .unwrap();
            path.display().to_string()
        };
        let identity = identity.replace("KEY", &file("key", KEY)).replace("TOKEN", &file("token", fake.token()));
        let text = format!(
            "schema = 1\npublic-url = \"http://localhost:8080\"\ndata = \"{}\"\n[github]\napi-url = \"{}\"\n{identity}\n\
             webhook-secrets = [{{ file = \"{}\" }}]\n[hosts.a]\ndocker = \"unix:///var/run/docker.sock\"\n\
             [projects.\"acme/shop\".stages.production]\nbranch = \"main\"\n",
            folder.path().display(),
            fake.url(),
            file("secret", "secret")
        );
        let mut config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
        // Only GitHub is of interest here.
        config.hosts.clear();
        Self { fake, shop, config, _folder: folder }
    }

    async fn findings(&self) -> Vec<Finding> {
        doctor(&self.config).await
    }

    /// What is not as it should be: its name, and whether the doctor calls that a failure.
    async fn complaints(&self) -> Vec<(String, bool)> {
        let complaint = |finding: Finding| match finding.found {
            Checked::Good(_) => None,
            Checked::Doubtful(why) => Some((format!("{}: {why}", finding.name), false)),
            Checked::Bad(why) => Some((format!("{}: {why}", finding.name), true)),
        };
        self.findings().await.into_iter().filter_map(complaint).collect()
    }

    /// The only complaint.
    async fn complaint(&self) -> (String, bool) {
        let complaints = self.complaints().await;
        let [only] = &complaints[..] else { panic!("{complaints:#?}") };
        only.clone()
    }
}

#[tokio::test]
async fn two_hosts_that_are_one_engine_are_named() {
    let mut world = World::of_an_app().await;
    let first = FakeEngine::start("first", 203).await;
    let second = FakeEngine::start("second", 204).await;
    let host = |socket: &std::path::Path| HostConfig {
        docker: DockerEndpoint::Unix(socket.to_owned()),
        labels: Vec::new(),
        gateway: None,
        networks: Subnet::DEFAULT_POOL,
    };
    let name = |name: &str| name.parse().unwrap();
    world.config.hosts = [(name("a"), host(first.socket())), (name("b"), host(second.socket()))].into();
    assert_eq!(world.complaints().await, []);
    world.config.hosts.insert(name("c"), host(first.socket()));
    let (complaint, is_bad) = world.complaint().await;
    assert!(is_bad && complaint.contains("the hosts a and c of the server's file are one"), "{complaint}");
}

#[tokio::test]
async fn an_app_that_has_everything_is_well() {
    let world = World::of_an_app().await;
    assert_eq!(world.complaints().await, []);
    let names: Vec<String> = world.findings().await.into_iter().map(|finding| finding.name).collect();
    for name in
        ["GitHub App: Deployments", "GitHub App: event push", "webhook", "clock", "stage production of acme/shop"]
    {
        assert!(names.iter().any(|found| found == name), "{name}: {names:?}");
    }
}

#[tokio::test]
async fn what_the_app_may_not_do_is_named_with_what_it_costs() {
    let world = World::of_an_app().await;
    world.fake.take_permission("deployments");
    world.fake.take_permission("pull_requests");
    world.fake.take_event("push");
    world.fake.take_event("status");
    let complaints = world.complaints().await;
    let fatal = |part: &str| {
        let found = complaints.iter().find(|(text, _)| text.contains(part));
        found.unwrap_or_else(|| panic!("{part}: {complaints:#?}")).1
    };
    assert!(fatal("GitHub App: Deployments: it needs write"));
    assert!(fatal("without it GitHub shows no deployment"));
    assert!(!fatal("without it merged pull requests get no comment"));
    assert!(fatal("GitHub App: event push"));
    assert!(!fatal("GitHub App: event status"));
}

#[tokio::test]
async fn a_permission_that_the_installation_has_not_accepted_is_told_from_one_that_was_not_asked_for() {
    let world = World::of_an_app().await;
    world.fake.leave_unaccepted("checks");
    let (text, fatal) = world.complaint().await;
    assert!(fatal && text.starts_with("project acme/shop: Checks: it needs read"), "{text}");
}

#[tokio::test]
async fn rule_070_an_installation_that_is_missing_or_suspended_is_said() {
    let world = World::of_an_app().await;
    world.fake.suspend("acme");
    assert_eq!(
        world.complaint().await,
        ("project acme/shop: the App's installation at acme is suspended".to_owned(), true)
    );
    world.fake.unsuspend("acme");
    world.fake.fail_next(Method::GET, "*/installation", Failure::status(404));
    let (text, fatal) = world.complaint().await;
    assert!(fatal && text.contains("not installed at acme, or not for this repository"), "{text}");
}

#[tokio::test]
async fn a_webhook_that_goes_elsewhere_or_is_not_signed_is_a_failure() {
    let world = World::of_an_app().await;
    world.fake.set_webhook("https://elsewhere.example.com/", "secret");
    assert_eq!(world.complaint().await, ("webhook: it goes to https://elsewhere.example.com/".to_owned(), true));
    world.fake.set_webhook("http://localhost:8080/webhooks/github", "");
    let (text, fatal) = world.complaint().await;
    assert!(fatal && text.contains("no secret"), "{text}");
}

#[tokio::test]
async fn rule_069_a_clock_that_is_off_is_said_before_tokens_are_refused() {
    let world = World::of_an_app().await;
    world.fake.set_clock_back(25);
    assert_eq!(world.complaints().await, []);
    world.fake.set_clock_back(40);
    let (text, fatal) = world.complaint().await;
    assert!(fatal && text.starts_with("clock: this machine's is 4") && text.contains(" s fast"), "{text}");
}

#[tokio::test]
async fn a_branch_that_is_not_there_is_a_failure() {
    let mut world = World::of_an_app().await;
    for project in world.config.projects.values_mut() {
        for policy in project.stages.values_mut() {
            policy.branch = "trunk".to_owned();
        }
    }
    assert_eq!(world.complaint().await, ("stage production of acme/shop: there is no branch trunk".to_owned(), true));
}

#[tokio::test]
async fn each_thing_that_a_token_must_be_allowed_is_tried_without_changing_anything() {
    let world = World::of_a_token().await;
    assert_eq!(world.complaints().await, []);
    assert_eq!(world.shop.deployments(), []);
    for (method, pattern, name, fatal) in [
        (Method::GET, "*/check-runs", "Checks", true),
        (Method::GET, "*/status", "Commit statuses", true),
        (Method::POST, "*/deployments", "Deployments", true),
        (Method::GET, "*/required_status_checks", "Administration", false),
        (Method::GET, "*/actions/runs", "Actions", false),
        (Method::GET, "*/pulls", "Pull requests", false),
    ] {
        world.fake.fail_next(method, pattern, Failure::status(403));
        let (text, found) = world.complaint().await;
        assert!(found == fatal && text.starts_with(&format!("project acme/shop: {name}: ")), "{text}");
    }
}

#[tokio::test]
async fn a_repository_without_our_webhook_is_a_failure_and_one_that_may_not_be_seen_a_warning() {
    let world = World::of_a_token().await;
    world.fake.fail_next(Method::GET, "*/hooks", Failure::status(403));
    let (text, fatal) = world.complaint().await;
    assert!(!fatal && text.contains("may not look at it"), "{text}");
    world.fake.set_webhook("https://elsewhere.example.com/", "secret");
    let (text, fatal) = world.complaint().await;
    assert!(fatal && text.contains("none goes to http://localhost:8080/webhooks/github"), "{text}");
}
