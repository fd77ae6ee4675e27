//! The access log, as it is found on disk.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use hyper::Request;
use rustix::process::{Signal, getpid, kill_process};
use serde_json::Value;
use tokio_tungstenite::tungstenite::Message;
use windlass_core::config::{AccessLog, AccessLogFormat};
use windlass_gateway::GatewayOptions;

use crate::backend::{Backend, LARGE};
use crate::client::{Client, get, nothing};
use crate::harness::{Front, HOST, eventually, options, spec};

/// With a log in its folder, behind a proxy on this machine.
async fn logging(format: AccessLogFormat) -> (Front, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("access.log");
    (Front::start_with(writing(&file, format, folder.path()), folder).await, file)
}

fn writing(file: &Path, format: AccessLogFormat, folder: &Path) -> GatewayOptions {
    let access_log = Some(AccessLog { file: Some(file.to_owned()), format });
    let trusted = ["127.0.0.1"].iter().map(|proxy| proxy.parse().unwrap()).collect();
    GatewayOptions { access_log, trusted, metrics: Some(([127, 0, 0, 1], 0).into()), ..options(folder) }
}

fn lines(file: &Path) -> Vec<String> {
    std::fs::read_to_string(file).unwrap_or_default().lines().map(ToOwned::to_owned).collect()
}

