//! Deployments of several apps whose releases were built from different commits: each of them counts.

use serde_json::{Value, json};
use windlass_core::api::DeploymentView;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::Digest;
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::operate::{done, run};
use crate::order::{GREEN, until};
use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

/// Two apps that run nothing.
const TWO: &str =
    "schema = 1\nwatch = \"1ms\"\n[apps.api]\nport = 3000\nscale = 0\n[apps.web]\nport = 3000\nscale = 0\n";
const RED: CheckState = CheckState::Completed(Conclusion::Failure);

async fn world() -> (World, Digest) {
    let world = World::start().await;
    let image = world.build(&[]).await;
    (world, image)
}

/// A commit on main whose test stands so.
fn commit(world: &World, title: &str, state: CheckState) -> (String, u64) {
    let commit = world.repository.push("main", title);
    let suite = world.repository.add_check_suite(&commit, "some-ci");
    let check = world.repository.add_check_run_in(suite, "test", state);
    (commit, check)
}

async fn register(world: &World, image: &Digest, app: &str, commit: &str) -> u64 {
    let body = json!({ "commit": commit, "digest": image, "config": TWO });
    let release: Value = world.post(&format!("{}/apps/{app}/releases", stage_path()), &body).await;
    release["number"].as_u64().unwrap()
}

async fn deploy(world: &World, releases: Value) -> DeploymentView {
    let path = format!("{}/deployments", stage_path());
    let asked: DeploymentView = world.post(&path, &json!({ "releases": releases })).await;
    world.until_ended(asked.id.as_str()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_101_a_deployment_is_refused_for_the_red_commit_of_whichever_app() {
    for (red, newest) in [("api", "api"), ("api", "web"), ("web", "api"), ("web", "web")] {
        let (world, image) = world().await;
        let mut commits = std::collections::BTreeMap::new();
        let older = if newest == "api" { "web" } else { "api" };
        for app in [older, newest] {
            let (commit, _) = commit(&world, app, if app == red { RED } else { GREEN });
            register(&world, &image, app, &commit).await;
            commits.insert(app, commit);
        }
        let refused = run(&world, &["deploy"]).await;
        let said = [refused.stdout, refused.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert_eq!(refused.status.code(), Some(3), "{red} {newest}: {said}");
        let short = |app: &str| &commits[app][..7];
        assert!(said.contains(&format!("test of {} failed", short(red))), "{red} {newest}: {said}");

        let deployment = world.deployments().await.remove(0);
        assert_eq!(deployment.state, DeploymentState::Refused);
        assert_eq!(deployment.commit.as_str(), commits[newest], "GitHub is told of the newest");
        assert_eq!(json!(deployment.commits), json!(commits));
        let told = world.repository.until_status(&commits[newest], "failure", PATIENCE).await.unwrap();
        let names = format!("Deploy api 1, web 1 from api {}, web {}", short("api"), short("web"));
        assert_eq!(told.description.as_deref(), Some(names.as_str()));
        assert_eq!(told.payload["commits"], json!(commits));
        let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
        assert!(page.contains(&commits["api"]) && page.contains(&commits["web"]), "{page}");
        let why = done(&world, &["status", "--why"]).await;
        assert!(why.contains(&format!("api {}, web {}", short("api"), short("web"))), "{why}");
        assert!(world.stage().await.apps.values().all(|app| app.active.is_none()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_101_a_deployment_waits_for_the_checks_of_all_its_commits() {
    let (world, image) = world().await;
    let (first, check) = commit(&world, "first", CheckState::InProgress);
    let (second, _) = commit(&world, "second", GREEN);
    register(&world, &image, "api", &first).await;
    register(&world, &image, "web", &second).await;
    let asked = done(&world, &["deploy", "--detach", "--json"]).await;
    let id = crate::operate::json(&asked)["id"].as_str().unwrap().to_owned();
    let waiting = until(&world, &second, |it| it.reason.as_deref() == Some("gate")).await;
    assert_eq!(waiting.why.as_deref(), Some(format!("waiting for some-ci of {0}, test of {0}", &first[..7]).as_str()));
    let why = done(&world, &["status", "--why"]).await;
    for said in [format!("test of {}", &first[..7]), format!("test of {}", &second[..7]), "is in progress".to_owned()] {
        assert!(why.contains(&said), "{said}: {why}");
    }
    assert!(why.contains(&format!("from api {}, web {}", &first[..7], &second[..7])), "{why}");
    // GitHub tells of a check of the commit that is not the newest.
    world.repository.complete_check_run(check, Conclusion::Success);
    assert_eq!(world.until_ended(&id).await.state, DeploymentState::Succeeded);
    let stage = world.stage().await;
    let active = |app: &str| stage.apps[&app.parse().unwrap()].active_commit.as_ref().map(ToString::to_string);
    assert_eq!([active("api"), active("web")], [Some(first), Some(second)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_101_the_order_of_each_app_is_kept_whatever_is_newest() {
    let (world, image) = world().await;
    let mut commits = Vec::new();
    for title in ["first", "second", "third"] {
        let (commit, _) = commit(&world, title, GREEN);
        for app in ["api", "web"] {
            register(&world, &image, app, &commit).await;
        }
        commits.push(commit);
    }
    // Release N is of the N-th commit.
    assert_eq!(deploy(&world, json!({ "api": 2, "web": 1 })).await.state, DeploymentState::Succeeded);
    let job = Job::start(&world, NewJob::on_push(&commits[2])).await;
    let ask = async |releases: Value| {
        let asked = job.post(&format!("{}/deployments", stage_path()), &json!({ "releases": releases })).await;
        world.until_ended(asked.body["id"].as_str().unwrap_or_else(|| panic!("{asked:?}"))).await
    };
    // The newest of its commits is newer than all that is active, and one app would go back.
    let back = ask(json!({ "api": 1, "web": 3 })).await;
    assert_eq!((back.state, back.reason.as_deref()), (DeploymentState::Superseded, Some("not_newer")), "{back:?}");
    let why =
        format!("{} of api is not newer than {}, which is active as release 2", &commits[0][..7], &commits[1][..7]);
    assert_eq!(back.why.as_deref(), Some(why.as_str()));
    // One app stays and the other goes on: that is newer, and the job that waits does not hold its own deployment.
    let on = ask(json!({ "api": 2, "web": 3 })).await;
    assert_eq!(on.state, DeploymentState::Succeeded, "{on:?}");
    let nothing = ask(json!({ "api": 2, "web": 2 })).await;
    assert_eq!(
        (nothing.state, nothing.reason.as_deref()),
        (DeploymentState::Superseded, Some("not_newer")),
        "{nothing:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_101_a_job_that_waits_holds_none_of_its_commits() {
    let (world, image) = world().await;
    let older = world.repository.push("main", "older");
    let job = Job::start(&world, NewJob::on_push(&older)).await;
    world.repository.add_check_run_in(job.job.suite(), "test", GREEN);
    let (newer, _) = commit(&world, "newer", GREEN);
    register(&world, &image, "api", &older).await;
    register(&world, &image, "web", &newer).await;
    let asked =
        job.post(&format!("{}/deployments", stage_path()), &json!({ "releases": { "api": 1, "web": 1 } })).await;
    let ended = world.until_ended(asked.body["id"].as_str().unwrap_or_else(|| panic!("{asked:?}"))).await;
    assert_eq!((ended.state, ended.commit.as_str()), (DeploymentState::Succeeded, newer.as_str()), "{ended:?}");
}
