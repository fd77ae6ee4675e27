//! The ways in which clients keep a server waiting, over real connections.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod client;

use std::time::{Duration, Instant};

use client::{LARGE, Server};
use windlass_listen::{Limits, Patience, Seldom};

const SHORT: Duration = Duration::from_millis(300);
const LONG: Duration = Duration::from_secs(60);

/// Nothing in them ends by itself within a test.
fn patient() -> Limits {
    let patience = Patience { grace: LONG, bytes_per_second: 1, stall: LONG };
    Limits { head: LONG, idle: LONG, body: patience, answer: patience, ..Limits::service() }
}

#[tokio::test]
async fn a_half_head_is_given_up_and_so_is_a_connection_without_a_request() {
    let server = Server::start(Limits { head: SHORT, ..patient() }).await;
    let mut silent = server.connect().await;
    let mut half = server.connect().await;
    half.send("GET /a HTTP/1.1\r\nhost: x\r\nx-slow: ").await;
    assert_eq!((silent.rest().await, half.rest().await), (String::new(), String::new()));
}

#[tokio::test]
async fn a_head_that_trickles_is_given_up_as_one_that_does_not_come() {
    let server = Server::start(Limits { head: SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    let begun = Instant::now();
    while client.try_send("G").await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_connection_that_waits_for_its_next_request_is_closed_after_the_idle_time_and_not_after_the_heads() {
    let server = Server::start(Limits { head: SHORT, idle: 6 * SHORT, ..patient() }).await;
    let mut client = server.connect().await;
    assert!(client.ask("GET /a").await.starts_with("HTTP/1.1 200"));
    tokio::time::sleep(3 * SHORT).await;
    assert!(client.ask("GET /a").await.starts_with("HTTP/1.1 200"));
    assert_eq!(client.rest().await, "");
}

#[tokio::test]
async fn a_body_that_stalls_or_trickles_is_given_up_and_one_that_comes_is_not() {
    let body = Patience { grace: SHORT, bytes_per_second: 1024 * 1024, stall: LONG };
    let server = Server::start(Limits { body, ..patient() }).await;
    let mut stalls = server.connect().await;
    stalls.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nab").await;
    let mut trickles = server.connect().await;
    trickles.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n").await;
    let begun = Instant::now();
    while trickles.try_send("a").await {
        assert!(begun.elapsed() < Duration::from_secs(20), "the server still listens");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(stalls.rest().await, "");
    let mut comes = server.connect().await;
    assert!(comes.ask_with("POST /a", &"x".repeat(100_000)).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_body_that_the_server_does_not_read_is_not_the_clients_fault() {
    let body = Patience { grace: SHORT, bytes_per_second: u64::MAX, stall: SHORT };
    let server = Server::start(Limits { body, head_bytes: 8192, ..patient() }).await;
    let mut client = server.connect().await;
    let answer = client.ask_with("POST /late", &"x".repeat(200_000)).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
}

#[tokio::test]
async fn a_client_who_never_reads_its_answer_is_given_up() {
    let answer = Patience { grace: LONG, bytes_per_second: 1, stall: SHORT };
    let server = Server::start(Limits { answer, ..patient() }).await;
    let mut client = server.connect().await;
    client.send("GET /large HTTP/1.1\r\nhost: x\r\n\r\n").await;
    server.until_taken(1).await;
    server.until_taken(0).await;
    assert!(client.rest().await.len() < LARGE);
}

#[tokio::test]
async fn an_answer_may_be_silent_for_as_long_as_it_wants_and_so_may_another_protocol() {
    let server = Server::start(Limits { head: SHORT, idle: SHORT, ..patient() }).await;
    let mut slow = server.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut upgraded = server.connect().await;
    let switched = upgraded
        .ask_until("GET /echo HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n", "\r\n\r\n")
        .await;
    assert!(switched.starts_with("HTTP/1.1 101"), "{switched:?}");
    assert!(slow.until("slowly").await.starts_with("HTTP/1.1 200"), "after three times the idle time");
    assert_eq!(upgraded.ask_until("hello", "hello").await, "hello");
}

#[tokio::test]
async fn who_has_waited_longest_gives_way_when_all_seats_are_taken() {
    let server = Server::start(Limits { connections: 8, ..patient() }).await;
    let mut silent = vec![server.connect().await];
    server.until_taken(1).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for _ in 0..7 {
        silent.push(server.connect().await);
    }
    server.until_taken(8).await;
    for _ in 0..3 {
        let mut client = server.connect().await;
        assert!(client.ask("GET /a").await.starts_with("HTTP/1.1 200"));
    }
    assert_eq!(silent[0].rest().await, "", "the first to come was the first to go");
}

#[tokio::test]
async fn a_slow_body_gives_way_as_a_slow_head_does_and_who_is_served_does_not() {
    let server = Server::start(Limits { connections: 8, ..patient() }).await;
    let mut served = server.connect().await;
    served.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    let mut slow = Vec::new();
    for _ in 0..7 {
        let mut client = server.connect().await;
        client.send("POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\nab").await;
        slow.push(client);
    }
    server.until_taken(8).await;
    for _ in 0..3 {
        let mut client = server.connect().await;
        assert!(client.ask("GET /a").await.starts_with("HTTP/1.1 200"));
    }
    assert!(served.until("slowly").await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_before_it_is_whole() {
    let server = Server::start(Limits { head_bytes: 8192, ..patient() }).await;
    let mut client = server.connect().await;
    client.try_send(&format!("GET /a HTTP/1.1\r\nhost: x\r\nx: {}", "y".repeat(9000))).await;
    assert!(client.rest().await.starts_with("HTTP/1.1 431"));
}

#[tokio::test]
async fn a_server_that_stops_waits_for_requests_and_for_nobody_who_has_none() {
    let server = Server::start(patient()).await;
    let mut half = server.connect().await;
    half.send("GET /a HTTP/1.1\r\n").await;
    let mut slow = server.connect().await;
    slow.send("GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await;
    slow.until("\r\n\r\n").await;
    let stopped = tokio::spawn(server.stop());
    assert_eq!(slow.rest().await.split_once("slowly").map(|(_, rest)| rest), Some("\r\n0\r\n\r\n"));
    tokio::time::timeout(LONG / 2, stopped).await.expect("a half head keeps nobody from stopping").unwrap();
    assert_eq!(half.rest().await, "");
}

#[test]
fn connections_leave_files_for_everything_else() {
    let limits = Limits { connections: 1000, files_per_connection: 2, ..Limits::gateway() };
    assert_eq!(limits.connections_with(1024), 384);
    assert_eq!(limits.connections_with(256), 96);
    assert_eq!(limits.connections_with(usize::MAX), 1000);
    assert_eq!(limits.connections_with(3), 8, "a server without connections is none");
}

#[test]
fn what_happens_often_is_said_once_with_its_count() {
    let seldom = Seldom::new(Duration::from_millis(50));
    let said: Vec<_> = (0..10).map(|_| seldom.count()).collect();
    assert_eq!((said[0], said[9]), (Some(1), None));
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(seldom.count(), Some(10));
}
