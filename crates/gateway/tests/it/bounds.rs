//! Clients that keep the gateway waiting, and those that only look like it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http_body_util::BodyExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use windlass_core::gateway::TargetState;
use windlass_gateway::{Limits, Patience};

use crate::backend::{Backend, LARGE};
use crate::client::{Client, get};
use crate::harness::{Front, HOST, eventually, spec};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// A client may be silent for so long only.
fn short() -> Limits {
    let patience = Patience { grace: LONG, bytes_per_second: 1, stall: SHORT };
    Limits { head: SHORT, idle: SHORT, body: patience, answer: patience, ..Limits::gateway() }
}

async fn front(limits: Limits) -> (Front, Backend) {
    let front = Front::within(limits).await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    (front, app)
}

async fn sent(front: &Front, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(front.http()).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// What is left to read, until the gateway closes it.
async fn rest(mut stream: TcpStream) -> String {
    let mut read = Vec::new();
    let ended = tokio::time::timeout(LONG / 2, stream.read_to_end(&mut read)).await;
    // A reset is an end too.
    let _ = ended.expect("it is closed");
    String::from_utf8_lossy(&read).into_owned()
}

async fn nothing_is_under_way(front: &Front) {
    eventually("nothing is under way", async || front.control.targets().await[0].in_flight == 0).await;
}

#[tokio::test]
async fn half_heads_and_silent_connections_are_closed() {
    let (front, _app) = front(short()).await;
    let half = sent(&front, "GET / HTTP/1.1\r\nhost: shop.test\r\nx-slow: ").await;
    let silent = sent(&front, "").await;
    assert_eq!((rest(half).await, rest(silent).await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_body_that_stalls_ends_its_request_and_is_not_the_apps_fault() {
    let (front, app) = front(short()).await;
    let stalls = sent(&front, "POST /upload HTTP/1.1\r\nhost: shop.test\r\ncontent-length: 1000\r\n\r\nabc").await;
    eventually("it is under way", async || app.knobs.uploaded.load(Ordering::SeqCst) == 3).await;
    assert!(!rest(stalls).await.starts_with("HTTP/1.1 5"));
    nothing_is_under_way(&front).await;
    assert_eq!(front.control.state_of("app").await, Some(TargetState::Healthy));
}

#[tokio::test]
async fn a_client_that_never_reads_is_given_up() {
    let (front, _app) = front(short()).await;
    let never = sent(&front, "GET /large HTTP/1.1\r\nhost: shop.test\r\n\r\n").await;
    eventually("it is under way", async || front.control.targets().await[0].in_flight == 1).await;
    nothing_is_under_way(&front).await;
    assert!(rest(never).await.len() < LARGE);
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_before_it_is_whole() {
    let (front, _app) = front(Limits::gateway()).await;
    let mut large = sent(&front, "GET / HTTP/1.1\r\nhost: shop.test\r\nx: ").await;
    let _ = large.write_all("y".repeat(100 * 1024).as_bytes()).await;
    let mut answer = [0; 12];
    large.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 431");
}

#[tokio::test]
async fn streams_may_be_silent_and_an_upload_may_take_its_time() {
    let (front, app) = front(short()).await;
    let mut client = Client::connect(front.http()).await;
    let mut events = client.send(get(HOST, "/events")).await.unwrap();
    let stream = TcpStream::connect(front.http()).await.unwrap();
    let mut socket = tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await.unwrap().0;
    let slow = tokio::spawn({
        let http = front.http();
        async move { Client::connect(http).await.get(HOST, "/slow").await }
    });
    let mut upload =
        sent(&front, "POST /upload HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\ncontent-length: 20\r\n\r\n")
            .await;
    for _ in 0..20 {
        tokio::time::sleep(SHORT / 4).await;
        upload.write_all(b"x").await.unwrap();
    }
    assert!(rest(upload).await.starts_with("HTTP/1.1 200"), "five times as long as a client may be silent");
    app.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().0, 200);
    app.knobs.events.send("data: 1\n\n").unwrap();
    let event = events.body_mut().frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(event, "data: 1\n\n");
    socket.send(Message::text("still there")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap().as_str(), "still there");
}

#[tokio::test]
async fn silent_clients_give_way_to_those_who_ask() {
    let (front, _app) = front(Limits { connections: 8, ..Limits::gateway() }).await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(sent(&front, "GET / HTTP/1.1\r\nhost: ").await);
    }
    for _ in 0..5 {
        assert_eq!(front.get("/").await, (200, "app".to_owned()));
    }
}
