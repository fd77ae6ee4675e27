//! What the service answers to deliveries, and that each has its effect once.

use axum::http::Method;
use windlass_testing::fixture;
use windlass_testing::github::{Attempt, CommitState, Failure, RequestRecord, sign};

use crate::service::{As, PATIENCE, SECRET, World};

#[tokio::test]
async fn only_what_github_signed_is_stored() {
    let world = World::start().await;
    let signed = |body: &[u8]| Some(format!("sha256={}", sign(SECRET, body)));
    let odd = b"{ \"zen\" : \"caf\\u00e9 \xf0\x9f\x90\xb3\" }\n".to_vec();
    assert_eq!(world.post("rule-1", odd.clone(), signed(&odd)).await, 202);
    assert_eq!(world.post("rule-3", odd.clone(), None).await, 401);
    assert_eq!(world.post("another", odd.clone(), signed(b"something else")).await, 401);
    assert_eq!(world.deliveries("processed").await + world.deliveries("received").await, 1);
}

#[tokio::test]
async fn rule_008_the_signature_is_looked_at_before_the_json() {
    let world = World::start().await;
    let signed = |body: &[u8]| Some(format!("sha256={}", sign(SECRET, body)));
    assert_eq!(world.post("1", b"no json".to_vec(), signed(b"something else")).await, 401);
    assert_eq!(world.post("2", b"no json".to_vec(), signed(b"no json")).await, 400);
    let wrong_and_broken = b"{\"ref\":1,\"more\":".to_vec();
    assert!(matches!(world.deliver("push", "3", &wrong_and_broken).await, Attempt::Answered(400)));
    assert_eq!(world.deliver("push", "4", b"{\"ref\":1}").await, Attempt::Answered(202), "JSON, but not a push");
}

#[tokio::test]
async fn rule_010_a_body_of_24_mb_is_taken_and_one_of_26_is_refused() {
    let world = World::start().await;
    // What means nothing here would be stored without its body.
    let mut status: serde_json::Value = serde_json::from_slice(&fixture("webhook/status.json")).unwrap();
    let mut sized = |megabytes: usize| {
        status["description"] = "x".repeat(megabytes * 1024 * 1024).into();
        serde_json::to_vec(&status).unwrap()
    };
    let (taken, refused) = (sized(24), sized(26));
    assert_eq!(world.deliver("status", "large", &taken).await, Attempt::Answered(202));
    assert_eq!(world.deliver("status", "too large", &refused).await, Attempt::Answered(413));
    let stored = world.stored("SELECT CAST(LENGTH(CAST(body AS BLOB)) AS TEXT) FROM deliveries").await;
    assert_eq!(stored, Some(taken.len().to_string()));
}

