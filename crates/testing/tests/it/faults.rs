use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::json;
use windlass_testing::FakeGitHub;
use windlass_testing::github::Failure;

use crate::{PATIENCE, client, get, post, request};

#[tokio::test]
async fn a_failure_strikes_as_often_as_asked_and_only_where_it_was() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let failure = Failure::status(403).times(2).header("retry-after", "7");
    github.fail_next(Method::POST, "*/deployments", failure);
    assert_eq!(get(&github, "/repos/acme/shop/deployments").await.0, 200);
    for _ in 0..2 {
        let asked = request(&github, Method::POST, "/repos/acme/shop/deployments").json(&json!({ "ref": "main" }));
        let answer = asked.send().await.unwrap();
        assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (403, &"7".parse().unwrap()));
    }
    assert_eq!(shop.deployments(), []);
    assert_eq!(post(&github, "/repos/acme/shop/deployments", json!({ "ref": "main" })).await.0, 201);
}

#[tokio::test]
async fn an_answer_can_be_lost_after_its_effect() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    github.fail_next(Method::POST, "*/deployments", Failure::status(502).after_the_effect());
    assert_eq!(post(&github, "/repos/acme/shop/deployments", json!({ "ref": "main" })).await.0, 502);
    assert_eq!(shop.deployments().len(), 1);
}

#[tokio::test]
async fn what_hangs_is_answered_when_github_is_healed() {
    let github = FakeGitHub::start().await;
    let _shop = github.add_repository("acme/shop");
    github.hang("/repos/acme/*");
    let impatient = request(&github, Method::GET, "/repos/acme/shop").timeout(Duration::from_millis(200));
    assert!(impatient.send().await.unwrap_err().is_timeout());
    let patient = tokio::spawn(request(&github, Method::GET, "/repos/acme/shop").send());
    assert_eq!(get(&github, "/rate_limit").await.0, 200);
    // It may come before the healing or after it, and is answered either way.
    github.heal();
    assert_eq!(patient.await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn delays_last_until_github_is_healed() {
    let github = FakeGitHub::start().await;
    let _shop = github.add_repository("acme/shop");
    github.delay("/repos/*", Duration::from_millis(300));
    let asked = Instant::now();
    assert_eq!(get(&github, "/repos/acme/shop").await.0, 200);
    assert!(asked.elapsed() >= Duration::from_millis(300));
}

#[tokio::test]
async fn down_means_refused_on_old_connections_too_and_up_again_means_as_before() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let kept = client();
    let ask = || kept.get(format!("{}/repositories/{}", github.url(), shop.id())).bearer_auth(github.token()).send();
    assert_eq!(ask().await.unwrap().status(), 200);
    github.go_down().await;
    assert!(ask().await.unwrap_err().is_connect());
    github.come_up().await;
    assert_eq!(ask().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_request_that_hangs_does_not_keep_github_from_going_down() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    github.hang("*");
    let hanging = tokio::spawn(request(&github, Method::GET, &format!("/repositories/{}", shop.id())).send());
    tokio::task::yield_now().await;
    tokio::time::timeout(PATIENCE, github.go_down()).await.unwrap();
    assert!(hanging.await.unwrap().is_err());
    let url = github.url();
    github.stop().await;
    assert!(client().get(url).send().await.unwrap_err().is_connect());
}
