use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use windlass_core::quantity::Duration as Span;

use crate::backend::Backend;
use crate::client::{Client, get};
use crate::harness::{Front, HOST, eventually, spec};

async fn web_socket(front: &Front) -> WebSocketStream<TcpStream> {
    let stream = TcpStream::connect(front.http()).await.unwrap();
    tokio_tungstenite::client_async(format!("ws://{HOST}/ws"), stream).await.unwrap().0
}

async fn echo(socket: &mut WebSocketStream<TcpStream>, text: &str) -> String {
    socket.send(Message::text(text)).await.unwrap();
    socket.next().await.unwrap().unwrap().into_text().unwrap().to_string()
}

async fn next_event(response: &mut Response<Incoming>) -> Option<Bytes> {
    response.body_mut().frame().await?.ok()?.into_data().ok()
}

#[tokio::test]
async fn web_sockets_pass_and_live_until_the_end_of_the_drain() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let mut socket = web_socket(&front).await;
    assert_eq!(echo(&mut socket, "one").await, "one");
    assert_eq!(front.control.targets().await[0].in_flight, 1);

    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(400);
    front.control.switch(next.clone()).await.unwrap();
    assert_eq!(echo(&mut socket, "two").await, "two", "the switch leaves it alone");
    assert_eq!(front.control.drained(&next, &["old"]).await.unwrap().cut, 1);
    let end = tokio::time::timeout(Duration::from_secs(5), socket.next()).await.expect("it was cut");
    assert!(!matches!(end, Some(Ok(_))), "{end:?}");
    assert_eq!(echo(&mut web_socket(&front).await, "three").await, "three");
}

#[tokio::test]
async fn a_closed_web_socket_ends_the_drain() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let mut socket = web_socket(&front).await;
    assert_eq!(echo(&mut socket, "one").await, "one");
    let next = spec(2, &[&new]);
    front.control.switch(next.clone()).await.unwrap();
    drop(socket);
    assert_eq!(front.control.drained(&next, &["old"]).await.unwrap().cut, 0);
}

#[tokio::test]
async fn events_pass_at_once_and_until_the_end_of_the_drain() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let mut events = client.send(get(HOST, "/events")).await.unwrap();
    assert_eq!(events.headers()["content-type"], "text/event-stream");
    old.knobs.events.send("data: 1\n\n").unwrap();
    assert_eq!(next_event(&mut events).await.unwrap(), "data: 1\n\n");

    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(400);
    front.control.switch(next.clone()).await.unwrap();
    old.knobs.events.send("data: 2\n\n").unwrap();
    assert_eq!(next_event(&mut events).await.unwrap(), "data: 2\n\n");
    assert_eq!(front.control.drained(&next, &["old"]).await.unwrap().cut, 1);
    let end = tokio::time::timeout(Duration::from_secs(5), events.body_mut().frame()).await.unwrap();
    assert!(end.unwrap().is_err(), "a cut stream does not look complete");
}

#[tokio::test]
async fn a_client_that_leaves_an_event_stream_frees_its_target() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let events = client.send(get(HOST, "/events")).await.unwrap();
    assert_eq!(front.control.targets().await[0].in_flight, 1);
    drop((events, client));
    eventually("nothing is under way", async || front.control.targets().await[0].in_flight == 0).await;
    eventually("the app knows", async || {
        app.knobs.events.receiver_count() == 0 || {
            let _ = app.knobs.events.send("data: x\n\n");
            false
        }
    })
    .await;
}

#[tokio::test]
async fn an_upload_streams_through_with_and_without_a_length() {
    const PIECE: usize = 1 << 20;
    const PIECES: usize = 24;
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    for length in [None, Some(PIECE * PIECES)] {
        let before = app.knobs.uploaded.load(std::sync::atomic::Ordering::SeqCst);
        let (pieces, body) = mpsc::channel::<Bytes>(1);
        let body = futures_util::stream::unfold(body, |mut body| async move {
            let piece = body.recv().await?;
            Some((Ok(Frame::data(piece)), body))
        });
        let mut request = Request::post("/upload").header("host", HOST);
        if let Some(length) = length {
            request = request.header("content-length", length);
        }
        let request = request.body(BodyExt::boxed_unsync(StreamBody::new(body))).unwrap();
        let mut client = Client::connect(front.http()).await;
        let sending = async {
            let arrived = || app.knobs.uploaded.load(std::sync::atomic::Ordering::SeqCst) - before;
            for number in 1..=PIECES {
                pieces.send(Bytes::from(vec![b'x'; PIECE])).await.unwrap();
                // Each arrives while the rest has not been sent: nothing collects them.
                eventually("the piece arrives", async || arrived() == (number * PIECE) as u64).await;
            }
            drop(pieces);
        };
        let (response, ()) = tokio::join!(client.send(request), sending);
        assert_eq!(response.unwrap().status(), 200, "length: {length:?}");
        assert_eq!(app.knobs.uploaded.load(std::sync::atomic::Ordering::SeqCst) - before, (PIECE * PIECES) as u64);
    }
}
