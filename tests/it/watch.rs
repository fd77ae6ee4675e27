//! The watch after a switch: people end it, and the old release has its traffic back.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_core::api::DeploymentView;
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

/// A stage that serves release 1, and release 2 of a watch that no test waits for. It deploys when it is asked.
async fn watched(world: &World) -> String {
    let image = world.build(&[]).await;
    world.release("first", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    let config = world.config().replace("500ms", "10h");
    world.release("second", &image, &config).await.commit.to_string()
}

async fn begin(world: &World, kind: &str, releases: Value) -> DeploymentView {
    world.post(&format!("{}/deployments", stage_path()), &json!({ "kind": kind, "releases": releases })).await
}

async fn is_back(world: &World, of: &DeploymentView, commit: &str) {
    let ended = world.until_ended(of.id.as_str()).await;
    assert_eq!(ended.state, DeploymentState::Cancelled);
    assert_eq!(ended.failure.unwrap().summary, "tester cancelled it");
    assert!(world.answer().await.starts_with("release 1 "));
    world.repository.until_status(commit, "error", PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_cancels_in_the_watch_has_the_old_release_back() {
    let world = World::start().await;
    let commit = watched(&world).await;
    let started = begin(&world, "deploy", json!({ "default": 2 })).await;
    world.until_answer("release 2 ").await;
    let cancelled = world.windlass(&["cancel"]).output().await.unwrap();
    assert!(cancelled.status.success(), "{cancelled:?}");
    is_back(&world, &started, &commit).await;
    let running = world.engine.observe().await.unwrap();
    let of: Vec<u64> = running.iter().map(|task| task.labels.release.0).collect();
    assert_eq!(of, [1], "what came is gone");
    let stage = world.stage().await;
    assert_eq!(stage.apps.values().next().unwrap().active.unwrap().0, 1);
    assert!(stage.hold.is_none(), "a cancellation is no rollback");
    // It is over, and nobody can cancel it twice.
    let path = format!("/deployments/{}/cancel", started.id);
    assert_eq!(world.request(Method::POST, &path).send().await.unwrap().status(), 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_in_the_watch_ends_it_and_leaves_its_hold() {
    let world = World::start().await;
    let commit = watched(&world).await;
    let started = begin(&world, "deploy", json!({ "default": 2 })).await;
    world.until_answer("release 2 ").await;
    let rollback = world.deploy("rollback", None).await;
    assert_eq!(rollback.state, DeploymentState::Succeeded);
    is_back(&world, &started, &commit).await;
    assert_eq!(world.stage().await.hold.unwrap().deployment, rollback.id);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_in_the_watch_has_its_turn_before_a_merge_that_waits() {
    let world = World::start().await;
    watched(&world).await;
    let merged = world.merge("third");
    world.repository.add_check_run(&merged, "test", CheckState::InProgress);
    world.register(&merged, &world.build(&[]).await, &world.config()).await;
    crate::order::until(&world, &merged, |it| it.reason.as_deref() == Some("gate")).await;
    begin(&world, "deploy", json!({ "default": 2 })).await;
    world.until_answer("release 2 ").await;
    world.repository.add_check_run(&merged, "test", CheckState::Completed(Conclusion::Success));
    let rollback = world.deploy("rollback", None).await;
    assert_eq!(rollback.state, DeploymentState::Succeeded);
    crate::order::until(&world, &merged, |it| it.reason.as_deref() == Some("hold")).await;
    assert!(world.answer().await.starts_with("release 1 "), "what was merged meanwhile may be the same mistake");
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_a_job_that_ends_nor_a_rollback_that_waits_for_a_lock_ends_a_watch() {
    let world = World::start().await;
    let commit = watched(&world).await;
    let job = Job::start(&world, NewJob::dispatched(&commit)).await;
    let asked = job.post(&format!("{}/deployments", stage_path()), &json!({ "releases": { "default": 2 } })).await;
    let id = asked.body["id"].as_str().unwrap().to_owned();
    world.until_answer("release 2 ").await;
    let path = format!("/deployments/{id}/cancel");
    let late = job.post(&path, &json!({})).await;
    assert_eq!((late.status, &late.body["code"]), (409, &json!("too_late")), "{late:?}");
    assert!(late.body["hint"].as_str().unwrap().contains("windlass rollback"), "{late:?}");

    // A job with a person's token says that nobody has asked for the old release.
    let unasked = world.request(Method::POST, &format!("{path}?back=false")).send().await.unwrap();
    assert_eq!(unasked.status(), 409);

    let lock = world.request(Method::PUT, &format!("{}/lock", stage_path())).json(&json!({ "reason": "a freeze" }));
    assert_eq!(lock.send().await.unwrap().status(), 200);
    let rollback = begin(&world, "rollback", json!({})).await;
    let watched: DeploymentView = world.get(&format!("/deployments/{id}")).await;
    assert_eq!(watched.state, DeploymentState::Running);
    let journal = reqwest::get(format!("http://{}/deployments/{id}/log", world.service_address)).await.unwrap();
    let journal = journal.text().await.unwrap();
    assert!(!journal.contains("asked to cancel"), "{journal}");
    assert!(world.answer().await.starts_with("release 2 "));

    // The lock keeps deployments from beginning; who has the way back in hand is not kept from it.
    for id in [rollback.id.as_str(), &id] {
        let _: DeploymentView = world.post(&format!("/deployments/{id}/cancel"), &json!({})).await;
        assert_eq!(world.until_ended(id).await.state, DeploymentState::Cancelled);
    }
    assert!(world.answer().await.starts_with("release 1 "));
}
