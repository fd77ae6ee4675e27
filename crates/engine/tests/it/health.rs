use std::time::{Duration, Instant};

use windlass_core::config::{HealthCheck, Resources};
use windlass_core::deployment::FailureCode;
use windlass_core::secrets::{Masker, Secrets};
use windlass_core::task::{TaskHealth, TaskStatus};
use windlass_testing::{images, sample_app};

use crate::lab::{Lab, check, health, secret};

fn command(words: &[&str]) -> HealthCheck {
    HealthCheck::Command(words.iter().map(|word| (*word).to_owned()).collect())
}

#[tokio::test]
async fn a_crash_ends_the_wait_at_once_with_exit_code_and_last_lines() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.health = Some(health(command(&["/app", "exit", "1"])));
    task.env.insert("SAMPLE_EXIT_AFTER_MS".to_owned(), "700".to_owned());
    task.env.insert("SAMPLE_EXIT_CODE".to_owned(), "3".to_owned());
    task.env.insert("SAMPLE_LOG_EVERY_MS".to_owned(), "50".to_owned());
    lab.boot(&task).await;
    let begun = Instant::now();
    let failure = lab.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    assert_eq!(failure.code, FailureCode::TaskExited);
    assert!(failure.summary.contains("exit status 3"), "{failure:?}");
    assert!((2..=20).contains(&failure.log.len()), "{failure:?}");
}

#[tokio::test]
async fn a_second_boot_of_what_has_crashed_reports_the_crash() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.env.insert("SAMPLE_EXIT_AFTER_MS".to_owned(), "1".to_owned());
    lab.boot(&task).await;
    lab.engine.ended(&task.name).await.unwrap();
    let failure = lab.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::TaskExited, "{failure:?}");
}

#[tokio::test]
async fn a_command_decides_about_health() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.health = Some(health(command(&["/app", "health"])));
    lab.boot(&task).await;
    lab.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();
    let observed = lab.engine.look(&task.name).await.unwrap();
    assert_eq!((observed.status, observed.health), (TaskStatus::Running, TaskHealth::Healthy));
}

#[tokio::test]
async fn a_deadline_ends_with_the_checks_last_words_and_without_secrets() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    let mut never = health(command(&["/app", "print-env", "MISSING"]));
    never.deadline = windlass_core::quantity::Duration::from_secs(2);
    task.health = Some(never);
    task.env.insert("SAMPLE_NEVER_HEALTHY".to_owned(), "1".to_owned());
    lab.boot(&task).await;
    assert_eq!(lab.engine.look(&task.name).await.unwrap().status, TaskStatus::Activating);
    let masker = secret("WORD", "healthy").masker();
    let failure = lab.engine.await_healthy(&check(&task), &masker).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::Unhealthy);
    assert!(failure.summary.contains("within 2s: its check ended with 1"), "{failure:?}");
    assert!(!failure.log.is_empty() && !failure.log.concat().contains("healthy"), "{failure:?}");
}

#[tokio::test]
async fn an_image_with_a_health_check_of_its_own_is_believed_and_one_without_is_told_so() {
    let dockerfile = format!(
        "{}HEALTHCHECK --interval=100ms CMD [\"{path}\", \"health\"]\n",
        sample_app::dockerfile(&[]),
        path = sample_app::PATH
    );
    let lab = Lab::with(&images::build_context(&dockerfile, &[(sample_app::FILE, sample_app::archive(), 0o644)])).await;
    let mut task = lab.task("web-1");
    task.health = Some(health(HealthCheck::Docker));
    lab.boot(&task).await;
    lab.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();

    let plain = Lab::open().await;
    let mut task = plain.task("web-1");
    task.health = Some(health(HealthCheck::Docker));
    plain.boot(&task).await;
    let failure = plain.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap_err();
    assert!(failure.summary.contains("no HEALTHCHECK"), "{failure:?}");
}

#[tokio::test]
async fn stable_means_to_stay_up_for_that_long() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.health = Some(health(HealthCheck::Stable(windlass_core::quantity::Duration::from_secs(1))));
    lab.boot(&task).await;
    let begun = Instant::now();
    lab.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();
    assert!(begun.elapsed() > Duration::from_millis(500), "{:?}", begun.elapsed());

    let mut short = lab.task("web-2");
    short.health = Some(health(HealthCheck::Stable(windlass_core::quantity::Duration::from_secs(30))));
    short.env.insert("SAMPLE_EXIT_AFTER_MS".to_owned(), "300".to_owned());
    lab.boot(&short).await;
    let failure = lab.engine.await_healthy(&check(&short), &Masker::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::TaskExited);
}

#[tokio::test]
async fn a_task_that_a_gateway_asks_only_has_to_run() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.health = Some(health(HealthCheck::Path("/up".to_owned())));
    task.resources = Resources { memory: None, cpu: Some(1.0) };
    lab.boot(&task).await;
    lab.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();
}
