//! What a request may take, and what a proxy in front says of its client first.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::proxies::TrustedProxy;
use windlass_gateway::{GatewayOptions, Limits, RequestLimits};

use crate::backend::Backend;
use crate::client::{Client, RequestBody, get};
use crate::harness::{Front, HOST, options, spec};

const SHORT: Duration = Duration::from_millis(200);

async fn front_with(change: impl FnOnce(&mut GatewayOptions)) -> (Front, Backend) {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options(folder.path());
    change(&mut options);
    let front = Front::start_with(options, folder).await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    (front, app)
}

fn requests(change: impl FnOnce(&mut RequestLimits)) -> impl FnOnce(&mut GatewayOptions) {
    |options| change(&mut options.requests)
}

async fn upload(front: &Front, body: RequestBody) -> u16 {
    let request = Request::post("/upload").header("host", HOST).body(body).unwrap();
    Client::connect(front.http()).await.send(request).await.unwrap().status().as_u16()
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_by_its_length_or_when_it_has_come_so_far() {
    let (front, app) = front_with(requests(|limits| limits.body = Some(1000))).await;
    let sized = |size| Full::<Bytes>::from(vec![b'x'; size]).map_err(|never| match never {}).boxed_unsync();
    let chunked = |count: usize| {
        let pieces = (0..count).map(|_| Ok(Frame::data(Bytes::from_static(&[b'x'; 100]))));
        BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(pieces)))
    };
    assert_eq!(upload(&front, sized(1000)).await, 200);
    assert_eq!(upload(&front, chunked(10)).await, 200);
    let before = app.hits();
    assert_eq!(upload(&front, sized(1001)).await, 413);
    assert_eq!(app.hits(), before, "the app does not hear of it");
    assert_eq!(upload(&front, chunked(11)).await, 413);
}

#[tokio::test]
async fn an_app_that_does_not_begin_to_answer_in_time_is_given_up() {
    let (front, app) = front_with(requests(|limits| limits.first_byte = SHORT)).await;
    assert_eq!(front.get("/slow").await.0, 504);
    app.knobs.gate.add_permits(1);
    assert_eq!(front.get("/").await.0, 200);
}

#[tokio::test]
async fn a_whole_request_has_its_time_and_an_answer_that_goes_on_is_cut() {
    let (front, _app) = front_with(requests(|limits| limits.whole = Some(SHORT))).await;
    assert_eq!(front.get("/slow").await.0, 504);
    let mut client = Client::connect(front.http()).await;
    let events = client.send(get(HOST, "/events")).await.unwrap();
    assert_eq!(events.status(), 200);
    assert!(events.into_body().collect().await.is_err(), "a stream without an end is cut");
}

#[tokio::test]
async fn a_head_has_so_many_fields_and_so_many_bytes() {
    let (front, _app) =
        front_with(|options| options.limits = Limits { fields: 5, head_bytes: 8192, ..Limits::gateway() }).await;
    let fields = |count: usize| (0..count).map(|number| format!("x-{number}: 1\r\n")).collect::<String>();
    let ask = |fields: String| raw(front.http(), format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{fields}\r\n"));
    assert!(ask(fields(3) + "connection: close\r\n").await.starts_with("HTTP/1.1 200"));
    assert!(ask(fields(5)).await.starts_with("HTTP/1.1 431"));
    assert!(ask(format!("x: {}\r\n", "y".repeat(9000))).await.starts_with("HTTP/1.1 431"));
    let target = "y".repeat(9000);
    let answer = raw(front.http(), format!("GET /{target} HTTP/1.1\r\nhost: {HOST}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 414"), "{answer}");
}

#[tokio::test]
async fn more_fields_than_usual_may_be_allowed() {
    let (front, _app) = front_with(|options| options.limits = Limits { fields: 150, ..Limits::gateway() }).await;
    let fields: String = (0..140).map(|number| format!("x-{number}: 1\r\n")).collect();
    // The app that is there takes no more than usual.
    let asked = format!("GET / HTTP/1.1\r\nhost: nobody.test\r\n{fields}connection: close\r\n\r\n");
    assert!(raw(front.http(), asked).await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn a_proxy_says_whose_connection_it_is_and_nobody_else_may() {
    let trust = |proxy: &'static str| {
        move |options: &mut GatewayOptions| {
            options.proxy_protocol = true;
            options.trusted = [proxy.parse::<TrustedProxy>().unwrap()].into_iter().collect();
        }
    };
    let asked = format!("GET /headers HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
    let introduced = format!("PROXY TCP4 203.0.113.9 198.51.100.1 4711 80\r\n{asked}");
    let (front, _app) = front_with(trust("127.0.0.1")).await;
    let answer = raw(front.http(), introduced.clone()).await;
    assert!(answer.contains("x-forwarded-for: 203.0.113.9\n"), "{answer}");
    assert_eq!(raw(front.http(), asked.clone()).await, "", "a proxy that says nothing is none");
    let (front, _app) = front_with(trust("192.0.2.1")).await;
    assert!(raw(front.http(), introduced).await.starts_with("HTTP/1.1 400"));
    let answer = raw(front.http(), asked).await;
    assert!(answer.contains("x-forwarded-for: 127.0.0.1\n"), "{answer}");
}

/// All that comes back until the connection ends.
async fn raw(gateway: SocketAddr, request: String) -> String {
    let mut stream = TcpStream::connect(gateway).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Who is refused in the middle of what it sends may see a reset behind the answer.
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8(answer).unwrap()
}
