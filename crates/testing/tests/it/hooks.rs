use axum::http::{Method, StatusCode};
use serde_json::Value;
use windlass_testing::FakeGitHub;
use windlass_testing::github::Attempt;

use crate::deliveries::{Receiver, SECRET};
use crate::{PATIENCE, answer, client, get, post, request};

#[tokio::test]
async fn a_webhook_lists_its_attempts_newest_first_in_pages_with_a_cursor() {
    let receiver = Receiver::start(StatusCode::INTERNAL_SERVER_ERROR).await;
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    github.set_webhook(&receiver.url, SECRET);
    for message in ["one", "two", "three"] {
        shop.push("main", message);
    }
    let told = github.until_delivered(PATIENCE).await.unwrap();
    let (_, hooks) = get(&github, "/repos/acme/shop/hooks").await;
    assert_eq!(hooks[0]["config"]["url"], Value::from(receiver.url.clone()));
    let path = format!("/repos/acme/shop/hooks/{}/deliveries", hooks[0]["id"]);
    let first = request(&github, Method::GET, &format!("{path}?per_page=2&status=failure")).send().await.unwrap();
    let link = first.headers()["link"].to_str().unwrap().to_owned();
    let first: Value = first.json().await.unwrap();
    assert_eq!((&first[0]["guid"], &first[1]["guid"]), (&told[2].guid.clone().into(), &told[1].guid.clone().into()));
    assert_eq!((&first[0]["status_code"], &first[0]["redelivery"]), (&500.into(), &false.into()));
    assert!(first[0]["id"].as_u64().unwrap() > u64::from(u32::MAX));
    let next = link.strip_prefix('<').unwrap().split_once('>').unwrap().0;
    let (_, second) = answer(client().get(next).bearer_auth(github.token())).await;
    assert_eq!(second.as_array().unwrap().len(), 1);
    assert_eq!(second[0]["guid"], Value::from(told[0].guid.clone()));
}

#[tokio::test]
async fn an_attempt_that_is_asked_for_is_made() {
    let receiver = Receiver::start(StatusCode::INTERNAL_SERVER_ERROR).await;
    let github = FakeGitHub::start().await;
    github.set_webhook(&receiver.url, SECRET);
    github.add_repository("acme/shop").push("main", "x");
    github.until_delivered(PATIENCE).await.unwrap();
    let (_, hooks) = get(&github, "/repos/acme/shop/hooks").await;
    let path = format!("/repos/acme/shop/hooks/{}/deliveries", hooks[0]["id"]);
    let (_, log) = get(&github, &path).await;
    let working = Receiver::start(StatusCode::ACCEPTED).await;
    github.set_webhook(&working.url, SECRET);
    let (status, _) = post(&github, &format!("{path}/{}/attempts", log[0]["id"]), Value::Null).await;
    assert_eq!(status, 202);
    let tried_again = |it: &windlass_testing::github::RequestRecord| it.path.ends_with("/attempts");
    github.until_request(tried_again, PATIENCE).await.unwrap();
    while github.deliveries()[0].attempts.len() < 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(github.deliveries()[0].attempts, [Attempt::Answered(500), Attempt::Answered(202)]);
    let (_, log) = get(&github, &path).await;
    assert_eq!((&log[0]["redelivery"], &log[0]["status"]), (&true.into(), &"OK".into()));
    assert_eq!(log[0]["guid"], log[1]["guid"]);
}

#[tokio::test]
async fn a_former_name_leads_to_the_repository_until_another_takes_it() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    shop.rename("acme/store");
    let (_, found) = get(&github, "/repos/acme/shop").await;
    assert_eq!((&found["id"], &found["full_name"]), (&shop.id().into(), &"acme/store".into()));
    let (_, branch) = get(&github, "/repos/acme/shop/branches/main").await;
    assert_eq!(branch["commit"]["sha"], Value::from(shop.head("main")));
    let other = github.add_repository("acme/shop");
    let (_, found) = get(&github, "/repos/acme/shop").await;
    assert_eq!(found["id"], Value::from(other.id()));
}