#[tokio::test]
async fn rule_011_what_means_nothing_here_is_taken_and_done() {
    let world = World::start().await;
    for (event, body) in [
        ("ping", r#"{"zen":"x"}"#),
        ("invented", r#"{"action":"x"}"#),
        ("pull_request", r#"{"action":"invented"}"#),
        ("check_run", r#"{"action":"invented"}"#),
    ] {
        assert_eq!(world.deliver(event, event, body.as_bytes()).await, Attempt::Answered(202), "{event}");
    }
    assert_eq!(world.deliveries("processed").await, 4, "without any work");
    assert_eq!(world.stored("SELECT commit_sha FROM wanted_commits").await, None);
}

#[tokio::test]
async fn rule_012_a_delivery_is_answered_while_github_hangs() {
    let world = World::start().await;
    let first = world.merge("first");
    world.until_wanted("production", &first).await;
    world.github.hang("*");
    let second = world.merge("second");
    let delivered = world.github.until_delivered(PATIENCE).await.unwrap();
    assert!(delivered.iter().all(|it| it.attempts == [Attempt::Answered(202)]), "within GitHub's 10 s: {delivered:?}");
    let wanted = world.stored("SELECT commit_sha FROM wanted_commits").await;
    assert_eq!(wanted, Some(first), "whether the second is newer nobody has said");
    // What needs nobody's word is not kept waiting by what does.
    world.shop.set_status(&second, "lint", CommitState::Success);
    world
        .until("the status to be heard of", async || {
            world
                .stored("SELECT outcome FROM deliveries WHERE event = 'status' AND state = 'processed'")
                .await
                .is_some()
        })
        .await;
    let given_up = world.stored("SELECT CAST(SUM(attempts) AS TEXT) FROM deliveries WHERE state = 'received'").await;
    assert_eq!(given_up.as_deref(), Some("0"), "it still waits for GitHub");
    world.github.heal();
    world.until_wanted("production", &second).await;
}

#[tokio::test]
async fn rule_014_the_same_delivery_twice_at_once_has_one_effect() {
    let world = World::start().await;
    world.github.hold_deliveries();
    let commit = world.merge("feature");
    let merged = world.github.deliveries().into_iter().find(|it| it.action.as_deref() == Some("closed")).unwrap();
    let attempt = || world.deliver("pull_request", &merged.guid, &merged.body);
    let (one, other) = tokio::join!(attempt(), attempt());
    assert_eq!((one, other), (Attempt::Answered(202), Attempt::Answered(202)));
    world.until_wanted("production", &commit).await;
    world.until_worked_off().await;
    assert_eq!(world.stored("SELECT CAST(SUM(attempts) AS TEXT) FROM deliveries").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn rule_015_a_redelivery_is_worked_on_after_a_failure_and_only_then() {
    let world = World::start().await;
    world.github.hold_deliveries();
    let commit = world.merge("feature");
    let merged = world.github.deliveries().into_iter().find(|it| it.action.as_deref() == Some("closed")).unwrap();
    let nothing = br#"{"action":"closed","pull_request":{}}"#;
    assert_eq!(world.deliver("pull_request", &merged.guid, nothing).await, Attempt::Answered(202));
    world.until_worked_off().await;
    assert_eq!(world.deliveries("failed").await, 1);
    assert_eq!(world.deliver("pull_request", &merged.guid, &merged.body).await, Attempt::Answered(202));
    world.until_wanted("production", &commit).await;
    world.until_worked_off().await;
    world.change_store("DELETE FROM wanted_commits").await;
    assert_eq!(world.deliver("pull_request", &merged.guid, &merged.body).await, Attempt::Answered(202));
    world.until_worked_off().await;
    assert_eq!(world.stored("SELECT commit_sha FROM wanted_commits").await, None, "it was done before");
}

#[tokio::test]
async fn rule_017_without_its_store_the_service_says_so_and_the_delivery_can_be_sent_again() {
    let world = World::start().await;
    let break_it =
        "CREATE TRIGGER broken BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'the disk is full'); END";
    world.change_store(break_it).await;
    let commit = world.merge("feature");
    let failed = world.github.until_delivered(PATIENCE).await.unwrap();
    assert!(failed.iter().all(|it| it.attempts == [Attempt::Answered(503)]), "{failed:?}");
    world.change_store("DROP TRIGGER broken").await;
    for delivery in failed {
        assert_eq!(world.github.redeliver(&delivery.guid).await, Some(Attempt::Answered(202)));
    }
    world.until_wanted("production", &commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_019_thousands_at_once_are_all_stored() {
    const MANY: usize = 3000;
    // As many as the kernel lets knock at the same time.
    let at_once = std::sync::Arc::new(tokio::sync::Semaphore::new(500));
    let world = World::start().await;
    world.github.hold_deliveries();
    let commit = world.merge("feature");
    let merged = world.github.deliveries().into_iter().find(|it| it.action.as_deref() == Some("closed")).unwrap();
    let (url, body) = (world.webhook(), std::sync::Arc::new(merged.body));
    let signature = format!("sha256={}", sign(SECRET, &body));
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut all = tokio::task::JoinSet::new();
    for number in 0..MANY {
        let request = client
            .post(&url)
            .header("content-type", "application/json")
            .header("x-github-event", "pull_request")
            .header("x-github-delivery", format!("delivery {number}"))
            .header("x-hub-signature-256", &signature)
            .body(body.to_vec());
        let at_once = std::sync::Arc::clone(&at_once);
        all.spawn(async move {
            let _turn = at_once.acquire_owned().await;
            request.send().await.unwrap().status().as_u16()
        });
    }
    let answers = all.join_all().await;
    assert!(answers.iter().all(|status| *status == 202), "{answers:?}");
    assert_eq!(world.stored("SELECT CAST(COUNT(*) AS TEXT) FROM deliveries").await, Some(MANY.to_string()));
    world.until_wanted("production", &commit).await;
    world.until_worked_off().await;
    assert_eq!(world.deliveries("processed").await, i64::try_from(MANY).unwrap());
}

#[tokio::test]
async fn rule_018a_what_was_missed_is_asked_for_again_and_done_once() {
    for signs_in in [As::App, As::Token] {
        let mut world = World::without_service(signs_in).await;
        world.github.set_webhook(&world.webhook(), SECRET);
        let commit = world.merge("feature");
        let number = world.github.until_delivered(PATIENCE).await.unwrap().len();
        // The merge is found by its delivery, not at the branch's head.
        world.github.hang("*/branches/*");
        world.start_service().await;
        world.until_wanted("production", &commit).await;
        world
            .until("every delivery to come", async || {
                world.github.deliveries().iter().all(|it| it.attempts.iter().any(Attempt::was_taken))
            })
            .await;
        world.until_worked_off().await;
        let asked: Vec<_> = world.asked(&Method::POST).into_iter().filter(|path| path.ends_with("/attempts")).collect();
        assert_eq!(asked.len(), number, "each once: {asked:?}");
        let of_the_app = asked.iter().all(|path| path.starts_with("/app/hook/deliveries/"));
        assert_eq!(of_the_app, matches!(signs_in, As::App), "{asked:?}");

        // Nothing is missing any more, so that nothing is asked for. One look has ended when the next one begins.
        let looks =
            |world: &World| world.asked(&Method::GET).into_iter().filter(|path| path.ends_with("/deliveries")).count();
        let before = looks(&world);
        world.stop_service().await;
        world.start_service().await;
        world.until("another look", async || looks(&world) > before).await;
        world.stop_service().await;
        world.start_service().await;
        world.until("and another", async || looks(&world) > before + 1).await;
        world.stop_service().await;
        let asked = world.asked(&Method::POST).into_iter().filter(|path| path.ends_with("/attempts")).count();
        assert_eq!(asked, number);
    }
}

#[tokio::test]
async fn rule_018a_a_permission_that_is_missing_is_said_and_stops_nothing() {
    let mut world = World::without_service(As::Token).await;
    let commit = world.merge("feature");
    world.github.fail_next(Method::GET, "*/hooks", Failure::status(403));
    world.start_service().await;
    world.until_wanted("production", &commit).await;
}

#[tokio::test]
async fn rule_018b_what_nobody_told_is_found_at_the_branchs_head() {
    let mut world = World::without_service(As::Token).await;
    let merged = world.merge("feature");
    let pushed = world.shop.push("preview", "for a look");
    world.start_service().await;
    world.until_wanted("production", &merged).await;
    world.until_wanted("testing", &pushed).await;
    let by = world.stored("SELECT requested_by FROM wanted_commits WHERE stage = 'production'").await;
    assert_eq!(by.as_deref(), Some("found at the head of main"));
}

#[tokio::test]
async fn rule_018b_a_push_at_the_head_is_no_merge() {
    let mut world = World::without_service(As::Token).await;
    world.merge("feature");
    let pushed = world.shop.push("main", "past all pull requests");
    world.start_service().await;
    let asked = |it: &RequestRecord| it.path.ends_with(&format!("/commits/{pushed}/pulls"));
    world.github.until_request(asked, PATIENCE).await.unwrap();
    // The next stage is looked at when this one is done with.
    let next = |it: &RequestRecord| it.path.ends_with("/branches/preview");
    world.github.until_request(next, PATIENCE).await.unwrap();
    // A merge that comes after it is wanted, and was not behind it.
    let merged = world.merge("another");
    world.stop_service().await;
    assert_eq!(world.wanted("production").await, None);
    world.start_service().await;
    world.until_wanted("production", &merged).await;
}

#[tokio::test]
async fn rule_018b_a_head_that_went_back_is_not_deployed_and_one_beside_it_is() {
    let mut world = World::without_service(As::Token).await;
    let first = world.shop.push("preview", "first");
    let second = world.shop.push("preview", "second");
    world.start_service().await;
    world.until_wanted("testing", &second).await;
    world.stop_service().await;
    world.shop.reset_branch("preview", &first);
    let compared = world.asked(&Method::GET).into_iter().filter(|path| path.contains("/compare/")).count();
    world.start_service().await;
    world
        .until("them to be compared", async || {
            world.asked(&Method::GET).into_iter().filter(|path| path.contains("/compare/")).count() > compared
        })
        .await;
    world.stop_service().await;
    let beside = world.shop.push("preview", "made from the first");
    world.start_service().await;
    world.until_wanted("testing", &beside).await;
}
