//! What the gate waits for, for how long, and that it says so everywhere.

use serde_json::json;
use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion, Failure, NewJob};

use crate::order::{GREEN, LIGHT, register_light, until};
use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

fn staging() -> String {
    stage_path().replace("production", "staging")
}

/// A deployment's log, as text.
async fn log_of(world: &World, commit: &str) -> String {
    let deployment = until(world, commit, |_| true).await;
    let path = format!("/deployments/{}/log", deployment.id);
    world.request(reqwest::Method::GET, &path).send().await.unwrap().text().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_035_the_policy_for_commits_without_ci_is_followed_and_told() {
    let world = World::start_with(
        "no-ci = { wait = \"1s\", then = \"allow\" }\n\
         [projects.\"acme/shop\".stages.staging]\nchecks = \"all\"\nno-ci = { wait = \"1s\" }",
    )
    .await;
    let light = world.build(&[]).await;
    let commit = world.merge("untested");
    register_light(&world, &light, &stage_path(), &commit).await;
    register_light(&world, &light, &staging(), &commit).await;
    let of = |environment: &'static str, state: &'static str| {
        let wanted = move |it: &windlass_testing::github::DeploymentRecord| {
            it.environment == environment && it.state() == Some(state)
        };
        world.repository.until_deployment(wanted, PATIENCE)
    };
    let denied = of("staging", "failure").await.unwrap();
    let description = &denied.statuses.last().unwrap().description;
    assert!(description.contains("CI has not reported anything within 1s, and no-ci denies that"), "{description}");
    of("production", "success").await.unwrap();
    let log = log_of(&world, &commit).await;
    assert!(log.contains("waiting for CI: waiting for CI"), "{log}");
    assert!(log.contains("gate: green: CI has not reported anything within 1s, and no-ci allows that"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_without_ci_goes_by_the_checks_of_the_pull_request_that_has_the_same_content() {
    let world = World::start_with("no-ci = { wait = \"1s\" }").await;
    let light = world.build(&[]).await;
    let merge = |title: &str, conclusion: Conclusion| {
        let head = world.repository.push(title, title);
        world.repository.add_check_run(&head, "test", CheckState::Completed(conclusion));
        let number = world.repository.open_pull_request(title);
        (world.repository.squash_pull_request(number), head)
    };
    let (green, head) = merge("tested", Conclusion::Success);
    register_light(&world, &light, &stage_path(), &green).await;
    world.repository.until_status(&green, "success", PATIENCE).await.unwrap();
    let log = log_of(&world, &green).await;
    let by = format!("on {}, the head of pull request #1, which has the same content", &head[..7]);
    assert!(log.contains(&by), "{log}");

    let (red, head) = merge("broken", Conclusion::Failure);
    register_light(&world, &light, &stage_path(), &red).await;
    let told = world.repository.until_status(&red, "failure", PATIENCE).await.unwrap();
    let description = &told.statuses.last().unwrap().description;
    assert!(description.contains("test failed") && description.contains(&head[..7]), "{description}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_044_rules_that_cannot_be_read_are_asked_for_again() {
    unavailable_at_first("*/rules/branches/main", 403).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_050_a_look_that_failed_is_repeated_and_never_green() {
    unavailable_at_first("*/check-runs", 502).await;
}

async fn unavailable_at_first(pattern: &str, status: u16) {
    let world = World::start_with("[projects.\"acme/shop\".stages.staging]\nchecks = \"required\"").await;
    let light = world.build(&[]).await;
    let commit = world.merge("patience");
    world.repository.add_check_run(&commit, "test", GREEN);
    world.github.until_delivered(PATIENCE).await.unwrap();
    world.github.fail_next(reqwest::Method::GET, pattern, Failure::status(status));
    register_light(&world, &light, &staging(), &commit).await;
    let told = world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let path = format!("{}/deployments", staging());
    let deployments: serde_json::Value = world.get(&path).await;
    let id = deployments["items"][0]["id"].as_str().unwrap().to_owned();
    let log = world.request(reqwest::Method::GET, &format!("/deployments/{id}/log")).send().await.unwrap();
    let log = log.text().await.unwrap();
    assert!(log.contains("waiting for CI: unavailable: "), "{told:?}\n{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_046_a_merge_goes_although_the_job_that_built_it_failed_after_it_had_registered() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("half-way");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    job.register(&commit, light.as_str(), json!({ "config": LIGHT })).await;
    until(&world, &commit, |it| it.reason.as_deref() == Some("gate")).await;
    job.job.finish(Conclusion::Failure);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_046_a_second_run_of_the_workflow_makes_good_for_the_first() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("twice");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    // It failed before it had anything to register.
    world.repository.start_job(NewJob::on_push(&commit)).finish(Conclusion::Failure);
    let second = Job::start(&world, NewJob::dispatched(&commit)).await;
    second.register(&commit, light.as_str(), json!({ "config": LIGHT })).await;
    second.job.finish(Conclusion::Success);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_047_windlass_reports_no_checks_and_what_its_statuses_start_does_not_hold_the_next_deployment() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let commit = world.merge("looped");
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", GREEN);
    register_light(&world, &light, &stage_path(), &commit).await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let smoke = world.repository.add_workflow_run(&commit, "smoke", "deployment_status");
    world.repository.add_check_run_in(smoke, "smoke", CheckState::InProgress);

    let job = Job::start(&world, NewJob::on_push(&commit)).await;
    job.register(&commit, light.as_str(), json!({ "config": LIGHT, "rebuild": true })).await;
    let asked = job.post(&format!("{}/deployments", stage_path()), &json!({ "releases": { "default": 2 } })).await;
    let ended = world.until_ended(asked.body["id"].as_str().unwrap()).await;
    assert_eq!(ended.state, DeploymentState::Succeeded);
    let reports = |path: &str| path.contains("/check-") || path.ends_with(&format!("/statuses/{commit}"));
    let written: Vec<_> = world.github.requests().into_iter().filter(|it| it.method != reqwest::Method::GET).collect();
    assert!(!written.is_empty() && written.iter().all(|request| !reports(&request.path)), "{written:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_051_a_gate_that_waited_too_long_names_what_was_missing_and_a_late_green_changes_nothing() {
    let world = World::start_with("gate-timeout = \"2s\"").await;
    let light = world.build(&[]).await;
    let commit = world.merge("stuck");
    world.repository.add_check_run(&commit, "lint", GREEN);
    let check = world.repository.add_check_run(&commit, "integration", CheckState::InProgress);
    register_light(&world, &light, &stage_path(), &commit).await;
    let told = world.repository.until_status(&commit, "error", PATIENCE).await.unwrap();
    let description = &told.statuses.last().unwrap().description;
    assert!(description.contains("integration") && !description.contains("lint"), "{description}");
    assert_eq!(until(&world, &commit, |_| true).await.reason.as_deref(), Some("gate_timeout"));
    world.repository.complete_check_run(check, Conclusion::Success);

    let next = world.merge("next");
    world.repository.add_check_run(&next, "test", GREEN);
    register_light(&world, &light, &stage_path(), &next).await;
    world.repository.until_status(&next, "success", PATIENCE).await.unwrap();
    let of_commit: Vec<_> = world.repository.deployments().into_iter().filter(|it| it.sha == commit).collect();
    assert_eq!(of_commit.iter().map(|it| it.states()).collect::<Vec<_>>(), [["queued", "error"]]);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_099_whoever_asks_why_it_waits_is_told_every_reason() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let why = async || {
        let output = world.windlass(&["status", "--why"]).output().await.unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let first = world.merge("first");
    for name in ["lint", "test"] {
        world.repository.add_check_run(&first, name, CheckState::InProgress);
    }
    register_light(&world, &light, &stage_path(), &first).await;
    let waiting = until(&world, &first, |it| it.why.as_deref() == Some("waiting for github-actions, lint, test")).await;
    let page = async |url: &str| reqwest::get(url).await.unwrap().text().await.unwrap();
    assert!(page(&waiting.url).await.contains("waiting for github-actions, lint, test"));
    assert!(log_of(&world, &first).await.contains("waiting for github-actions, lint, test"));

    let taken = world.windlass(&["lock", "acquire", "--reason", "the auditors are here"]).output().await.unwrap();
    assert!(taken.status.success(), "{taken:?}");
    let told = why().await;
    for reason in ["lint", "test", "is in progress", "lock: tester", "the auditors are here"] {
        assert!(told.contains(reason), "{reason}: {told}");
    }

    let second = world.merge("second");
    register_light(&world, &light, &stage_path(), &second).await;
    let superseded = until(&world, &first, |it| it.state == DeploymentState::Superseded).await;
    assert!(superseded.why.as_deref().unwrap().contains(&second[..7]), "{superseded:?}");
    let cancelled = world.windlass(&["cancel"]).output().await.unwrap();
    assert!(cancelled.status.success(), "{cancelled:?}");
    until(&world, &second, |it| it.state == DeploymentState::Cancelled).await;
    assert!(why().await.contains("tester cancelled it"), "what did not run says why");
}
