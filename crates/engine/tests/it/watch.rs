//! Tasks that live on and sicken, while a new release is watched.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::plan::StepKind;
use windlass_core::secrets::Secrets;

use crate::stage::{Deployment, Stage};

/// Serves, and says from then on that it is not healthy.
async fn sickens_in_the_watch(file: &str) -> Failure {
    let mut stage = Stage::open().await;
    let deployment = stage.plan(file, Secrets::default()).await;
    run_up_to_the_watch(&stage, &deployment).await;
    assert!(stage.get("/sicken").await.contains("sick"));
    let watch = deployment.plan.steps.iter().find(|step| step.kind() == StepKind::Watch).unwrap();
    stage.step(watch, &deployment).await.unwrap_err()
}

async fn run_up_to_the_watch(stage: &Stage, deployment: &Deployment) {
    for step in deployment.plan.steps.iter().take_while(|step| step.kind() != StepKind::Watch) {
        stage.step(step, deployment).await.unwrap();
    }
}

#[tokio::test]
async fn what_the_gateway_is_told_ends_the_watch() {
    let failure = sickens_in_the_watch(
        "watch = \"5m\"\n[roles.web]\nport = 3000\n\
         health = { path = \"/up\", interval = \"100ms\", timeout = \"1s\", deadline = \"15s\" }",
    )
    .await;
    assert_eq!(failure.code, FailureCode::Unhealthy);
    assert!(failure.summary.ends_with("while it was watched: GET /up answered 503"), "{failure}");
    assert!(failure.log.iter().any(|line| line.contains("lost the database")), "{failure:?}");
}

#[tokio::test]
async fn what_docker_is_told_ends_the_watch() {
    let failure = sickens_in_the_watch(
        "watch = \"5m\"\n[roles.web]\nport = 3000\n\
         health = { command = [\"/app\", \"health\"], interval = \"100ms\", timeout = \"1s\", deadline = \"15s\" }",
    )
    .await;
    assert_eq!(failure.code, FailureCode::Unhealthy);
    assert!(failure.summary.contains("/up answers 503"), "{failure}");
}

#[tokio::test]
async fn a_watch_asks_more_often_than_an_interval_that_is_longer_than_itself() {
    let failure = sickens_in_the_watch(
        "watch = \"20s\"\n[roles.web]\nport = 3000\n\
         health = { path = \"/up\", interval = \"1h\", timeout = \"1s\", deadline = \"15s\" }",
    )
    .await;
    assert!(failure.summary.contains("GET /up answered 503"), "{failure}");
}

#[tokio::test]
async fn a_gateway_that_is_away_is_no_illness() {
    let mut stage = Stage::open().await;
    let file = "watch = \"1s\"\n[roles.web]\nport = 3000\nhealth = { path = \"/up\" }";
    let deployment = stage.plan(file, Secrets::default()).await;
    run_up_to_the_watch(&stage, &deployment).await;
    stage.stop_gateway().await;
    let watch = deployment.plan.steps.iter().find(|step| step.kind() == StepKind::Watch).unwrap();
    stage.step(watch, &deployment).await.unwrap();
}
