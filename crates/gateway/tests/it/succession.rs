//! The end of one gateway and the beginning of the next.

use std::time::Duration;

use futures_util::StreamExt;
use hyper::Response;
use hyper::body::Incoming;
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use windlass_gateway::{Gateway, GatewayOptions};

use crate::backend::Backend;
use crate::client::{Client, fetch, get};
use crate::harness::{Front, HOST, eventually, options, spec};

/// Less than a gateway gives to requests under way.
const SOON: Duration = Duration::from_secs(8);

async fn web_socket(front: &Front) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(front.http()).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await.unwrap().0
}

async fn events(front: &Front) -> (Client, Response<Incoming>) {
    let mut client = Client::connect(front.http()).await;
    let events = client.send(get(HOST, "/events")).await.unwrap();
    (client, events)
}

#[tokio::test]
async fn a_gateway_that_stops_waits_for_no_web_socket_and_no_event_stream() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut sockets = Vec::new();
    let mut streams = Vec::new();
    for _ in 0..100 {
        sockets.push(web_socket(&front).await);
        streams.push(events(&front).await);
    }
    tokio::time::timeout(SOON, front.stop()).await.expect("they have no end of their own");
    for socket in &mut sockets {
        assert!(!matches!(socket.next().await, Some(Ok(_))), "they end with it");
    }
}

#[tokio::test]
async fn the_next_gateway_serves_while_the_last_requests_of_the_one_before_end() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let (http, before) = (front.http(), app.hits());
    let slow = tokio::spawn(async move { Client::connect(http).await.get(HOST, "/slow").await });
    eventually("the request arrives", async || app.hits() > before).await;
    let _socket = web_socket(&front).await;

    let options = GatewayOptions { http, ..options(front.folder()) };
    let (sender, folder) = tokio::sync::oneshot::channel();
    let ending = tokio::spawn(async move {
        let _ = sender.send(front.stop().await);
    });
    let mut next = None;
    eventually("the next one starts", async || {
        next = Gateway::start(options.clone()).await.ok();
        next.is_some()
    })
    .await;
    assert_eq!(fetch(http, HOST, "/").await, (200, "app".to_owned()));
    assert!(!ending.is_finished() && !slow.is_finished());
    app.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "app".to_owned()), "from the one before");
    let folder = folder.await.unwrap();
    assert!(folder.path().join("gateway.sock").exists(), "it is the next one's by now");
    next.unwrap().stop().await;
}

#[tokio::test]
async fn an_event_stream_that_has_ended_leaves_a_connection_that_is_waited_for() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let ended = client.send(get(HOST, "/event-that-ends")).await.unwrap();
    http_body_util::BodyExt::collect(ended.into_body()).await.unwrap();
    let before = app.hits();
    let slow = tokio::spawn(async move { client.get(HOST, "/slow").await });
    eventually("the request arrives", async || app.hits() > before).await;
    let ending = tokio::spawn(front.stop());
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!ending.is_finished());
    app.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "app".to_owned()));
    ending.await.unwrap();
}
