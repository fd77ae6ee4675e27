use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use windlass_testing::FakeGitHub;
use windlass_testing::github::{Attempt, CheckState, Conclusion, sign};

use crate::PATIENCE;

pub(crate) const SECRET: &str = "a shared secret";

/// Takes deliveries, and keeps what it was sent.
pub(crate) struct Receiver {
    pub(crate) url: String,
    received: Arc<Mutex<Vec<(HeaderMap, Bytes)>>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Receiver {
    pub(crate) async fn start(answer: StatusCode) -> Self {
        let received = Arc::new(Mutex::new(Vec::new()));
        let keep = Arc::clone(&received);
        let receive = move |headers: HeaderMap, body: Bytes| {
            keep.lock().unwrap().push((headers, body));
            std::future::ready(answer)
        };
        let router = Router::new().route("/hooks", post(receive));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, received, serving }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_delivery_has_githubs_headers_and_a_signature_over_its_bytes() {
    let receiver = Receiver::start(StatusCode::ACCEPTED).await;
    let github = FakeGitHub::start().await;
    github.set_webhook(&receiver.url, SECRET);
    let sha = github.add_repository("acme/shop").push("main", "Sell things");
    let deliveries = github.until_delivered(PATIENCE).await.unwrap();
    assert_eq!(deliveries[0].attempts, [Attempt::Answered(202)]);

    let received = receiver.received.lock().unwrap();
    let (headers, body) = &received[0];
    let header = |name: &str| headers[name].to_str().unwrap();
    assert_eq!(header("x-github-event"), "push");
    assert_eq!(header("x-github-delivery"), deliveries[0].guid);
    assert_eq!(header("x-github-delivery").len(), 36);
    assert_eq!(header("x-hub-signature-256"), format!("sha256={}", sign(SECRET, body)));
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("GitHub-Hookshot/"));
    assert!(header("x-github-hook-id").parse::<u64>().is_ok());
    let payload: Value = serde_json::from_slice(body).unwrap();
    assert_eq!((&payload["ref"], &payload["after"]), (&"refs/heads/main".into(), &sha.into()));
}

#[tokio::test]
async fn a_merge_and_its_checks_are_told_in_their_order() {
    let receiver = Receiver::start(StatusCode::OK).await;
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    shop.push("feature", "Add a cart");
    let number = shop.open_pull_request("feature");
    github.set_webhook(&receiver.url, SECRET);
    let sha = shop.merge_pull_request(number);
    let test = shop.add_check_run(&sha, "test", CheckState::InProgress);
    let lint = shop.add_check_run(&sha, "lint", CheckState::InProgress);
    shop.complete_check_run(test, Conclusion::Success);
    shop.complete_check_run(lint, Conclusion::Success);
    let told: Vec<_> = github
        .until_delivered(PATIENCE)
        .await
        .unwrap()
        .into_iter()
        .map(|it| format!("{} {}", it.event, it.action.unwrap_or_default()))
        .collect();
    assert_eq!(
        told,
        [
            "pull_request closed",
            "push ",
            "check_run created",
            "check_run created",
            "check_run completed",
            "check_run completed",
            "check_suite completed",
        ]
    );
    let received = receiver.received.lock().unwrap();
    let merged: Value = serde_json::from_slice(&received[0].1).unwrap();
    assert_eq!(merged["pull_request"]["merged"], true);
    assert_eq!(merged["pull_request"]["merge_commit_sha"], Value::from(sha));
}

#[tokio::test]
async fn a_redelivery_is_the_same_delivery_again() {
    let receiver = Receiver::start(StatusCode::INTERNAL_SERVER_ERROR).await;
    let github = FakeGitHub::start().await;
    github.set_webhook(&receiver.url, SECRET);
    github.ping();
    let guid = github.until_delivered(PATIENCE).await.unwrap()[0].guid.clone();
    let working = Receiver::start(StatusCode::NO_CONTENT).await;
    github.set_webhook(&working.url, SECRET);
    assert!(github.redeliver(&guid).await.unwrap().was_taken());
    assert_eq!(github.redeliver("unknown").await, None);
    assert_eq!(github.deliveries()[0].attempts, [Attempt::Answered(500), Attempt::Answered(204)]);
    let (first, second) = (receiver.received.lock().unwrap(), working.received.lock().unwrap());
    assert_eq!(first[0].1, second[0].1);
    assert_eq!(first[0].0["x-github-delivery"], second[0].0["x-github-delivery"]);
}

#[tokio::test]
async fn nobody_listening_is_on_record_and_not_tried_again() {
    let github = FakeGitHub::start().await;
    let receiver = Receiver::start(StatusCode::OK).await;
    let url = receiver.url.clone();
    receiver.serving.abort();
    while tokio::net::TcpStream::connect(url.trim_start_matches("http://").trim_end_matches("/hooks")).await.is_ok() {
        tokio::task::yield_now().await;
    }
    github.set_webhook(&url, SECRET);
    github.ping();
    let deliveries = github.until_delivered(PATIENCE).await.unwrap();
    assert!(matches!(deliveries[0].attempts[..], [Attempt::Failed(_)]), "{:?}", deliveries[0].attempts);
}
