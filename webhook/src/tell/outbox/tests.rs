use windlass_core::deployment::{self, Event, FailureCode, Outcome};
use windlass_testing::github::Failure;

use super::*;
use crate::store::journal::Effect;
use crate::told::{As, PATIENCE, Teller};

const SHOP: &str = "acme/shop";

async fn shop() -> (Teller, Outbox) {
    let told = Teller::start(As::Token, &[SHOP]).await;
    let outbox = Outbox::new(Arc::clone(&told.service));
    (told, outbox)
}

fn post() -> axum::http::Method {
    axum::http::Method::POST
}

#[tokio::test]
async fn rule_068_a_deployment_that_has_ended_is_told_while_many_others_must_wait() {
    let (told, outbox) = shop().await;
    for _ in 0..210 {
        told.ask(SHOP, "staging").await;
    }
    let ended = told.ask(SHOP, "production").await;
    told.refuse(&ended).await;
    let next = told.look_and_ask(&outbox).await.unwrap();
    assert_eq!(told.states(&ended), ["queued", "failure"]);
    let written = told.sent("POST", "/deployments") + told.sent("POST", "/statuses");
    assert_eq!(written, 61, "what is no last word leaves room for last words");
    assert!(next > Duration::from_secs(20) && next <= Duration::from_secs(60), "{next:?}");
    for deployment in 0..5 {
        let late = told.ask(SHOP, "production").await;
        told.refuse(&late).await;
        told.look(&outbox).await;
        assert_eq!(told.states(&late), ["queued", "failure"], "{deployment}");
    }
    for _ in 0..5 {
        let late = told.ask(SHOP, "production").await;
        told.refuse(&late).await;
    }
    told.look(&outbox).await;
    assert!(told.sent("POST", "/deployments") + told.sent("POST", "/statuses") <= 80);
}

#[tokio::test]
async fn rule_068_a_limit_that_one_notice_meets_is_obeyed_by_all_of_the_account() {
    let (told, outbox) = shop().await;
    let limit = Failure::status(403).header("retry-after", "600");
    told.fake.fail_next(post(), "*/deployments", limit);
    let first = told.ask(SHOP, "production").await;
    let second = told.ask(SHOP, "staging").await;
    let next = told.look_and_ask(&outbox).await.unwrap();
    assert!(next > Duration::from_secs(590), "{next:?}");
    told.refuse(&second).await;
    told.look(&outbox).await;
    assert_eq!(told.fake.requests().len(), 1, "{:?}", told.fake.requests());
    assert!(told.states(&first).is_empty() && told.states(&second).is_empty());
}

#[tokio::test]
async fn rule_070_a_suspended_app_stops_its_own_projects_and_no_others() {
    const OTHER: &str = "umbrella/site";
    let told = Teller::start(As::App, &[SHOP, OTHER]).await;
    let outbox = Outbox::new(Arc::clone(&told.service));
    told.fake.suspend("umbrella");
    let (mine, theirs) = (told.ask(SHOP, "production").await, told.ask(OTHER, "production").await);
    told.refuse(&mine).await;
    told.refuse(&theirs).await;
    told.look(&outbox).await;
    assert_eq!(told.states(&mine), ["queued", "failure"]);
    assert!(told.states(&theirs).is_empty());
    told.fake.unsuspend("umbrella");
    told.look_until(&outbox, || told.states(&theirs) == ["queued", "failure"]).await;
}

#[tokio::test]
async fn rule_070_a_project_whose_requests_hang_holds_up_no_other() {
    const OTHER: &str = "umbrella/site";
    let told = Teller::start(As::Token, &[SHOP, OTHER]).await;
    let outbox = Outbox::new(Arc::clone(&told.service));
    told.fake.hang("/repos/acme/*");
    let (hangs, goes) = (told.ask(SHOP, "production").await, told.ask(OTHER, "production").await);
    outbox.activate().await.unwrap();
    told.repository(OTHER).until_deployment(|it| it.state() == Some("queued"), PATIENCE).await.unwrap();
    told.refuse(&goes).await;
    outbox.activate().await.unwrap();
    told.repository(OTHER).until_deployment(|it| it.state() == Some("failure"), PATIENCE).await.unwrap();
    assert!(told.states(&hangs).is_empty());
    told.fake.heal();
    told.repository(SHOP).until_deployment(|it| it.state() == Some("queued"), PATIENCE).await.unwrap();
}

