//! What GitHub is told, and the pull request with it.

use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{PATIENCE, World};

#[tokio::test(flavor = "multi_thread")]
async fn rule_071_a_rollback_is_a_deployment_of_its_own_and_makes_the_bad_one_inactive() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let mut commits = Vec::new();
    for name in ["good", "bad"] {
        let commit = world.merge(name);
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.register(&commit, &image, &world.config()).await;
        world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
        commits.push(commit);
    }
    let rollback = world.deploy("rollback", None).await;
    assert_eq!(rollback.state, DeploymentState::Succeeded, "{rollback:?}");
    world.repository.until_status(&commits[1], "inactive", PATIENCE).await.unwrap();
    let told: Vec<_> = world
        .repository
        .deployments()
        .into_iter()
        .map(|it| (it.task.clone(), it.sha.clone(), it.states().join(" ")))
        .collect();
    let expected = |task: &str, commit: &String, states: &str| (task.to_owned(), commit.clone(), states.to_owned());
    let replaced = "queued in_progress success inactive";
    assert_eq!(
        told,
        [
            expected("deploy", &commits[0], replaced),
            expected("deploy", &commits[1], replaced),
            expected("rollback", &commits[0], "queued in_progress success"),
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_merged_pull_request_is_told_what_became_of_it_and_where_it_failed() {
    let world = World::start().await;
    let bad = world.build(&[("SAMPLE_NEVER_HEALTHY", "1")]).await;
    world.repository.push("feature", "feature");
    let number = world.repository.open_pull_request("feature");
    let commit = world.repository.merge_pull_request(number);
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &bad, &world.config().replace("deadline = \"20s\"", "deadline = \"2s\"")).await;
    let failed = world.repository.until_comment(number, |it| it.body().contains("| failed |"), PATIENCE).await.unwrap();
    assert!(failed.bodies[0].contains("| `production` | running |"), "{:?}", failed.bodies);
    let text = failed.body();
    assert!(text.contains("`production` failed at the step `verify`:\n\n```text\n"), "{text}");
    assert!(text.contains("503") && text.contains("database"), "{text}");
    assert!(text.contains("| prepare | done |") && text.contains("/deployments/"), "{text}");
    assert_eq!(world.repository.comments(number).len(), 1);
    assert!(!text.contains("a-very-secret-password"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_ends_with_status_1_for_what_does_not_work_and_with_0_for_what_only_costs() {
    let world = World::start().await;
    let config = world.path("windlass-server.toml").display().to_string();
    let doctor = async || {
        let output = world.windlass(&["doctor", "--config", &config]).output().await.unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let forbidden = || windlass_testing::github::Failure::status(403);
    world.github.fail_next(reqwest::Method::GET, "*/actions/runs", forbidden());
    let (status, text) = doctor().await;
    assert!(text.contains("warning  project acme/shop: Actions: it needs read"), "{text}");
    assert_eq!(status, Some(0), "{text}");
    world.github.fail_next(reqwest::Method::POST, "*/deployments", forbidden());
    let (status, text) = doctor().await;
    assert!(text.contains("failed   project acme/shop: Deployments: it needs write"), "{text}");
    assert_eq!(status, Some(1), "{text}");
}
