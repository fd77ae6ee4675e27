//! A project is its repository's id, whatever the repository is called.

use axum::http::Method;
use windlass_testing::github::Attempt;

use crate::service::{As, PATIENCE, World};

#[tokio::test]
async fn rule_028a_a_repository_that_was_renamed_is_still_the_project() {
    let mut world = World::start().await;
    world.shop.rename("acme/store");
    world
        .until("the new name to be learnt", async || {
            world.stored("SELECT name FROM current_names").await.as_deref() == Some("acme/store")
        })
        .await;
    let asked = world.github.requests().len();
    let first = world.merge("first");
    world.until_wanted("production", &first).await;
    let second = world.merge("second");
    world.until_wanted("production", &second).await;
    let since: Vec<_> = world.github.requests().split_off(asked).into_iter().map(|it| it.path).collect();
    assert!(since.iter().any(|path| path.starts_with("/repos/acme/store/compare/")), "{since:?}");
    assert!(since.iter().all(|path| !path.starts_with("/repos/acme/shop")), "{since:?}");

    // It is known after a restart, before anybody has told it again.
    world.stop_service().await;
    world.github.hold_deliveries();
    let asked = world.github.requests().len();
    let third = world.merge("third");
    world.start_service().await;
    world.until_wanted("production", &third).await;
    let since: Vec<_> = world.github.requests().split_off(asked).into_iter().map(|it| it.path).collect();
    assert!(since.iter().all(|path| !path.starts_with("/repos/acme/shop")), "{since:?}");
}

#[tokio::test]
async fn rule_028b_a_repository_that_was_transferred_is_still_the_project() {
    for signs_in in [As::Token, As::App] {
        let mut world = World::without_service(signs_in).await;
        // Nobody told: the old name leads to the new one.
        world.shop.rename("umbrella/store");
        let merged = world.merge("feature");
        world.start_service().await;
        world.until_wanted("production", &merged).await;
        world
            .until("the new name to be remembered", async || {
                world.stored("SELECT name FROM current_names").await.as_deref() == Some("umbrella/store")
            })
            .await;
        world.stop_service().await;
    }
}

#[tokio::test]
async fn rule_028c_another_repository_of_the_old_name_is_never_taken_for_the_project() {
    let mut world = World::without_service(As::Token).await;
    world.shop.rename("acme/store");
    let other = world.github.add_repository("acme/shop");
    other.push("feature", "of another");
    let number = other.open_pull_request("feature");
    let foreign = other.merge_pull_request(number);
    other.push("preview", "of another");
    world.github.set_webhook(&world.webhook(), crate::service::SECRET);
    world.start_service().await;
    // Its deliveries mean nothing here.
    let told = other.push("preview", "of another again");
    let delivered = world.github.until_delivered(PATIENCE).await.unwrap();
    assert!(delivered.iter().all(|it| it.attempts == [Attempt::Answered(202)]));
    world.until_worked_off().await;
    assert_eq!(world.stored("SELECT commit_sha FROM wanted_commits").await, None, "neither {foreign} nor {told}");
    let beside: Vec<_> = world.github.requests().into_iter().filter(|it| it.path != "/repos/acme/shop").collect();
    assert!(beside.is_empty(), "nothing but whose the name is was asked: {beside:?}");

    // The first delivery of the real one tells its new name.
    let merged = world.merge("feature-of-ours");
    world.until_wanted("production", &merged).await;
    let asked = world.asked(&Method::GET);
    assert!(asked.iter().all(|path| !path.starts_with("/repos/acme/shop/")), "{asked:?}");
}