#[tokio::test]
async fn rule_059_what_github_refuses_for_good_is_asked_for_once_and_shown() {
    for status in [202, 409, 422] {
        let (told, outbox) = shop().await;
        told.fake.fail_next(post(), "*/deployments", Failure::status(status));
        let deployment = told.ask(SHOP, "production").await;
        told.look(&outbox).await;
        told.begin(&deployment).await;
        told.succeed(&deployment).await;
        assert_eq!(told.look_and_ask(&outbox).await, None, "{status}: nothing is left to tell");
        assert_eq!((told.sent("POST", "/deployments"), told.sent("POST", "/statuses")), (1, 0), "{status}");
        let ended = told.service.store.deployment(&deployment.id).await.unwrap().unwrap();
        let view = crate::tell::view::deployment_view(&told.service, &ended).await.unwrap();
        let [warning] = &view.warnings[..] else { panic!("{:?}", view.warnings) };
        let expected =
            format!("GitHub could not be told: GitHub refused POST /repos/acme/shop/deployments with status {status}");
        assert!(warning.starts_with(&expected), "{warning}");
        assert_eq!(ended.state, deployment::DeploymentState::Succeeded);
    }
}

#[tokio::test]
async fn rule_059_a_commit_that_github_learns_of_late_is_told_after_all() {
    let (told, outbox) = shop().await;
    let commit = "d".repeat(40);
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 1)]).await;
    told.refuse(&deployment).await;
    let next = told.look_and_ask(&outbox).await.unwrap();
    assert!(next <= Duration::from_secs(2), "{next:?}");
    told.repository(SHOP).push_commit("main", &commit, "it was on its way");
    told.look_until(&outbox, || told.states(&deployment) == ["queued", "failure"]).await;
}

#[tokio::test]
async fn rule_060_a_deployment_of_another_commit_is_closed_and_never_asked_for_again() {
    let (told, outbox) = shop().await;
    let repository = told.repository(SHOP);
    let other = repository.head("main");
    repository.deploy_wrongly(&other);
    repository.push("main", "what is meant");
    let deployment = told.ask(SHOP, "production").await;
    // Even where closing it takes two attempts.
    told.fake.fail_next(post(), "*/statuses", Failure::status(502));
    told.look_until(&outbox, || told.states(&deployment) == ["error"]).await;
    told.begin(&deployment).await;
    told.succeed(&deployment).await;
    told.look(&outbox).await;
    assert_eq!(told.states(&deployment), ["error"]);
    assert_eq!(told.sent("POST", "/deployments"), 1);
    let why = told.service.store.untold(&deployment.id).await.unwrap().unwrap();
    assert!(why.contains("instead of"), "{why}");
}

#[tokio::test]
async fn rule_063_every_ending_is_told_with_one_last_word() {
    let (told, outbox) = shop().await;
    for (outcome, code, word) in [
        (Outcome::Refused, FailureCode::GateBlocked, "failure"),
        (Outcome::Refused, FailureCode::GateTimeout, "error"),
        (Outcome::Cancelled, FailureCode::Cancelled, "error"),
        (Outcome::Failed, FailureCode::Internal, "failure"),
        (Outcome::Superseded, FailureCode::Superseded, "inactive"),
    ] {
        let deployment = told.ask(SHOP, "production").await;
        let event = Event::Ended { outcome, failure: Some(deployment::Failure::new(code, "why")) };
        told.append(&deployment, event, Effect::None).await;
        told.look(&outbox).await;
        assert_eq!(told.states(&deployment), ["queued", word], "{outcome:?} {code:?}");
    }
}

