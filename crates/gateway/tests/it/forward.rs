use http_body_util::BodyExt;
use hyper::Request;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::backend::Backend;
use crate::client::{Client, get, nothing};
use crate::harness::{Front, HOST, spec};

async fn raw(front: &Front, request: &str) -> String {
    let mut stream = TcpStream::connect(front.http()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn the_app_learns_who_asked_and_nothing_of_the_connection() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let request = Request::get("/headers?a=1&b=%20")
        .header("host", "Shop.test:8080")
        .header("connection", "keep-alive, x-private")
        .header("keep-alive", "timeout=9")
        .header("te", "trailers")
        .header("x-private", "1")
        .header("x-own", "2")
        .header("x-request-id", "7")
        .header("x-forwarded-for", "10.1.1.1")
        .header("x-forwarded-proto", "gopher")
        .header("x_forwarded_for", "10.9.9.9")
        .header("forwarded", "for=10.9.9.9")
        .header("x-real-ip", "10.9.9.9")
        .header("x-forwarded-prefix", "/admin")
        .header("x-forwarded-ssl", "on")
        .header("upgrade", "websocket")
        .body(nothing())
        .unwrap();
    let response = Client::connect(front.http()).await.send(request).await.unwrap();
    assert!(response.headers().get("x-hop").is_none());
    assert!(response.headers().get("connection").is_none());
    assert_eq!(response.headers()["x-end"], "2");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let mut lines: Vec<&str> = std::str::from_utf8(&body).unwrap().lines().collect();
    assert_eq!(lines.remove(0), "GET /headers?a=1&b=%20");
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "forwarded: for=127.0.0.1;host=\"Shop.test:8080\";proto=http",
            "host: Shop.test:8080",
            "x-forwarded-for: 127.0.0.1",
            "x-forwarded-host: Shop.test:8080",
            "x-forwarded-port: 8080",
            "x-forwarded-proto: http",
            "x-own: 2",
            "x-request-id: 7",
        ]
    );
}

#[tokio::test]
async fn a_request_with_two_hosts_is_refused() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let request = Request::get("/").header("host", HOST).header("host", "other.test").body(nothing()).unwrap();
    let response = Client::connect(front.http()).await.send(request).await.unwrap();
    assert_eq!(response.status(), 400);
}

#[tokio::test]
async fn a_head_request_gets_the_length_and_no_body() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let mut client = Client::connect(front.http()).await;
    let request = Request::head("/").header("host", HOST).body(nothing()).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["content-length"]), (200, &"3".parse().unwrap()));
    drop(response);
    assert_eq!(client.send(get(HOST, "/")).await.unwrap().status(), 200, "the connection goes on");
}

#[tokio::test]
async fn http_1_0_clients_are_served() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let answer = raw(&front, &format!("GET / HTTP/1.0\r\nhost: {HOST}\r\n\r\n")).await;
    assert!(answer.starts_with("HTTP/1.0 200") && answer.ends_with("\r\n\r\napp"), "{answer}");
    let answer = raw(&front, "GET / HTTP/1.0\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.0 404"), "{answer}");
}

#[tokio::test]
async fn an_absolute_target_names_the_host_that_the_header_names() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let answer =
        raw(&front, &format!("GET http://{HOST}/headers HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n")).await;
    assert!(answer.contains("GET /headers\n") && answer.contains(&format!("\nhost: {HOST}\n")), "{answer}");
}

#[tokio::test]
async fn what_cannot_be_forwarded_is_said() {
    let front = Front::start().await;
    let answer = raw(&front, "GET / HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
    let answer = raw(&front, "CONNECT shop.test:443 HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
}
