//! Several requests at a time on one connection: what keeps it, what ends it, and a WebSocket among them.

use std::time::{Duration, Instant};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame, Incoming};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::AbortOnDropHandle;
use windlass_gateway::{Limits, Patience};

use crate::backend::Backend;
use crate::client::{RequestBody, nothing};
use crate::harness::{Front, HOST, spec};

const SHORT: Duration = Duration::from_millis(300);
/// Who is overdue is looked for twice a second.
const LONG_OVER: Duration = Duration::from_secs(2);

struct Client {
    sender: SendRequest<RequestBody>,
    connection: AbortOnDropHandle<()>,
}

impl Client {
    /// With prior knowledge. It says every now and then that it is there.
    async fn connect(front: &Front) -> Self {
        let stream = TcpStream::connect(front.http()).await.unwrap();
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).keep_alive_interval(SHORT / 6).keep_alive_while_idle(true);
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, connection: AbortOnDropHandle::new(connection) }
    }

    async fn send(&mut self, request: Request<RequestBody>) -> hyper::Result<hyper::Response<Incoming>> {
        self.sender.ready().await?;
        self.sender.send_request(request).await
    }

    async fn get(&mut self, path: &str) -> String {
        let request = Request::get(format!("http://{HOST}{path}")).body(nothing()).unwrap();
        let answer = self.send(request).await.unwrap();
        String::from_utf8(answer.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }
}

async fn front(limits: Limits) -> (Front, Backend) {
    let front = Front::within(limits).await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    (front, app)
}

#[tokio::test]
async fn what_comes_between_requests_is_no_head_that_takes_too_long() {
    let (front, _app) = front(Limits { head: SHORT, ..Limits::gateway() }).await;
    let mut client = Client::connect(&front).await;
    assert_eq!(client.get("/").await, "app");
    tokio::time::sleep(LONG_OVER).await;
    assert_eq!(client.get("/").await, "app");
}

#[tokio::test]
async fn a_connection_without_requests_ends_whatever_else_the_client_says() {
    let (front, _app) = front(Limits { idle: SHORT, ..Limits::gateway() }).await;
    let mut client = Client::connect(&front).await;
    assert_eq!(client.get("/").await, "app");
    let ended = tokio::time::timeout(10 * LONG_OVER, &mut client.connection).await;
    assert!(ended.is_ok(), "it is kept for ever");
}

#[tokio::test]
async fn a_web_socket_is_opened_among_them_and_its_connection_is_not_idle() {
    let (front, _app) = front(Limits { idle: SHORT, head: SHORT, ..Limits::gateway() }).await;
    let mut client = Client::connect(&front).await;
    // By then the client knows that it may ask so.
    assert_eq!(client.get("/").await, "app");
    let request = Request::connect(format!("http://{HOST}/ws"))
        .header("sec-websocket-version", "13")
        .extension(Protocol::from_static("websocket"))
        .body(nothing())
        .unwrap();
    let mut answer = client.send(request).await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-told"], "http");
    assert!(!answer.headers().contains_key("sec-websocket-accept"));
    let upgraded = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Client, None).await;
    for word in ["first", "after a while"] {
        socket.send(Message::text(word)).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), Message::text(word));
        tokio::time::sleep(LONG_OVER).await;
    }
}

#[tokio::test]
async fn a_body_that_stalls_is_given_up_though_other_requests_go_on() {
    let body = Patience { grace: SHORT, bytes_per_second: 1024 * 1024, stall: 60 * SHORT };
    let (front, _app) = front(Limits { body, ..Limits::gateway() }).await;
    let mut client = Client::connect(&front).await;
    let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"x")))]);
    let stalls = BodyExt::boxed_unsync(StreamBody::new(first.chain(futures_util::stream::pending())));
    let upload = Request::post(format!("http://{HOST}/upload")).body(stalls).unwrap();
    let begun = Instant::now();
    let upload = client.send(upload);
    assert!(tokio::time::timeout(10 * LONG_OVER, upload).await.expect("it is waited for for ever").is_err());
    assert!(begun.elapsed() < 60 * SHORT, "by its rate, not because it stood still");
}
