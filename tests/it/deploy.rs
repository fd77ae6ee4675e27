//! A merge becomes a deployment, or does not.

use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, CommitState, Conclusion, Failure};

use crate::world::{PATIENCE, World, stage_path};

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_with_green_checks_is_deployed_and_github_hears_of_it_in_order() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let first = world.merge("first");
    let check = world.repository.add_check_run(&first, "test", CheckState::InProgress);
    world.register(&first, &image, &world.config_with("migrate = { command = [\"migrate\"] }")).await;
    world.repository.until_status(&first, "queued", PATIENCE).await.unwrap();
    world.repository.complete_check_run(check, Conclusion::Success);
    let told = world.repository.until_status(&first, "success", PATIENCE).await.unwrap();

    assert_eq!(told.states(), ["queued", "in_progress", "success"]);
    assert_eq!((told.environment.as_str(), told.task.as_str(), told.production), ("production", "deploy", true));
    let success = told.statuses.last().unwrap();
    assert_eq!(success.environment_url, "http://shop.example.com/");
    let log_url = success.log_url.as_str();
    let page = reqwest::get(log_url).await.unwrap().text().await.unwrap();
    assert!(page.contains("migrated to release 1"), "{page}");
    assert!(world.answer().await.starts_with("release 1 "), "{}", world.answer().await);

    let second = world.merge("second");
    world.repository.add_check_run(&second, "test", CheckState::Completed(Conclusion::Success));
    world.register(&second, &image, &world.config()).await;
    let told = world.repository.until_status(&second, "success", PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "in_progress", "success"]);
    let told = world.repository.until_status(&first, "inactive", PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "in_progress", "success", "inactive"]);
    assert!(world.answer().await.starts_with("release 2 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_merge_with_a_red_check_is_refused_and_nothing_is_touched() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("red");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Failure));
    world.register(&commit, &image, &world.config()).await;
    let told = world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "failure"]);
    assert!(told.statuses.last().unwrap().description.contains("test"), "{:?}", told.statuses);
    let deployment = world.deployments().await.remove(0);
    assert_eq!(deployment.state, DeploymentState::Refused);
    assert_eq!(deployment.reason.as_deref(), Some("gate_blocked"));
    assert!(world.engine.observe().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_commit_whose_checks_turn_green_later_is_deployed_after_all() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("flaky");
    let suite = world.repository.add_check_suite(&commit, "github-actions");
    world.repository.add_check_run_in(suite, "test", CheckState::Completed(Conclusion::Failure));
    world.register(&commit, &image, &world.config()).await;
    world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    let again = world.repository.add_check_run_in(suite, "test", CheckState::InProgress);
    world.repository.complete_check_run(again, Conclusion::Success);
    world
        .repository
        .until_deployment(|it| it.sha == commit && it.states() == ["queued", "in_progress", "success"], PATIENCE)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_047_what_was_refused_for_something_else_than_its_checks_is_not_tried_again_when_they_change() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("secretive");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &world.config_with("secrets = [\"NOBODY_HAS_IT\"]")).await;
    world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    // As a workflow does that a deployment's status has started.
    for number in 0..3 {
        world.repository.set_status(&commit, &format!("ci/{number}"), CommitState::Success);
    }
    let next = world.merge("next");
    world.repository.add_check_run(&next, "test", CheckState::Completed(Conclusion::Success));
    world.register(&next, &image, &world.config()).await;
    world.repository.until_status(&next, "success", PATIENCE).await.unwrap();
    let of_first = world.repository.deployments().into_iter().filter(|it| it.sha == commit).count();
    assert_eq!(of_first, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failing_check_on_the_second_page_is_found() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("many");
    for number in 0..120 {
        let conclusion = if number == 3 { Conclusion::Failure } else { Conclusion::Success };
        world.repository.add_check_run(&commit, &format!("check {number}"), CheckState::Completed(conclusion));
    }
    world.repository.set_status(&commit, "ci/other", CommitState::Success);
    world.register(&commit, &image, &world.config()).await;
    let told = world.repository.until_status(&commit, "failure", PATIENCE).await.unwrap();
    assert!(told.statuses.last().unwrap().description.contains("check 3"), "{:?}", told.statuses);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_067_a_deployment_succeeds_while_github_does_not_take_its_statuses_and_hears_of_it_later() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.merge("quiet");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.github.fail_next(reqwest::Method::POST, "*/deployments*", Failure::status(502).times(3));
    world.register(&commit, &image, &world.config()).await;
    let told = world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    assert_eq!(told.states(), ["queued", "in_progress", "success"]);
    assert_eq!(world.repository.deployments().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_057_a_rollback_holds_the_stage_against_what_comes_by_itself() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    for title in ["one", "two"] {
        let commit = world.merge(title);
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.register(&commit, &image, &world.config()).await;
        world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    }
    let rollback = world.deploy("rollback", None).await;
    assert_eq!(rollback.state, DeploymentState::Succeeded, "{rollback:?}");
    assert!(world.answer().await.starts_with("release 1 "));
    let told = world.repository.until_deployment(|it| it.task == "rollback" && it.state() == Some("success"), PATIENCE);
    assert_eq!(told.await.unwrap().states(), ["queued", "in_progress", "success"]);

    let commit = world.merge("three");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &world.config()).await;
    world.repository.until_status(&commit, "queued", PATIENCE).await.unwrap();
    let waits_for_the_hold = async {
        loop {
            let stage = world.stage().await;
            if stage.deployment.and_then(|deployment| deployment.reason).as_deref() == Some("hold") {
                return stage.hold.unwrap().deployment;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    let held_by = tokio::time::timeout(PATIENCE, waits_for_the_hold).await.expect("it waits for the hold");
    assert_eq!(held_by, rollback.id);
    assert!(world.answer().await.starts_with("release 1 "), "the hold holds");
    let lifted = world.request(reqwest::Method::DELETE, &format!("{}/hold", stage_path())).send().await.unwrap();
    assert_eq!(lifted.status(), 204);
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    assert!(world.answer().await.starts_with("release 3 "));
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_063_a_cancellation_before_the_switch_undoes_the_deployment() {
    let world = World::start().await;
    let image = world.build(&[("SAMPLE_START_DELAY_MS", "15000")]).await;
    // Pushed, not merged: nothing but this test deploys it.
    let commit = world.repository.push("main", "slow");
    world.register(&commit, &image, &world.config()).await;
    green_everything(&world);
    let body = serde_json::json!({ "releases": { "default": 1 } });
    let started: windlass_core::api::DeploymentView = world.post(&format!("{}/deployments", stage_path()), &body).await;
    let boots = async {
        while world.engine.observe().await.unwrap().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, boots).await.expect("there is something to undo");
    let cancel = format!("/deployments/{}/cancel", started.id);
    let _: serde_json::Value = world.post(&cancel, &serde_json::json!({})).await;
    let ended = world.until_ended(started.id.as_str()).await;
    assert_eq!(ended.state, DeploymentState::Cancelled);
    assert!(world.engine.observe().await.unwrap().is_empty());
    let wanted = |it: &windlass_testing::github::DeploymentRecord| it.states() == ["queued", "in_progress", "error"];
    world.repository.until_deployment(wanted, PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_configuration_asks_for_is_what_the_container_gets() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let more = "env = { TZ = \"UTC\" }\nsecrets = [\"DATABASE_URL\"]\nvolumes = [\"shop-data:/data\"]\n\
                resources = { memory = \"64m\", cpu = 0.5 }";
    world.register(&world.merge("full"), &image, &world.config_with(more)).await;
    green_everything(&world);
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    for (name, value) in [
        ("TZ", "UTC"),
        ("PORT", "3000"),
        ("WINDLASS_RELEASE", "1"),
        ("WINDLASS_STAGE", "production"),
        ("DATABASE_URL", "postgres://shop:a-very-secret-password@db/shop"),
    ] {
        let answer = world.app(&format!("/env?name={name}")).send().await.unwrap().text().await.unwrap();
        assert_eq!(answer.trim(), value, "{name}");
    }
    let running = world.engine.observe().await.unwrap();
    assert!(!format!("{running:?}").contains("a-very-secret-password"));
    assert!(!world.service_log().contains("a-very-secret-password"));
    let asks_for_more = world.config_with("resources = { memory = \"2g\" }");
    let body = serde_json::json!({ "commit": "c".repeat(40), "digest": image, "config": asks_for_more });
    let path = format!("{}/apps/default/releases", stage_path());
    let refused = world.request(reqwest::Method::POST, &path).json(&body).send().await.unwrap();
    assert_eq!(refused.status(), 422);
    assert!(refused.text().await.unwrap().contains("policy_refused"));
}

/// A green check on every branch's head, so that people's deployments pass the gate.
fn green_everything(world: &World) {
    let head = world.repository.head("main");
    world.repository.add_check_run(&head, "test", CheckState::Completed(Conclusion::Success));
}
