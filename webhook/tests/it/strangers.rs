//! Whoever has no signature cannot keep those waiting who have one.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_testing::fixture;
use windlass_testing::github::Attempt;

use crate::service::World;

/// GitHub gives up after ten seconds.
const SOON: Duration = Duration::from_secs(8);
const MEGABYTE: usize = 1024 * 1024;

async fn connect(world: &World) -> TcpStream {
    let address = world.webhook().replace("http://", "").replace("/webhooks/github", "");
    TcpStream::connect(address).await.unwrap()
}

fn head(length: usize, signature: &str) -> String {
    format!(
        "POST /webhooks/github HTTP/1.1\r\nhost: x\r\nx-github-event: ping\r\nx-github-delivery: forged\r\n\
         x-hub-signature-256: sha256={signature}\r\ncontent-length: {length}\r\n\r\n"
    )
}

fn sized(megabytes: usize) -> Vec<u8> {
    let mut status: serde_json::Value = serde_json::from_slice(&fixture("webhook/status.json")).unwrap();
    status["description"] = "x".repeat(megabytes * MEGABYTE).into();
    serde_json::to_vec(&status).unwrap()
}

/// A small delivery and a large one are taken soon.
async fn deliveries_pass(world: &World, name: &str) {
    let large = sized(2);
    let begun = Instant::now();
    for (guid, body) in [("small", &b"{}"[..]), ("large", &large)] {
        let event = if guid == "small" { "ping" } else { "status" };
        assert_eq!(world.deliver(event, &format!("{name} {guid}"), body).await, Attempt::Answered(202), "{name}");
    }
    assert!(begun.elapsed() < SOON, "{name}: {:?}", begun.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_108_bodies_that_are_announced_and_do_not_come_keep_nobody_waiting() {
    let world = World::start().await;
    let mut strangers = Vec::new();
    for number in 0..200 {
        let mut stranger = connect(&world).await;
        let (length, signature) =
            if number % 2 == 0 { (24 * MEGABYTE, "0".repeat(64)) } else { (1000, "1".repeat(64)) };
        stranger.write_all(head(length, &signature).as_bytes()).await.unwrap();
        stranger.write_all(b"{\"a\":").await.unwrap();
        strangers.push(stranger);
    }
    deliveries_pass(&world, "announced").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_108_bodies_that_come_up_to_their_last_byte_are_on_disk_and_keep_nobody_waiting() {
    let world = World::start().await;
    let body = vec![b'x'; 12 * MEGABYTE];
    let mut strangers = tokio::task::JoinSet::new();
    for _ in 0..16 {
        let (mut stranger, body) = (connect(&world).await, body.clone());
        strangers.spawn(async move {
            stranger.write_all(head(body.len() + 1, &"0".repeat(64)).as_bytes()).await.unwrap();
            stranger.write_all(&body).await.unwrap();
            stranger
        });
    }
    let mut held: Vec<TcpStream> = strangers.join_all().await;
    deliveries_pass(&world, "held").await;
    let mut last = held.pop().unwrap();
    last.write_all(b"x").await.unwrap();
    let mut answer = [0; 12];
    last.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}
