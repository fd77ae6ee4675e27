//! The service as a GitHub App: its installation and that one's tokens.

use axum::http::Method;
use secrecy::SecretString;
use windlass_core::Timestamp;
use windlass_testing::FakeGitHub;
use windlass_testing::github::Failure;
use windlass_webhook::github::{GitHub, GitHubCredentials, GitHubError};

use super::{World, connect};

/// A key that belongs to no App: made for these tests, and the stand-in does not check whose it is.
const KEY: &str = include_str!("key-of-no-app.pem");

async fn world_of_an_app() -> World {
    let world = World::start().await;
    let private_key = SecretString::from(KEY);
    let github = connect(&world.fake, GitHubCredentials::App { id: FakeGitHub::APP_ID, private_key });
    World { github, ..world }
}

#[tokio::test]
async fn an_app_gets_one_token_for_its_installation_and_keeps_it() {
    let world = world_of_an_app().await;
    let facts = |github: GitHub| {
        let (project, head) = (world.project.clone(), world.head());
        async move { github.commit_facts(&project, &head, "main", Timestamp::now()).await }
    };
    // Several requests at once, through several clones, before there is a token.
    let (one, other) = tokio::join!(facts(world.github.clone()), facts(world.github.clone()));
    one.unwrap();
    other.unwrap();
    assert_eq!((world.asked("/installation"), world.asked("/access_tokens")), (1, 1));

    let _other = world.fake.add_repository("acme/other");
    world.github.repository(&"acme/other".parse().unwrap()).await.unwrap();
    assert_eq!((world.asked("/installation"), world.asked("/access_tokens")), (1, 1), "one owner, one installation");
}

#[tokio::test]
async fn rule_069_an_expired_token_is_renewed_and_the_request_repeated_once() {
    let world = world_of_an_app().await;
    world.github.repository(&world.project).await.unwrap();
    world.fake.expire_tokens();
    world.github.repository(&world.project).await.unwrap();
    assert_eq!(world.asked("/access_tokens"), 2);
}

#[tokio::test]
async fn rule_070_an_app_that_is_not_installed_is_told_and_asked_for_again() {
    let world = world_of_an_app().await;
    world.fake.fail_next(Method::GET, "*/installation", Failure::status(404));
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::NotInstalled { .. }) && !error.is_temporary(), "{error}");
    world.github.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn rule_070_an_app_that_was_suspended_or_removed_is_told_as_that_and_not_as_a_wrong_token() {
    let world = world_of_an_app().await;
    world.github.repository(&world.project).await.unwrap();
    world.fake.suspend("acme");
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert_eq!(error.to_string(), "the App's installation on acme is suspended");
    world.fake.unsuspend("acme");
    world.github.repository(&world.project).await.unwrap();
    world.fake.uninstall("acme");
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert_eq!(error.to_string(), "the App is not installed on acme/shop");
    world.fake.install("acme");
    world.github.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn rule_070_a_suspended_installation_is_told_and_found_anew_when_it_is_back() {
    let world = world_of_an_app().await;
    world.github.repository(&world.project).await.unwrap();
    world.fake.expire_tokens();
    world.fake.fail_next(Method::POST, "*/access_tokens", Failure::status(403));
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::Forbidden { .. }), "{error}");
    world.github.repository(&world.project).await.unwrap();
    assert_eq!(world.asked("/installation"), 2, "it may have been installed anew, under another id");
}

#[tokio::test]
async fn rule_069_our_tokens_are_good_while_our_clock_is_30_seconds_fast() {
    let world = world_of_an_app().await;
    world.fake.set_clock_back(30);
    world.github.repository(&world.project).await.unwrap();
    // One of more than a minute is issued in the future, as GitHub sees it.
    world.fake.expire_tokens();
    world.fake.set_clock_back(75);
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthorized { .. }), "{error}");
}
