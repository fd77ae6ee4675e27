use futures_util::StreamExt;
use windlass_core::secrets::Masker;
use windlass_core::task::Stream;
use windlass_engine::LogOptions;
use windlass_testing::docker_client::docker;

use crate::lab::{Lab, secret};

#[tokio::test]
async fn a_followed_log_goes_on_until_the_container_ends() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.env.insert("SAMPLE_LOG_EVERY_MS".to_owned(), "50".to_owned());
    lab.boot(&task).await;
    let mut lines = lab.engine.logs(&task.name, LogOptions { follow: true, ..Default::default() }, &Masker::default());
    let first = lines.next().await.unwrap().unwrap();
    let second = lines.next().await.unwrap().unwrap();
    assert!(second.at >= first.at && !second.line.ends_with('\n'));
    lab.engine.stop(&task.name, "SIGTERM", std::time::Duration::from_secs(5)).await.unwrap();
    let rest: Vec<String> = lines.map(|line| line.unwrap().line).collect().await;
    assert!(rest.iter().any(|line| line.contains("stopping")), "{rest:?}");
}

#[tokio::test]
async fn tail_and_since_narrow_a_log_and_the_mask_hides_secrets() {
    let lab = Lab::open().await;
    let task = lab.one_off("migrate", &["migrate"]);
    lab.boot(&task).await;
    lab.engine.ended(&task.name).await.unwrap();
    let read = async |options: LogOptions, masker: &Masker| {
        let lines = lab.engine.logs(&task.name, options, masker);
        lines.map(|line| line.unwrap()).collect::<Vec<_>>().await
    };
    let all = read(LogOptions::default(), &Masker::default()).await;
    assert!(all.len() >= 2, "{all:?}");
    let last = all.last().unwrap();
    let tail = read(LogOptions { tail: Some(1), ..Default::default() }, &Masker::default()).await;
    assert_eq!(tail.as_slice(), std::slice::from_ref(last));
    let since = read(LogOptions { since: Some(last.at), ..Default::default() }, &Masker::default()).await;
    assert_eq!(since.as_slice(), std::slice::from_ref(last));
    let masked = read(LogOptions { tail: Some(1), ..Default::default() }, &secret("WORD", "migrated").masker()).await;
    assert!(masked[0].line.contains("*** to release"), "{masked:?}");
}

#[tokio::test]
async fn a_line_that_docker_has_cut_and_a_terminals_lines_arrive_whole() {
    let lab = Lab::open().await;
    let long = "x".repeat(40_000);
    let task = lab.one_off("echo", &["echo", &long]);
    lab.boot(&task).await;
    lab.engine.ended(&task.name).await.unwrap();
    let lines = lab.engine.logs(&task.name, LogOptions::default(), &Masker::default());
    let lines: Vec<_> = lines.map(|line| line.unwrap()).collect().await;
    assert_eq!(lines.iter().map(|line| line.line.len()).collect::<Vec<_>>(), [40_000]);
    assert_eq!(lines[0].stream, Stream::Stdout);

    let terminal = lab.name("terminal");
    let label = format!("windlass.installation={}", lab.engine.installation());
    let all: Vec<String> = lab.task("x").labels.to_map().iter().map(|(key, value)| format!("{key}={value}")).collect();
    let mut arguments = vec!["run", "-t", "--name", &terminal, "--label", &label];
    arguments.extend(all.iter().flat_map(|label| ["--label", label.as_str()]));
    let image = lab.image.reference();
    arguments.extend([image.as_str(), "echo", "hello"]);
    docker(&arguments);
    let lines = lab.engine.logs(&terminal, LogOptions::default(), &Masker::default());
    let lines: Vec<String> = lines.map(|line| line.unwrap().line).collect().await;
    assert_eq!(lines, ["hello"]);
}
