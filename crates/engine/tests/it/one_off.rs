use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::secrets::Secrets;
use windlass_core::task::{Exit, LogLine, TaskSpec};
use windlass_engine::TimeLimit;

use crate::lab::{Lab, secret};

const LIMIT: TimeLimit =
    TimeLimit { time: windlass_core::quantity::Duration::from_secs(20), code: FailureCode::MigrationTimeout };

async fn run(lab: &Lab, task: &TaskSpec, secrets: &Secrets, limit: TimeLimit) -> (Result<Exit, Failure>, Vec<String>) {
    let (sender, mut lines) = mpsc::channel::<LogLine>(4);
    let read = async {
        let mut all = Vec::new();
        while let Some(line) = lines.recv().await {
            all.push(line.line);
        }
        all
    };
    tokio::join!(lab.engine.run_to_end(task, secrets, limit, sender), read)
}

#[tokio::test]
async fn a_one_off_task_gives_its_own_exit_code_and_all_of_its_lines() {
    let lab = Lab::open().await;
    let task = lab.one_off("exit", &["exit", "42"]);
    let (exit, _) = run(&lab, &task, &Secrets::default(), LIMIT).await;
    assert_eq!(exit.unwrap(), Exit { code: 42, out_of_memory: false });

    let mut task = lab.one_off("migrate", &["migrate"]);
    task.env.insert("SAMPLE_MIGRATE_MS".to_owned(), "500".to_owned());
    let (exit, lines) = run(&lab, &task, &Secrets::default(), LIMIT).await;
    assert_eq!(exit.unwrap().code, 0);
    assert!(lines.len() > 3 && lines.last().unwrap().contains("migrated"), "{lines:?}");
}

#[tokio::test]
async fn a_second_run_waits_for_the_first_ones_container_and_takes_its_end() {
    let lab = Lab::open().await;
    let mut task = lab.one_off("migrate", &["migrate"]);
    task.env.insert("SAMPLE_MIGRATE_MS".to_owned(), "1500".to_owned());
    task.env.insert("SAMPLE_MIGRATE_EXIT".to_owned(), "7".to_owned());
    let first = tokio::time::timeout(Duration::from_millis(900), run(&lab, &task, &Secrets::default(), LIMIT)).await;
    assert!(first.is_err(), "the service stops here");
    let container = lab.engine.look(&task.name).await.unwrap().container;

    for _ in 0..2 {
        let (exit, lines) = run(&lab, &task, &Secrets::default(), LIMIT).await;
        assert_eq!(exit.unwrap().code, 7);
        assert!(lines.len() > 8, "every line since the beginning: {lines:?}");
    }
    let observed = lab.engine.observe().await.unwrap();
    assert_eq!(observed.iter().map(|task| &task.container).collect::<Vec<_>>(), [&container]);
}

#[tokio::test]
async fn a_one_off_task_that_takes_too_long_is_stopped() {
    let lab = Lab::open().await;
    let task = lab.one_off("sleep", &["sleep", "60000"]);
    let begun = Instant::now();
    let limit = TimeLimit { time: windlass_core::quantity::Duration::from_secs(1), ..LIMIT };
    let (exit, _) = run(&lab, &task, &Secrets::default(), limit).await;
    let failure = exit.unwrap_err();
    assert_eq!(failure.code, FailureCode::MigrationTimeout);
    assert!(failure.summary.contains("`sleep 60000` did not end within 1s"), "{failure:?}");
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert_eq!(lab.engine.exit(&task.name).await.unwrap().map(|exit| exit.code), Some(143));
}

#[tokio::test]
async fn a_secret_reaches_the_task_and_never_its_log() {
    let lab = Lab::open().await;
    let mut task = lab.one_off("print", &["print-env", "KEY"]);
    task.secrets = vec!["KEY".to_owned()];
    let (exit, lines) = run(&lab, &task, &secret("KEY", "hunter2"), LIMIT).await;
    assert_eq!(exit.unwrap().code, 0);
    assert_eq!(lines, ["***"]);
}

#[tokio::test]
async fn a_reader_that_has_gone_does_not_keep_the_task_from_ending() {
    let lab = Lab::open().await;
    let (sender, lines) = mpsc::channel(1);
    drop(lines);
    let task = lab.one_off("echo", &["echo", "hello"]);
    let exit = lab.engine.run_to_end(&task, &Secrets::default(), LIMIT, sender).await;
    assert_eq!(exit.unwrap().code, 0);
}
