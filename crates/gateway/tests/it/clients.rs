//! Clients as they are: curl, nghttp and h2load, a browser, and gRPC's.

mod browser;
mod grpc;

use std::collections::BTreeMap;
use std::process::Stdio;
use std::sync::atomic::Ordering;

use tokio::process::Command;
use windlass_core::gateway::{Route, ServiceSpec};

use crate::backend::Backend;
use crate::harness::{Front, HOST, route, spec};
use crate::secure::{give, made, put, secure_front};

/// A gateway with an app in the clear as `shop.test`, and by TLS as `localhost`; its certificate is in `localhost.pem`.
async fn front() -> (Front, Backend) {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    let routes = vec![Route { https: true, ..route("localhost", "/") }, route(HOST, "/")];
    front.control.switch(ServiceSpec { routes, ..spec(1, &[&app]) }).await.unwrap();
    let certificate = made(&["localhost"]);
    put(&front.folder().join("localhost.pem"), &certificate.chain);
    give(&front, vec![certificate.given("localhost")]).await;
    (front, app)
}

/// What a program says, on both ways, when it has succeeded.
async fn run(program: &str, arguments: &[&str]) -> String {
    let mut command = Command::new(program);
    command.args(arguments).env("NO_PROXY", "*").stdin(Stdio::null()).kill_on_drop(true);
    let output = command.output().await.unwrap_or_else(|error| panic!("{program}: {error}; .ci/test installs it"));
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

async fn curl(arguments: &[&str]) -> String {
    let how = ["--silent", "--show-error", "--max-time", "60", "--write-out", "\n%{http_version} %{http_code}"];
    run("curl", &[&how, arguments].concat()).await
}

#[tokio::test]
async fn curl_asks_in_the_clear_and_by_tls_over_each_version() {
    let (front, _app) = front().await;
    let plain = format!("http://{}/", front.http());
    let secure = format!("https://localhost:{}/", front.gateway.https_addr().unwrap().port());
    let certificate = front.folder().join("localhost.pem");
    let certificate = certificate.to_str().unwrap();
    let host = format!("Host: {HOST}");
    for (arguments, expected) in [
        (vec!["--http1.1", "-H", &host, &plain], "app\n1.1 200"),
        (vec!["--http1.0", "-H", &host, &plain], "app\n1 200"),
        (vec!["--http2", "-H", &host, &plain], "app\n1.1 200"),
        (vec!["--http2-prior-knowledge", "-H", &host, &plain], "app\n2 200"),
        (vec!["--http1.1", "--cacert", certificate, &secure], "app\n1.1 200"),
        (vec!["--http2", "--cacert", certificate, &secure], "app\n2 200"),
        (vec!["--http2", "--tls-max", "1.2", "--cacert", certificate, &secure], "app\n2 200"),
    ] {
        assert_eq!(curl(&arguments).await, expected, "{arguments:?}");
    }
}

#[tokio::test]
async fn curls_uploads_wait_for_the_apps_word_and_arrive_whole() {
    let (front, app) = front().await;
    let secure = format!("https://localhost:{}/upload", front.gateway.https_addr().unwrap().port());
    let certificate = front.folder().join("localhost.pem");
    let file = front.folder().join("upload");
    put(&file, &"x".repeat(3_000_000));
    let from = format!("@{}", file.to_str().unwrap());
    let common =
        ["--verbose", "--cacert", certificate.to_str().unwrap(), "-H", "Expect: 100-continue", "--data-binary"];
    for (number, version) in [(1, "--http1.1"), (2, "--http2")] {
        let said = curl(&[&common[..], &[&from, version, &secure]].concat()).await;
        assert!(said.contains(" 100"), "{said}");
        assert_eq!(app.knobs.uploaded.load(Ordering::SeqCst), number * 3_000_000);
    }
}

#[tokio::test]
async fn nghttp_and_h2load_ask_over_many_streams() {
    let (front, app) = front().await;
    let secure = format!("https://localhost:{}/", front.gateway.https_addr().unwrap().port());
    let headers = format!("{secure}headers");
    let said = run("nghttp", &["--verbose", "--no-verify-peer", &secure, &headers]).await;
    assert_eq!(said.matches(":status: 200").count(), 2, "{said}");
    let before = app.hits();
    let said = run("h2load", &["-n", "400", "-c", "4", "-m", "10", &secure]).await;
    assert!(said.contains("400 succeeded, 0 failed") && said.contains("status codes: 400 2xx"), "{said}");
    assert_eq!(app.hits() - before, 400);
}
