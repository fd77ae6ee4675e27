//! The stand-ins, from outside: over their sockets, as what is tested against them will meet them.

#![expect(clippy::unwrap_used, reason = "in a test, what must not be ends the test")]

mod deliveries;
mod docker;
mod docker_daemon;
mod docker_faults;
mod docker_host;
mod faults;
mod fixtures;
mod hooks;
mod rest_api;
mod sample_app;

use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use windlass_testing::FakeGitHub;

/// Longer than anything here takes, even on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// A request with the right token.
fn request(github: &FakeGitHub, method: Method, path: &str) -> RequestBuilder {
    client().request(method, format!("{}{path}", github.url())).bearer_auth(github.token())
}

async fn get(github: &FakeGitHub, path: &str) -> (u16, Value) {
    answer(request(github, Method::GET, path)).await
}

async fn post(github: &FakeGitHub, path: &str, body: Value) -> (u16, Value) {
    answer(request(github, Method::POST, path).json(&body)).await
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
