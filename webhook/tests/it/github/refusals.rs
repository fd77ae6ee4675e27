//! Every way in which GitHub does not answer, told apart.

use std::time::Duration;

use axum::http::Method;
use secrecy::SecretString;
use windlass_testing::FakeGitHub;
use windlass_testing::github::Failure;
use windlass_webhook::github::{GitHub, GitHubCredentials, GitHubError, Patience};

use super::{World, connect};

impl World {
    /// The error of the next request, which is answered with this.
    async fn refused(&self, failure: Failure) -> GitHubError {
        self.fake.fail_next(Method::GET, "/repos/acme/shop", failure);
        self.github.repository(&self.project).await.unwrap_err()
    }
}

#[tokio::test]
async fn a_wrong_token_is_told_from_everything_else_and_does_not_show() {
    let world = World::start().await;
    let stranger = connect(&world.fake, GitHubCredentials::Token(SecretString::from("s3cret")));
    let error = stranger.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unauthorized { .. }) && !error.is_temporary(), "{error}");
    assert!(!format!("{error} {error:?}").contains("s3cret"));
}

#[tokio::test]
async fn not_allowed_not_there_and_broken_are_three_things() {
    let world = World::start().await;
    let forbidden = world.refused(Failure::status(403)).await;
    assert!(matches!(forbidden, GitHubError::Forbidden { .. }) && !forbidden.is_temporary(), "{forbidden}");
    let missing = world.refused(Failure::status(404)).await;
    assert!(matches!(missing, GitHubError::NotFound { .. }) && !missing.is_temporary(), "{missing}");
    let broken = world.refused(Failure::status(503)).await;
    assert!(matches!(broken, GitHubError::Refused { status: 503, .. }) && broken.is_temporary(), "{broken}");
    world.github.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn rule_068_after_a_limit_nothing_is_sent_for_as_long_as_github_asks() {
    for status in [403, 429] {
        let world = World::start().await;
        let error = world.refused(Failure::status(status).header("retry-after", "30")).await;
        assert!(matches!(error, GitHubError::RateLimited { .. }), "{error}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(30)));

        let sent = world.fake.requests().len();
        let clone = world.github.clone();
        let again = clone.branch_head(&world.project, "main").await.unwrap_err();
        assert!(again.retry_after().is_some_and(|left| left > Duration::from_secs(25)), "{again:?}");
        assert_eq!(world.fake.requests().len(), sent, "GitHub was asked all the same");
    }
}

#[tokio::test]
async fn rule_068_a_short_limit_is_over_after_its_time() {
    let world = World::start().await;
    world.refused(Failure::status(429).header("retry-after", "1")).await;
    let error = world.github.repository(&world.project).await.unwrap_err();
    tokio::time::sleep(error.retry_after().unwrap()).await;
    world.github.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn rule_068_an_exhausted_limit_ends_with_its_reset() {
    let world = World::start().await;
    let reset = (windlass_core::Timestamp::now().as_second() + 600).to_string();
    let exhausted = Failure::status(403).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", &reset);
    let wait = world.refused(exhausted).await.retry_after().unwrap();
    assert!((595..=601).contains(&wait.as_secs()), "{wait:?}");
}

#[tokio::test]
async fn rule_068_a_limit_without_an_end_lasts_a_minute() {
    let world = World::start().await;
    let error = world.refused(Failure::status(429)).await;
    assert_eq!(error.retry_after(), Some(Duration::from_secs(60)));
}

#[tokio::test]
async fn a_github_that_is_down_is_unreachable_and_found_again_when_it_is_back() {
    let world = World::start().await;
    world.github.repository(&world.project).await.unwrap();
    world.fake.go_down().await;
    let error = world.github.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::Unreachable { .. }) && error.is_temporary(), "{error:?}");
    world.fake.come_up().await;
    world.github.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn rule_012_a_github_that_hangs_is_given_up_on() {
    let world = World::start().await;
    let patience = Patience { connect: Duration::from_secs(5), read: Duration::from_millis(200) };
    let credentials = GitHubCredentials::Token(SecretString::from(world.fake.token()));
    let hasty = GitHub::connect_with(&world.fake.url().parse().unwrap(), credentials, patience).unwrap();
    hasty.repository(&world.project).await.unwrap();
    world.fake.hang("*");
    let error = hasty.repository(&world.project).await.unwrap_err();
    assert!(matches!(error, GitHubError::Timeout { .. }) && error.is_temporary(), "{error:?}");
    world.fake.heal();
    hasty.repository(&world.project).await.unwrap();
}

#[tokio::test]
async fn nothing_is_asked_twice_by_itself() {
    let world = World::start().await;
    world.fake.fail_next(Method::GET, "/repos/acme/shop", Failure::status(500).times(9));
    world.github.repository(&world.project).await.unwrap_err();
    assert_eq!(world.asked("/repos/acme/shop"), 1);
}

#[tokio::test]
async fn an_app_key_that_is_none_is_refused_without_being_shown() {
    let fake = FakeGitHub::start().await;
    let credentials = GitHubCredentials::App { id: 1, private_key: SecretString::from("s3cret") };
    let error = GitHub::connect(&fake.url().parse().unwrap(), credentials).unwrap_err();
    assert!(matches!(error, GitHubError::Setup { .. }));
    assert!(!format!("{error:?}").contains("s3cret"));
}
