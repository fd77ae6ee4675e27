//! What a deployment says when an app does not become healthy, and when its health path answers only to who came by https.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::plan::StepKind;
use windlass_core::secrets::Secrets;
use windlass_testing::{images, sample_app};

use crate::lab::Lab;
use crate::stage::Stage;

const QUIET: &str = "SAMPLE_QUIET = \"1\"";

fn file(environment: &str, health: &str) -> String {
    format!(
        "watch = \"300ms\"\nenv = {{ {environment} }}\n[roles.web]\nport = 3000\nhealth = {{ {health} }}\n\
         stop = {{ grace = \"5s\", drain = \"5s\" }}\n"
    )
}

fn by_path(environment: &str) -> String {
    file(environment, r#"path = "/up", interval = "100ms", timeout = "1s", deadline = "2s""#)
}

async fn failure_of(environment: &str) -> Failure {
    let mut stage = Stage::open().await;
    let first = stage.plan(&by_path(environment), Secrets::default()).await;
    let (step, failure) = stage.run(&first).await.unwrap_err();
    stage.revert(&first, false).await;
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::Unhealthy), "{failure:?}");
    failure
}

#[tokio::test]
async fn rule_102_an_app_that_forces_https_is_deployed_behind_what_ends_tls() {
    let mut stage = Stage::open().await;
    stage.url = "https://shop.test";
    let first = stage.plan(&by_path("SAMPLE_FORCE_HTTPS = \"1\""), Secrets::default()).await;
    stage.run(&first).await.unwrap();
    let answer = stage.get("/headers").await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("x-forwarded-proto: https\n"), "{answer}");
    assert!(answer.contains("x-forwarded-port: 443\n"), "{answer}");
}

#[tokio::test]
async fn a_health_path_that_redirects_is_told_to_answer_itself() {
    let failure = failure_of("SAMPLE_FORCE_HTTPS = \"1\"").await;
    let expected = "/up answered for 2s with 301 to https://shop.test/up: the path must answer itself";
    assert!(failure.summary.ends_with(expected), "{failure:?}");
    let hint = failure.hint.unwrap();
    assert!(hint.contains("https") && hint.ends_with("wrote") && !failure.log.is_empty(), "{hint}");
}

#[tokio::test]
async fn a_health_path_behind_a_login_is_said_and_nobody_is_sent_to_lines_that_are_not_there() {
    let failure = failure_of(&format!("SAMPLE_UP_STATUS = \"401\", {QUIET}")).await;
    assert!(failure.summary.ends_with("/up answered for 2s with 401: it asks for a login"), "{failure:?}");
    assert!(failure.log.is_empty() && !failure.hint.as_ref().unwrap().contains("above"), "{failure:?}");
}

#[tokio::test]
async fn an_app_that_listens_for_itself_only_is_said() {
    let failure = failure_of("SAMPLE_LISTEN = \"127.0.0.1\"").await;
    let expected = "nothing listens on port 3000 of its address; an app that listens on 127.0.0.1 only looks like that";
    assert!(failure.summary.ends_with(expected), "{failure:?}");
    assert!(failure.hint.unwrap().contains("0.0.0.0"));
}

#[tokio::test]
async fn a_deadline_before_the_images_first_check_is_said_before_anything_runs_and_when_it_is_over() {
    let dockerfile =
        format!("{}HEALTHCHECK CMD [\"{path}\", \"health\"]\n", sample_app::dockerfile(&[]), path = sample_app::PATH);
    let lab = Lab::with(&images::build_context(&dockerfile, &[(sample_app::FILE, sample_app::archive(), 0o644)])).await;
    let mut stage = Stage::open_in(lab).await;
    let first = stage.plan(&file(QUIET, r#"docker = true, deadline = "2s""#), Secrets::default()).await;
    let prepare = &first.plan.steps[0];
    let said = stage.step(prepare, &first).await.unwrap().unwrap();
    let expected =
        "present on a; its HEALTHCHECK is asked for the first time after 30s, its interval, and `deadline` is 2s";
    assert!(said.starts_with(expected), "{said}");
    let (step, failure) = stage.run(&first).await.unwrap_err();
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::Unhealthy));
    assert!(failure.summary.contains("its first check comes after 30s"), "{failure:?}");
    assert!(failure.hint.as_ref().unwrap().contains("`deadline`") && failure.log.is_empty(), "{failure:?}");
    stage.revert(&first, false).await;

    let patient = stage.plan(&file(QUIET, r#"docker = true, deadline = "5m""#), Secrets::default()).await;
    let said = stage.step(&patient.plan.steps[0], &patient).await.unwrap();
    assert_eq!(said.as_deref(), Some("present on a"));
}
