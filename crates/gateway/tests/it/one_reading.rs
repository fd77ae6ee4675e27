//! A request's path is read once, for the route and for the app; and what one side does wrong is told of that side.

use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use windlass_core::gateway::{ServiceKey, Target, TargetState};

use crate::backend::Backend;
use crate::client::{self, Client};
use crate::harness::{Front, HOST, route, spec};

/// Bytes as they are, and all that comes back until the other side closes.
async fn raw(front: &Front, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(front.http()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

/// An app that answers with these bytes, whatever it is asked, and tells what it was asked.
async fn app(answer: &'static [u8]) -> (Target, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let tell = tell.clone();
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => return,
                    }
                }
                let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
                let _ = stream.write_all(answer).await;
            });
        }
    });
    (Target { name: "raw".to_owned(), address }, told)
}

async fn front_of(target: Target) -> Front {
    let front = Front::start().await;
    let mut service = spec(1, &[]);
    service.targets = vec![target];
    service.probe.path = None;
    front.control.switch(service).await.unwrap();
    front
}

#[tokio::test]
async fn no_spelling_of_a_path_reaches_another_app_than_its_plain_one() {
    let front = Front::start().await;
    let (shop, api) = (Backend::start("shop").await, Backend::start("api").await);
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let mut other = spec(1, &[&api]);
    other.key = ServiceKey("1/production/api".to_owned());
    other.routes = vec![route(HOST, "/api"), route(HOST, "/caf%c3%a9")];
    front.control.switch(other).await.unwrap();

    let mut client = Client::connect(front.http()).await;
    for path in ["/%61pi", "/x/../api", "/x/%2e%2e/api", "/./api", "/api/%2E/x", "/a/b/../../api/", "/caf%C3%A9/x"] {
        assert_eq!(client.get(HOST, path).await.unwrap(), (200, "api".to_owned()), "{path}");
    }
    for path in ["/", "/apix", "/x/api", "/x%2fapi", "/a//b", "/api/../x", "/files/a;v=1"] {
        assert_eq!(client.get(HOST, path).await.unwrap(), (200, "shop".to_owned()), "{path}");
    }
    for path in ["//api", "/x/..%2fapi", "/x%2f..%2fapi", "/%2561pi", "/api/..%2fx", "/..;/api", "/api%00"] {
        assert_eq!(client.get(HOST, path).await.unwrap().0, 400, "{path}");
    }
}

#[tokio::test]
async fn the_app_gets_the_path_by_which_it_was_found() {
    let (target, mut told) = app(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
    let front = front_of(target).await;
    for (sent, expected) in
        [("/x/../%61pi/%2f?y=/../%61", "/api/%2F?y=/../%61"), ("/a//b?c", "/a//b?c"), ("/caf%c3%a9", "/caf%C3%A9")]
    {
        assert_eq!(front.get(sent).await.0, 200);
        let asked = told.recv().await.unwrap();
        assert!(asked.starts_with(&format!("GET {expected} HTTP/1.1\r\n")), "{asked}");
    }
}

#[tokio::test]
async fn a_clients_broken_body_is_the_clients_fault() {
    let front = Front::start().await;
    let shop = Backend::start("shop").await;
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let probes = || shop.knobs.probes.load(std::sync::atomic::Ordering::SeqCst);
    let before = probes();
    let head = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
    let answer = raw(&front, format!("{head}5\r\nhello\r\nzz\r\n").as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert_eq!(front.control.state_of("shop").await, Some(TargetState::Healthy));
    assert!(probes() - before < 5, "nobody doubts the app");
}

#[tokio::test]
async fn a_coding_that_nobody_undoes_is_not_passed_on() {
    let front = Front::start().await;
    let shop = Backend::start("shop").await;
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    for coding in ["gzip, chunked", "gzip\r\ntransfer-encoding: chunked"] {
        let request = format!(
            "POST / HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ntransfer-encoding: {coding}\r\n\r\n0\r\n\r\n"
        );
        let answer = raw(&front, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 501 "), "{coding}: {answer}");
    }
    for smuggled in [
        "content-length: 5\r\ncontent-length: 6",
        "content-length: 5\r\ntransfer-encoding: identity",
        "transfer-encoding : chunked",
        "content-length: +5",
    ] {
        let request = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\n{smuggled}\r\n\r\nhello");
        let answer = raw(&front, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 400 ") || answer.starts_with("HTTP/1.1 501 "), "{smuggled}: {answer}");
    }
    assert_eq!(shop.hits(), 0);
}

#[tokio::test]
async fn an_answer_with_both_lengths_arrives_whole() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let (target, _told) = app(answer).await;
    let front = front_of(target).await;
    let response = Client::connect(front.http()).await.send(client::get(HOST, "/")).await.unwrap();
    assert!(!response.headers().contains_key("content-length"));
    assert_eq!(front.get("/").await, (200, "hello".to_owned()));
}

#[tokio::test]
async fn an_answer_that_cannot_be_passed_on_is_the_apps_fault_and_says_why() {
    for (answer, words) in [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n".as_slice(), "transfer coding"),
        (b"SSH-2.0-x\r\n\r\n".as_slice(), "not HTTP"),
        (b"".as_slice(), "closed the connection"),
    ] {
        let (target, _told) = app(answer).await;
        let front = front_of(target).await;
        let (status, body) = front.get("/").await;
        assert!(status == 502 && body.contains(words), "{status} {body}");
    }
}

#[tokio::test]
async fn a_target_that_names_another_host_than_the_header_is_refused() {
    let front = Front::start().await;
    let shop = Backend::start("shop").await;
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let request = Request::get(format!("http://{HOST}/")).header("host", "other.test").body(client::nothing()).unwrap();
    assert_eq!(Client::connect(front.http()).await.send(request).await.unwrap().status(), 400);
}

#[tokio::test]
async fn a_client_that_waits_with_its_body_hears_the_apps_no_and_not_the_gateways_yes() {
    let (target, mut told) = app(b"HTTP/1.1 417 Expectation Failed\r\ncontent-length: 0\r\n\r\n").await;
    let front = front_of(target).await;
    assert_eq!(waiting_with_its_body(&front).await.1, "HTTP/1.1 417");
    assert!(told.recv().await.unwrap().contains("\r\nexpect: 100-continue\r\n"), "the app is asked");
}

#[tokio::test]
async fn a_client_that_waits_with_its_body_sends_it_when_the_app_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let front = front_of(Target { name: "raw".to_owned(), address: listener.local_addr().unwrap() }).await;
    let app = async {
        loop {
            // The gateway looks now and then whether somebody listens.
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while let Ok(byte) = stream.read_u8().await {
                head.push(byte);
                if head.ends_with(b"\r\n\r\n") {
                    stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
                    let mut body = [0; 5];
                    stream.read_exact(&mut body).await.unwrap();
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").await.unwrap();
                    return stream.write_all(&body).await.unwrap();
                }
            }
        }
    };
    let client = async {
        let (mut client, heard) = waiting_with_its_body(&front).await;
        assert_eq!(heard, "HTTP/1.1 100");
        client.write_all(b"hello").await.unwrap();
        let mut rest = Vec::new();
        while !rest.ends_with(b"hello") {
            rest.push(client.read_u8().await.unwrap());
        }
    };
    tokio::join!(app, client);
}

/// What a client hears first that waits.
async fn waiting_with_its_body(front: &Front) -> (TcpStream, String) {
    let mut client = TcpStream::connect(front.http()).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: {HOST}\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
    client.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    client.read_exact(&mut first).await.unwrap();
    (client, String::from_utf8(first.to_vec()).unwrap())
}
