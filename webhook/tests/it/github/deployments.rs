//! What GitHub is told about deployments.

use axum::http::Method;
use serde_json::json;
use windlass_core::names::DeploymentId;
use windlass_core::notice::GitHubState;
use windlass_testing::github::{CheckState, Conclusion, Failure};
use windlass_webhook::github::{GitHubError, NewGitHubDeployment, NewStatus};

use super::World;

impl World {
    fn new_deployment(&self) -> NewGitHubDeployment {
        NewGitHubDeployment {
            commit: self.head(),
            commits: std::collections::BTreeMap::new(),
            task: "deploy".to_owned(),
            environment: "staging".parse().unwrap(),
            description: "Release 3".to_owned(),
            deployment: DeploymentId::from_random([7; 16]),
            production: true,
            transient: false,
        }
    }

    async fn create(&self, deployment: &NewGitHubDeployment) -> Result<u64, GitHubError> {
        self.github.create_deployment(&self.project, deployment).await
    }
}

fn status(state: GitHubState, description: &str) -> NewStatus {
    NewStatus { state, description: description.to_owned(), log_url: None, environment_url: None }
}

#[tokio::test]
async fn rule_058_a_deployment_is_of_the_commit_whatever_its_checks_and_the_default_branch_say() {
    let world = World::start().await;
    let deployment = world.new_deployment();
    let red = CheckState::Completed(Conclusion::Failure);
    world.shop.add_check_run(deployment.commit.as_str(), "test", red);
    world.shop.push("main", "the default branch is ahead of it");

    let id = world.create(&deployment).await.unwrap();
    let [record] = &world.shop.deployments()[..] else { panic!("one deployment") };
    assert_eq!(record.id, id);
    assert_eq!(
        (record.reference.as_str(), record.sha.as_str()),
        (deployment.commit.as_str(), deployment.commit.as_str())
    );
    assert_eq!((record.task.as_str(), record.environment.as_str()), ("deploy", "staging"));
    assert_eq!(record.description.as_deref(), Some("Release 3"));
    assert!(record.production && !record.transient);
    assert_eq!(record.payload, json!({ "windlass_deployment": deployment.deployment.as_str() }));
}

#[tokio::test]
async fn rule_059_a_commit_that_github_does_not_know_yet_is_worth_some_seconds_of_patience() {
    let world = World::start().await;
    let unknown = NewGitHubDeployment { commit: "1".repeat(40).parse().unwrap(), ..world.new_deployment() };
    let error = world.create(&unknown).await.unwrap_err();
    assert!(matches!(error, GitHubError::CommitUnknown { .. }), "{error}");
    assert!(error.is_temporary() && error.retry_after().is_some());
}

#[tokio::test]
async fn rule_059_a_conflict_is_told_and_not_tried_again() {
    let world = World::start().await;
    for status in [409, 422] {
        world.fake.fail_next(Method::POST, "*/deployments", Failure::status(status));
        let error = world.create(&world.new_deployment()).await.unwrap_err();
        assert!(matches!(error, GitHubError::Refused { status: got, .. } if got == status), "{error}");
        assert!(!error.is_temporary());
    }
    assert_eq!(world.shop.deployments(), []);
}

#[tokio::test]
async fn rule_061_ids_beyond_31_bits_are_kept() {
    let world = World::start().await;
    let id = world.create(&world.new_deployment()).await.unwrap();
    assert!(id > 1 << 31, "{id}");
    let status = world.github.create_status(&world.project, id, &status(GitHubState::Queued, "")).await.unwrap();
    assert!(status > 1 << 31, "{status}");
}

#[tokio::test]
async fn rule_062_a_long_description_arrives_cut() {
    let world = World::start().await;
    let description = "é\n".repeat(300);
    let id = world
        .create(&NewGitHubDeployment { description: description.clone(), ..world.new_deployment() })
        .await
        .unwrap();
    let status = status(GitHubState::Failure, &description);
    world.github.create_status(&world.project, id, &status).await.unwrap();
    let [record] = &world.shop.deployments()[..] else { panic!("one deployment") };
    for told in [record.description.as_deref().unwrap(), &record.statuses[0].description] {
        assert!(told.starts_with("é é é ") && told.ends_with('…') && told.chars().count() <= 140, "{told}");
    }
}

#[tokio::test]
async fn rule_064_a_success_retires_no_other_deployment_by_itself() {
    let world = World::start().await;
    let first = NewGitHubDeployment { production: false, ..world.new_deployment() };
    let second = NewGitHubDeployment { deployment: DeploymentId::from_random([8; 16]), ..first.clone() };
    for deployment in [first, second] {
        let id = world.create(&deployment).await.unwrap();
        let success = status(GitHubState::Success, "up");
        world.github.create_status(&world.project, id, &success).await.unwrap();
    }
    assert!(world.shop.deployments().iter().all(|record| record.states() == ["success"]));
}

#[tokio::test]
async fn rule_066_a_status_carries_the_addresses_of_log_and_app_as_they_were_given() {
    let world = World::start().await;
    let id = world.create(&world.new_deployment()).await.unwrap();
    let success = NewStatus {
        log_url: Some("https://deploy.example.com/deployments/abc".parse().unwrap()),
        environment_url: Some("https://shop.example.com/".parse().unwrap()),
        ..status(GitHubState::Success, "Release 3 serves")
    };
    for state in [GitHubState::Queued, GitHubState::InProgress] {
        world.github.create_status(&world.project, id, &status(state, "")).await.unwrap();
    }
    world.github.create_status(&world.project, id, &success).await.unwrap();
    let [record] = &world.shop.deployments()[..] else { panic!("one deployment") };
    assert_eq!(record.states(), ["queued", "in_progress", "success"]);
    assert_eq!(record.statuses[0].log_url, "");
    let last = &record.statuses[2];
    assert_eq!(last.log_url, "https://deploy.example.com/deployments/abc");
    assert_eq!(last.environment_url, "https://shop.example.com/");
    assert_eq!(last.description, "Release 3 serves");
}

#[tokio::test]
async fn a_deployment_whose_creation_was_never_answered_is_found_again() {
    let world = World::start().await;
    let deployment = world.new_deployment();
    assert_eq!(world.github.find_deployment(&world.project, &deployment).await.unwrap(), None);
    world.fake.fail_next(Method::POST, "*/deployments", Failure::status(502).after_the_effect());
    assert!(world.create(&deployment).await.unwrap_err().is_temporary());
    // Others of the same commit, some on the same environment, push it to a later page.
    for number in 100..220 {
        let other = NewGitHubDeployment { deployment: DeploymentId::from_random([number; 16]), ..deployment.clone() };
        world.create(&other).await.unwrap();
    }
    let found = world.github.find_deployment(&world.project, &deployment).await.unwrap();
    assert_eq!(found, Some(world.shop.deployments()[0].id));
    let elsewhere = NewGitHubDeployment { environment: "production".parse().unwrap(), ..deployment };
    assert_eq!(world.github.find_deployment(&world.project, &elsewhere).await.unwrap(), None);
}
