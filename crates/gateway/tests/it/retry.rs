//! An app that closes its connections whenever it likes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::Target;

use crate::client::{Client, nothing};
use crate::harness::{Front, HOST, spec};

/// What it does with a connection's second request.
#[derive(Clone, Copy)]
enum Second {
    /// Closes when it has read it, without a word.
    Swallow,
    /// Is not there any more: it closed after the first answer.
    Gone,
}

struct Fickle {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    _server: AbortOnDropHandle<()>,
}

impl Fickle {
    async fn start(second: Second) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(AtomicU64::new(0));
        let server = tokio::spawn({
            let requests = Arc::clone(&requests);
            async move {
                loop {
                    let (stream, _) = listener.accept().await.unwrap();
                    tokio::spawn(converse(stream, second, Arc::clone(&requests)));
                }
            }
        });
        Self { address, requests, _server: AbortOnDropHandle::new(server) }
    }

    async fn behind(&self, front: &Front) {
        let mut service = spec(1, &[]);
        service.targets = vec![Target { name: "fickle".to_owned(), address: self.address }];
        service.probe.path = None;
        front.control.switch(service).await.unwrap();
    }
}

async fn converse(mut stream: TcpStream, second: Second, requests: Arc<AtomicU64>) {
    for turn in 0.. {
        if !read_head(&mut stream).await {
            return;
        }
        requests.fetch_add(1, Ordering::SeqCst);
        if turn == 1 && matches!(second, Second::Swallow) {
            return;
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await.unwrap();
        if matches!(second, Second::Gone) {
            return;
        }
    }
}

async fn read_head(stream: &mut TcpStream) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

async fn ask(client: &mut Client, method: &str) -> u16 {
    let request = Request::builder().method(method).uri("/").header("host", HOST).body(nothing()).unwrap();
    client.send(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_connection_that_closes_under_a_get_is_tried_once_more() {
    let front = Front::start().await;
    let fickle = Fickle::start(Second::Swallow).await;
    fickle.behind(&front).await;
    let mut client = Client::connect(front.http()).await;
    assert_eq!(ask(&mut client, "GET").await, 200);
    assert_eq!(ask(&mut client, "GET").await, 200);
    assert_eq!(fickle.requests.load(Ordering::SeqCst), 3, "the second was sent twice");
}

#[tokio::test]
async fn what_is_idempotent_and_has_no_body_is_tried_once_more_too() {
    for method in ["PUT", "DELETE", "HEAD", "OPTIONS"] {
        let front = Front::start().await;
        let fickle = Fickle::start(Second::Swallow).await;
        fickle.behind(&front).await;
        let mut client = Client::connect(front.http()).await;
        assert_eq!((ask(&mut client, "GET").await, ask(&mut client, method).await), (200, 200), "{method}");
        assert_eq!(fickle.requests.load(Ordering::SeqCst), 3, "{method}");
    }
}

#[tokio::test]
async fn a_post_that_may_have_been_read_is_not_sent_again() {
    let front = Front::start().await;
    let fickle = Fickle::start(Second::Swallow).await;
    fickle.behind(&front).await;
    let mut client = Client::connect(front.http()).await;
    assert_eq!(ask(&mut client, "POST").await, 200);
    assert_eq!(ask(&mut client, "POST").await, 502);
    assert_eq!(fickle.requests.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_has_closed_meanwhile_is_not_used() {
    let front = Front::start().await;
    let fickle = Fickle::start(Second::Gone).await;
    fickle.behind(&front).await;
    let mut client = Client::connect(front.http()).await;
    for method in ["POST", "GET", "POST", "PUT"] {
        assert_eq!(ask(&mut client, method).await, 200, "{method}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fickle.requests.load(Ordering::SeqCst), 4);
}

#[tokio::test]
async fn a_post_waits_for_no_idle_connection_that_may_close() {
    let front = Front::start().await;
    let fickle = Fickle::start(Second::Swallow).await;
    fickle.behind(&front).await;
    let mut client = Client::connect(front.http()).await;
    assert_eq!(ask(&mut client, "POST").await, 200);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert_eq!(ask(&mut client, "POST").await, 200, "sent on a connection of its own");
}