#[tokio::test]
async fn rule_064_only_the_predecessor_on_the_same_environment_becomes_inactive() {
    let (told, outbox) = shop().await;
    let serve = async |stage: &str, releases: &[(&str, u64)]| {
        let deployment = told.ask_for(SHOP, stage, releases).await;
        told.begin(&deployment).await;
        told.succeed(&deployment).await;
        told.look(&outbox).await;
        deployment
    };
    let elsewhere = serve("staging", &[("default", 1)]).await;
    let first = serve("production", &[("default", 1)]).await;
    // Failures in between change nothing.
    for _ in 0..3 {
        let failed = told.ask(SHOP, "production").await;
        told.refuse(&failed).await;
    }
    let second = serve("production", &[("default", 2)]).await;
    assert_eq!(told.states(&elsewhere), ["queued", "success"]);
    assert_eq!(told.states(&first), ["queued", "success", "inactive"]);
    assert_eq!(told.states(&second), ["queued", "success"]);
    let last = told.record(&first).unwrap().statuses.pop().unwrap();
    assert_eq!(last.description, "replaced by release 2");
}

#[tokio::test]
async fn rule_064_of_several_apps_the_last_one_that_is_replaced_makes_a_deployment_inactive() {
    let (told, outbox) = shop().await;
    let serve = async |releases: &[(&str, u64)]| {
        let deployment = told.ask_for(SHOP, "production", releases).await;
        told.begin(&deployment).await;
        told.succeed(&deployment).await;
        told.look(&outbox).await;
        deployment
    };
    let both = serve(&[("api", 1), ("web", 1)]).await;
    let api = serve(&[("api", 2)]).await;
    assert_eq!(told.states(&both), ["queued", "success"], "web is still what it made it");
    let web = serve(&[("web", 2)]).await;
    assert_eq!(told.states(&both), ["queued", "success", "inactive"]);
    let all = serve(&[("api", 3), ("web", 3)]).await;
    for replaced in [&both, &api, &web] {
        assert_eq!(told.states(replaced), ["queued", "success", "inactive"]);
    }
    assert_eq!(told.states(&all), ["queued", "success"]);
}

#[tokio::test]
async fn rule_065_answers_that_are_lost_neither_repeat_a_status_nor_change_their_order() {
    let (told, outbox) = shop().await;
    told.fake.fail_next(post(), "*/deployments", Failure::status(502).after_the_effect());
    told.fake.fail_next(post(), "*/statuses", Failure::status(502).after_the_effect());
    let deployment = told.ask(SHOP, "production").await;
    told.look_until(&outbox, || told.states(&deployment) == ["queued"]).await;
    told.fake.fail_next(post(), "*/statuses", Failure::status(502).after_the_effect());
    told.begin(&deployment).await;
    told.succeed(&deployment).await;
    told.look_until(&outbox, || told.states(&deployment).len() > 1).await;
    told.look_until(&outbox, || told.sent("GET", "/statuses") > 1).await;
    assert_eq!(told.states(&deployment), ["queued", "success"]);
    assert_eq!(told.repository(SHOP).deployments().len(), 1);
}

#[tokio::test]
async fn rule_067_what_github_misses_while_it_is_down_it_is_told_later_in_order() {
    let (told, outbox) = shop().await;
    told.fake.go_down().await;
    let deployment = told.ask(SHOP, "production").await;
    told.look(&outbox).await;
    told.begin(&deployment).await;
    told.succeed(&deployment).await;
    told.look(&outbox).await;
    told.fake.come_up().await;
    told.look_until(&outbox, || told.states(&deployment) == ["queued", "success"]).await;
}

#[tokio::test]
async fn rule_066_github_is_given_addresses_of_the_web_without_a_token_in_them() {
    let (told, outbox) = shop().await;
    let deployment = told.ask(SHOP, "production").await;
    told.begin(&deployment).await;
    told.succeed(&deployment).await;
    told.look(&outbox).await;
    let statuses = told.record(&deployment).unwrap().statuses;
    for status in &statuses {
        assert_eq!(status.log_url, format!("http://localhost:8080/deployments/{}", deployment.id));
    }
    let urls: Vec<&str> = statuses.iter().map(|status| status.environment_url.as_str()).collect();
    assert_eq!(urls, ["", "https://shop.example.com/"]);
}
