//! What an app is told of a client that came through somebody else.

use std::sync::atomic::Ordering;

use http_body_util::BodyExt;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use windlass_core::gateway::ServiceSpec;

use crate::backend::Backend;
use crate::client::{Client, get, nothing};
use crate::harness::{Front, HOST, spec};

const SENT: [(&str, &str); 8] = [
    ("x-forwarded-for", "203.0.113.7"),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-port", "8443"),
    ("x-forwarded-host", "www.shop.test"),
    ("x-forwarded-prefix", "/shop"),
    ("forwarded", "for=203.0.113.7;proto=https"),
    ("x-real-ip", "203.0.113.7"),
    ("x_forwarded_proto", "https"),
];

fn https(backends: &[&Backend]) -> ServiceSpec {
    ServiceSpec { https: true, ..spec(1, backends) }
}

/// What the app was sent of that kind.
async fn told(front: &Front, sent: &[(&str, &str)]) -> Vec<String> {
    let mut request = Request::get("/headers").header("host", HOST);
    for (name, value) in sent {
        request = request.header(*name, *value);
    }
    let response = Client::connect(front.http()).await.send(request.body(nothing()).unwrap()).await.unwrap();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let lines =
        std::str::from_utf8(&body).unwrap().lines().filter(|line| line.contains("forwarded") || line.contains("real"));
    let mut lines: Vec<String> = lines.map(ToOwned::to_owned).collect();
    lines.sort();
    lines
}

fn of_a_stranger(proto: &str, port: u16) -> Vec<String> {
    vec![
        format!("forwarded: for=127.0.0.1;host=\"{HOST}\";proto={proto}"),
        "x-forwarded-for: 127.0.0.1".to_owned(),
        format!("x-forwarded-host: {HOST}"),
        format!("x-forwarded-port: {port}"),
        format!("x-forwarded-proto: {proto}"),
    ]
}

#[tokio::test]
async fn rule_102_what_a_stranger_says_of_itself_is_replaced_by_what_is_true() {
    let app = Backend::start("app").await;
    for proxies in [&[][..], &["192.0.2.0/24", "unix"]] {
        let front = Front::behind(proxies).await;
        front.control.switch(spec(1, &[&app])).await.unwrap();
        assert_eq!(told(&front, &SENT).await, of_a_stranger("http", 80), "{proxies:?}");
        assert_eq!(told(&front, &[]).await, of_a_stranger("http", 80), "{proxies:?}");
    }
}

#[tokio::test]
async fn rule_102_what_a_trusted_proxy_says_reaches_the_app_whatever_the_connection_header_names() {
    let app = Backend::start("app").await;
    let front = Front::behind(&["127.0.0.0/8"]).await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let expected = [
        "forwarded: for=203.0.113.7;proto=https, for=127.0.0.1",
        "x-forwarded-for: 203.0.113.7, 127.0.0.1",
        "x-forwarded-host: www.shop.test",
        "x-forwarded-port: 8443",
        "x-forwarded-prefix: /shop",
        "x-forwarded-proto: https",
        "x-real-ip: 203.0.113.7",
    ];
    assert_eq!(told(&front, &SENT).await, expected);
    let trick = ("connection", "x-forwarded-for, x-forwarded-proto, Forwarded, X-Real-IP, x-forwarded-port");
    let tricked: Vec<_> = SENT.into_iter().chain([trick]).collect();
    assert_eq!(told(&front, &tricked).await, expected);
    let stranger = Front::start().await;
    stranger.control.switch(spec(1, &[&app])).await.unwrap();
    assert_eq!(told(&stranger, &tricked).await, of_a_stranger("http", 80));
}

#[tokio::test]
async fn rule_102_an_app_that_forces_https_answers_behind_what_ends_tls_and_so_does_its_health_path() {
    let app = Backend::start("app").await;
    app.knobs.https_only.store(true, Ordering::SeqCst);
    for proxies in [&[][..], &["127.0.0.1"]] {
        let front = Front::behind(proxies).await;
        front.control.switch(https(&[&app])).await.unwrap();
        assert_eq!(*app.knobs.probed_as.lock().unwrap(), HOST);
        assert_eq!(front.get("/").await, (200, "app".to_owned()), "{proxies:?}");
        assert_eq!(told(&front, &[]).await, of_a_stranger("https", 443), "{proxies:?}");
    }
    let front = Front::behind(&["192.0.2.1"]).await;
    front.control.switch(https(&[&app])).await.unwrap();
    let response = Client::connect(front.http()).await.send(get(HOST, "/a")).await.unwrap();
    assert_eq!(
        (response.status().as_u16(), response.headers()["location"].to_str().unwrap()),
        (301, "https://shop.test/a")
    );
}

#[tokio::test]
async fn rule_102_an_app_with_an_address_in_the_clear_is_not_told_of_tls() {
    let app = Backend::start("app").await;
    let front = Front::start().await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    app.knobs.https_only.store(true, Ordering::SeqCst);
    let response = Client::connect(front.http()).await.send(get(HOST, "/")).await.unwrap();
    assert_eq!(response.status(), 301);
}

#[tokio::test]
async fn rule_102_a_web_socket_is_told_like_any_request() {
    let app = Backend::start("app").await;
    for (proxies, proto) in [(&[][..], "http"), (&["127.0.0.1"], "https")] {
        let front = Front::behind(proxies).await;
        front.control.switch(spec(1, &[&app])).await.unwrap();
        let mut stream = TcpStream::connect(front.http()).await.unwrap();
        let request = format!(
            "GET /ws HTTP/1.1\r\nhost: {HOST}\r\nconnection: Upgrade, X-Forwarded-Proto\r\nupgrade: websocket\r\n\
             sec-websocket-key: x\r\nsec-websocket-version: 13\r\nx-forwarded-proto: https\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = [0; 1024];
        let length = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 101"), "{answer}");
        assert!(answer.contains(&format!("x-told: {proto}\r\n")), "{proxies:?}: {answer}");
    }
}
