//! New tasks that do not live: at their boot, never healthy, or dead or sick while they are watched. The old ones serve on.

use std::process::Output;

use windlass_core::api::StepState;
use windlass_core::deployment::{DeploymentState, Failure, FailureCode};
use windlass_core::labels::Kind;
use windlass_core::task::ObservedTask;
use windlass_testing::github::DeploymentRecord;

use crate::container_events::ContainerEvents;
use crate::operate::run;
use crate::world::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn rule_091a_a_task_that_exits_at_boot_fails_the_deployment_in_that_moment_with_its_last_words() {
    let world = World::start().await;
    let before = first_release_serves(&world).await;
    let events = ContainerEvents::of(&world);
    // It does not listen before it ends, and only its end can end the wait before the test's own patience does.
    let bad = [("SAMPLE_START_DELAY_MS", "600000"), ("SAMPLE_EXIT_AFTER_MS", "500"), ("SAMPLE_EXIT_CODE", "7")];
    let image = world.build(&bad).await;
    let commit = world.release("bad", &image, &world.config().replace("\"20s\"", "\"10m\"")).await.commit;

    let command = run(&world, &["deploy", "--release", "2"]).await;
    let failure = everybody_is_told(&world, commit.as_str(), &command, "exiting with 7").await;
    assert_eq!(failure.code, FailureCode::TaskExited);
    assert!(failure.summary.contains("exit status 7"), "{failure}");
    only_the_first_is_left(&world, &events, &before).await;

    let exited = events.until(|event| event.is("die", Kind::Service, 2)).await;
    let deployment = world.deployments().await.remove(0);
    let failed = deployment.steps.iter().find(|step| step.state == StepState::Failed).unwrap();
    let after = failed.ended_at.unwrap().duration_since(exited.at);
    println!("{} failed {after:#} after the exit (not asserted)", failed.step);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_091_a_task_that_never_becomes_healthy_is_removed_and_the_old_one_was_never_stopped() {
    let world = World::start().await;
    let before = first_release_serves(&world).await;
    let events = ContainerEvents::of(&world);
    let image = world.build(&[("SAMPLE_NEVER_HEALTHY", "1")]).await;
    let commit = world.release("bad", &image, &world.config().replace("\"20s\"", "\"2s\"")).await.commit;

    let command = run(&world, &["deploy", "--release", "2"]).await;
    let failure = everybody_is_told(&world, commit.as_str(), &command, "cannot reach the database").await;
    assert_eq!(failure.code, FailureCode::Unhealthy);
    assert!(failure.summary.contains("503"), "{failure}");
    only_the_first_is_left(&world, &events, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_092_a_task_that_dies_while_it_is_watched_brings_the_old_release_back() {
    let world = World::start().await;
    let before = first_release_serves(&world).await;
    let events = ContainerEvents::of(&world);
    let image = world.build(&[("SAMPLE_VERSION", "2")]).await;
    let commit = world.release("bad", &image, &world.config().replace("\"500ms\"", "\"10m\"")).await.commit;

    let dies = async {
        world.until_answer("release 2 ").await;
        // It may be gone before it has answered.
        let _ = world.app("/exit?code=3").send().await;
    };
    let (command, ()) = tokio::join!(run(&world, &["deploy", "--release", "2"]), dies);
    let failure = everybody_is_told(&world, commit.as_str(), &command, "exiting with 3").await;
    assert_eq!(failure.code, FailureCode::TaskExited);
    assert!(failure.summary.contains("exit status 3"), "{failure}");
    only_the_first_is_left(&world, &events, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_092a_a_task_that_sickens_while_it_is_watched_brings_the_old_release_back() {
    let world = World::start().await;
    let before = first_release_serves(&world).await;
    let events = ContainerEvents::of(&world);
    let image = world.build(&[("SAMPLE_VERSION", "2")]).await;
    let commit = world.release("bad", &image, &world.config().replace("\"500ms\"", "\"10m\"")).await.commit;

    let sickens = async {
        world.until_answer("release 2 ").await;
        let answer = world.app("/sicken").send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "sick\n");
    };
    let (command, ()) = tokio::join!(run(&world, &["deploy", "--release", "2"]), sickens);
    let failure = everybody_is_told(&world, commit.as_str(), &command, "lost the database").await;
    assert_eq!(failure.code, FailureCode::Unhealthy);
    assert!(failure.summary.contains("GET /up answered 503"), "{failure}");
    only_the_first_is_left(&world, &events, &before).await;
}

async fn first_release_serves(world: &World) -> Vec<ObservedTask> {
    let image = world.build(&[]).await;
    world.release("good", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    world.engine.observe().await.unwrap()
}

/// GitHub, the page, the API and whoever typed the command: each hears why, and what the app said last.
async fn everybody_is_told(world: &World, commit: &str, command: &Output, last_words: &str) -> Failure {
    let deployment = world.deployments().await.remove(0);
    assert_eq!(deployment.state, DeploymentState::Failed);
    let failure = deployment.failure.unwrap();
    assert!(failure.log.iter().any(|line| line.contains(last_words)), "{failure:?}");

    assert_eq!(command.status.code(), Some(1), "{command:?}");
    let printed = String::from_utf8_lossy(&command.stderr);
    assert!(printed.contains(&failure.summary) && printed.contains(last_words), "{printed}");

    let failed = |it: &DeploymentRecord| it.sha == commit && it.state() == Some("failure");
    let told = world.repository.until_deployment(failed, PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "in_progress", "failure"]);
    let status = told.statuses.last().unwrap();
    // GitHub takes 140 characters: the beginning of the reason, and a link to all of it.
    let beginning: String = failure.summary.chars().take(80).collect();
    assert!(status.description.contains(&beginning), "{} has no {beginning}", status.description);
    let page = reqwest::get(&status.log_url).await.unwrap().text().await.unwrap();
    assert!(page.contains(last_words), "{page}");
    failure
}

/// Whole and untouched.
async fn only_the_first_is_left(world: &World, events: &ContainerEvents, before: &[ObservedTask]) {
    assert!(world.answer().await.starts_with("release 1 "));
    assert_eq!(world.engine.observe().await.unwrap(), before);
    assert_eq!(world.stage().await.apps.values().next().unwrap().active.unwrap().0, 1);
    events.until(|event| event.is("destroy", Kind::Service, 2)).await;
    assert_eq!(events.count(|event| event.is_of(1) && event.action != "create" && event.action != "start"), 0);
}