/// The lines, once there are so many.
async fn written(file: &Path, number: usize) -> Vec<Value> {
    eventually("a line for each request", async || lines(file).len() >= number).await;
    lines(file).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn a_request_is_one_line_that_says_all_that_is_known_of_it() {
    let app = Backend::start("app").await;
    let (front, file) = logging(AccessLogFormat::Json).await;
    front.control.switch(spec(7, &[&app])).await.unwrap();
    let request = Request::get("//a/./b?token=%22&c")
        .header("host", HOST)
        .header("x-forwarded-for", "1.1.1.1, 203.0.113.9")
        .header("x-request-id", "req-1")
        .header("user-agent", "tests/1 \"quoted\"")
        .header("referer", "https://other.test/")
        .body(nothing());
    let response = Client::connect(front.http()).await.send(request.unwrap()).await.unwrap();
    assert_eq!(response.into_body().collect().await.unwrap().to_bytes(), "app");
    let mut line = written(&file, 1).await.remove(0);
    for timed in ["time", "duration_ms", "first_byte_ms"] {
        assert!(!line[timed].is_null(), "{timed}");
        line.as_object_mut().unwrap().remove(timed);
    }
    let expected = serde_json::json!({
        "client": "203.0.113.9", "host": HOST, "method": "GET", "path": "//a/./b?token=%22&c", "protocol": "HTTP/1.1",
        "status": 200, "end": "whole", "bytes": 3, "service": "1/production/default", "release": 7, "target": "app",
        "request_id": "req-1", "user_agent": "tests/1 \"quoted\"", "referer": "https://other.test/",
    });
    assert_eq!(line, expected);
}

#[tokio::test]
async fn what_is_our_own_answer_and_what_breaks_is_logged_too() {
    let app = Backend::start("app").await;
    let (front, file) = logging(AccessLogFormat::Json).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    Client::connect(front.http()).await.get("unknown.test", "/").await.unwrap();

    let mut client = Client::connect(front.http()).await;
    let mut response = client.send(get(HOST, "/large")).await.unwrap();
    response.body_mut().frame().await.unwrap().unwrap();
    drop((response, client));

    let mut client = Client::connect(front.http()).await;
    let asked = tokio::spawn(async move { client.send(get(HOST, "/slow")).await.map(drop) });
    eventually("the app is asked", async || app.hits() == 2).await;
    asked.abort();

    let lines = written(&file, 3).await;
    let of = |path: &str, host: &str| lines.iter().find(|it| it["path"] == path && it["host"] == host).unwrap();
    let unknown = of("/", "unknown.test");
    assert_eq!(
        (&unknown["status"], &unknown["end"], &unknown["service"]),
        (&404.into(), &"whole".into(), &Value::Null)
    );
    let broken = of("/large", HOST);
    assert_eq!((&broken["status"], &broken["end"]), (&200.into(), &"broken".into()));
    assert!((1..LARGE as u64).contains(&broken["bytes"].as_u64().unwrap()), "{broken}");
    let unanswered = of("/slow", HOST);
    assert_eq!((&unanswered["status"], &unanswered["end"]), (&499.into(), &"unanswered".into()));
    assert_eq!(unanswered["first_byte_ms"], Value::Null);
}

#[tokio::test]
async fn a_tunnel_is_logged_when_it_has_ended() {
    let app = Backend::start("app").await;
    let (front, file) = logging(AccessLogFormat::Json).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let stream = tokio::net::TcpStream::connect(front.http()).await.unwrap();
    let (mut socket, _) = tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await.unwrap();
    socket.send(Message::text("x".repeat(1000))).await.unwrap();
    assert!(socket.next().await.unwrap().unwrap().is_text());
    assert_eq!(lines(&file).len(), 0);
    socket.close(None).await.unwrap();
    while socket.next().await.is_some() {}
    drop(socket);
    let line = written(&file, 1).await.remove(0);
    assert_eq!((&line["status"], &line["path"]), (&101.into(), &"/ws".into()));
    assert!(line["bytes"].as_u64().unwrap() > 1000, "{line}");
}

#[tokio::test]
async fn the_combined_format_is_what_tools_for_apache_and_nginx_read() {
    let app = Backend::start("app").await;
    let (front, file) = logging(AccessLogFormat::Combined).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let request = Request::head("/a\"b").header("host", HOST).header("user-agent", "a\t\"b").body(nothing()).unwrap();
    Client::connect(front.http()).await.send(request).await.unwrap();
    eventually("its line", async || lines(&file).len() == 1).await;
    let line = lines(&file).remove(0);
    let (before, after) = line.split_once("] ").unwrap();
    assert!(before.starts_with("127.0.0.1 - - ["), "{line}");
    let known = r#""HEAD /a\x22b HTTP/1.1" 200 0 "-" "a\x09\x22b" "shop.test" "1/production/default" "app" 1 ""#;
    assert!(after.starts_with(known) && after.ends_with(" whole"), "{line}");
}

#[tokio::test]
async fn after_sighup_the_log_goes_on_in_a_new_file() {
    let app = Backend::start("app").await;
    let (front, file) = logging(AccessLogFormat::Json).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    front.get("/before").await;
    written(&file, 1).await;
    let moved = front.folder().join("access.log.1");
    std::fs::rename(&file, &moved).unwrap();
    kill_process(getpid(), Signal::HUP).unwrap();
    eventually("a new file", async || file.exists()).await;
    front.get("/after").await;
    assert_eq!(written(&file, 1).await[0]["path"], "/after");
    assert_eq!(lines(&moved).len(), 1);
}

/// A log that whoever holds it open may read, or not.
fn pipe(folder: &Path) -> (PathBuf, std::fs::File) {
    let pipe = folder.join("access.log");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::fs::File::options().read(true).write(true).open(&pipe).unwrap();
    (pipe, reader)
}

#[tokio::test]
async fn what_was_handed_in_is_written_before_the_gateway_has_stopped() {
    const LINE: usize = 48 << 10;
    let app = Backend::start("app").await;
    let folder = tempfile::tempdir().unwrap();
    let (pipe, mut reader) = pipe(folder.path());
    let front = Front::start_with(writing(&pipe, AccessLogFormat::Json, folder.path()), folder).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    for _ in 0..20 {
        client.get(HOST, &format!("/{}", "x".repeat(LINE))).await.unwrap();
    }
    drop(client);
    let read = std::sync::Arc::new(AtomicUsize::new(0));
    let reading = std::sync::Arc::clone(&read);
    // Slowly: the gateway is to wait for it.
    std::thread::spawn(move || {
        let mut buffer = [0; 16 << 10];
        while let Ok(bytes) = reader.read(&mut buffer) {
            reading.fetch_add(bytes, Ordering::SeqCst);
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    });
    let _folder = front.stop().await;
    // What the pipe itself holds is not read yet.
    assert!(read.load(Ordering::SeqCst) > 17 * LINE, "{read:?}");
}

#[tokio::test]
async fn a_log_that_cannot_follow_loses_lines_and_no_request_waits() {
    let app = Backend::start("app").await;
    let folder = tempfile::tempdir().unwrap();
    let (pipe, reader) = pipe(folder.path());
    let front = Front::start_with(writing(&pipe, AccessLogFormat::Json, folder.path()), folder).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let long = format!("/{}", "x".repeat(48 << 10));
    for _ in 0..500 {
        assert_eq!(client.get(HOST, &long).await.unwrap().0, 200);
    }
    let numbers = crate::metrics::read(&front).await;
    let lost = numbers.lines().find_map(|line| line.strip_prefix("windlass_gateway_access_log_lost_lines_total "));
    let lost: u64 = lost.unwrap().parse().unwrap();
    assert!((100..500).contains(&lost), "{lost}");
    drop(reader);
}

#[tokio::test]
async fn a_log_that_cannot_be_opened_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("nowhere/access.log");
    let error =
        windlass_gateway::Gateway::start(writing(&file, AccessLogFormat::Json, folder.path())).await.unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot write the access log {}: ", file.display())), "{error}");
}
