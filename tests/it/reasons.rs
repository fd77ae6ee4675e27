//! Why something is not deployed: what is told is true, and says what to do.

use serde_json::{Value, json};
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::operate::{done, run};
use crate::order::{GREEN, register_light, until};
use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

const NEW_RUN: &str = "when the check is green after a new run";

async fn until_wanted(world: &World, commit: &str) {
    let wanted = async {
        while world.stage().await.wanted.is_none_or(|wanted| wanted.commit.as_str() != commit) {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, wanted).await.expect("the merge is heard of");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_099_a_wanted_commit_without_a_release_is_told_with_what_it_lacks() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("wanted");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    until_wanted(&world, &commit).await;
    let short = &commit[..7];
    let none = format!("no release of {short} is registered, and no job has signed in to build one");
    let status = done(&world, &["status"]).await;
    assert!(status.contains(&none) && status.contains(&format!("wanted: {short} (")), "{status}");
    let why = done(&world, &["status", "--why"]).await;
    assert!(why.contains("gate waiting for release") && why.contains(&none), "{why}");
    let gate: Value = world.get(&format!("{}/gate?commit={commit}", stage_path())).await;
    assert_eq!(gate["verdict"], "waiting", "{gate}");
    assert!(gate["items"].as_array().unwrap().iter().any(|item| item["name"] == "test" && item["state"] == "green"));

    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    let building = format!("no release of {short} is registered; a job has signed in for it");
    let status = done(&world, &["status"]).await;
    assert!(status.contains(&building) && status.contains("started by octavia"), "{status}");

    // Of two apps one is there.
    let two = "schema = 1\nwatch = \"1ms\"\n[apps.api]\nport = 3000\nscale = 0\n[apps.web]\nport = 3000\nscale = 0\n";
    let register = async |app: &str| {
        let body = json!({ "commit": commit, "digest": light, "config": two });
        let answer = job.post(&format!("{}/apps/{app}/releases", stage_path()), &body).await;
        assert_eq!(answer.status, 201, "{answer:?}");
    };
    register("api").await;
    let status = done(&world, &["status"]).await;
    assert!(status.contains(&format!("no release of {short} is registered for web; a job has signed in")), "{status}");
    register("web").await;
    job.job.finish(Conclusion::Success);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let status = done(&world, &["status", "--why"]).await;
    assert!(!status.contains("no release"), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_github_does_not_have_is_told_as_that() {
    let world = World::start_with("gate-timeout = \"3s\"").await;
    let light = world.build(&[]).await;
    let commit = "a030e72".repeat(6)[..40].to_owned();
    let release = register_light(&world, &light, &stage_path(), &commit).await;
    let path = format!("{}/deployments", stage_path());
    let _: Value = world.post(&path, &json!({ "releases": { "default": release } })).await;
    let said = "commit a030e72 is not on GitHub: was it pushed?";
    let waiting = until(&world, &commit, |it| it.reason.as_deref() == Some("gate")).await;
    assert_eq!(waiting.why, Some(format!("unavailable: {said}")));
    let why = done(&world, &["status", "--why"]).await;
    assert!(why.contains(said) && !why.contains("GET /repos"), "{why}");
    let ended = until(&world, &commit, |it| it.state == DeploymentState::Cancelled).await;
    assert_eq!(ended.why, Some(format!("the gate did not open within 3s: {said}")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_says_what_lets_it_pass() {
    let world = World::start_with(
        "no-ci = { wait = \"1s\" }\n\
         [projects.\"acme/shop\".stages.staging]\nchecks = \"all\"\nignore-checks = [\"lint\"]\nno-ci = { wait = \"1s\" }",
    )
    .await;
    let light = world.build(&[]).await;
    let hint = |view: &windlass_core::api::DeploymentView| view.failure.clone().unwrap().hint.unwrap();

    let untested = world.merge("untested");
    register_light(&world, &light, &stage_path(), &untested).await;
    let refused = until(&world, &untested, |it| it.state == DeploymentState::Refused).await;
    assert!(hint(&refused).contains("no-ci = { then = \"allow\" }"), "{refused:?}");
    assert!(!hint(&refused).contains(NEW_RUN), "there is no check that could be run again");

    // Reports that do not count are none, and are not said to be missing.
    let staging = stage_path().replace("production", "staging");
    let ignored = world.merge("ignored");
    world.repository.add_check_run_in(world.repository.add_check_suite(&ignored, "some-ci"), "lint", GREEN);
    register_light(&world, &light, &staging, &ignored).await;
    let told = world.repository.until_status(&ignored, "failure", PATIENCE).await.unwrap();
    let description = &told.statuses.last().unwrap().description;
    assert!(description.contains("CI has not reported anything that counts within 1s"), "{description}");

    let red = world.merge("red");
    let suite = world.repository.add_check_suite(&red, "some-ci");
    world.repository.add_check_run_in(suite, "CI", CheckState::Completed(Conclusion::Failure));
    register_light(&world, &light, &stage_path(), &red).await;
    let merged = until(&world, &red, |it| it.state == DeploymentState::Refused).await;
    assert_eq!(hint(&merged), format!("{NEW_RUN}, the commit is deployed by itself"));
    // What a person asked for does not come back by itself, nor does what the branch does not want any more.
    let by_hand = run(&world, &["deploy", "--release", "2"]).await;
    let said = String::from_utf8_lossy(&by_hand.stderr).into_owned();
    assert_eq!(by_hand.status.code(), Some(3), "{said}");
    assert!(said.contains(&format!("{NEW_RUN}, deploy it again: `windlass deploy`")), "{said}");
}
