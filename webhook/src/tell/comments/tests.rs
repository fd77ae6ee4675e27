use axum::http::Method;
use windlass_testing::github::Failure;

use super::*;
use crate::told::{As, PATIENCE, Teller};

const SHOP: &str = "acme/shop";

/// A pull request that is merged, and a service that comments.
async fn merged(more: &str) -> (Teller, Comments, u64, String) {
    let told = Teller::start_with(As::App, &[SHOP], more).await;
    let comments = Comments(Arc::clone(&told.service));
    let (number, commit) = merge(&told, "feature");
    (told, comments, number, commit)
}

fn merge(told: &Teller, branch: &str) -> (u64, String) {
    let repository = told.repository(SHOP);
    repository.push(branch, branch);
    let number = repository.open_pull_request(branch);
    (number, repository.merge_pull_request(number))
}

fn bodies(told: &Teller, number: u64) -> Vec<Vec<String>> {
    told.repository(SHOP).comments(number).into_iter().map(|comment| comment.bodies).collect()
}

#[tokio::test]
async fn a_pull_request_gets_one_comment_that_is_edited_from_stage_to_stage() {
    let (told, comments, number, commit) = merged("").await;
    let staging = told.ask_for_commit(SHOP, "staging", &commit, &[("default", 3)]).await;
    told.look(&comments).await;
    assert!(bodies(&told, number).is_empty(), "what waits has not begun");
    told.begin(&staging).await;
    told.look(&comments).await;
    told.succeed(&staging).await;
    told.look(&comments).await;
    let production = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.refuse(&production).await;
    for _ in 0..3 {
        told.look(&comments).await;
    }
    let [comment] = &bodies(&told, number)[..] else { panic!("one comment") };
    let told_of = |text: &str| {
        ["`production` | refused", "`staging` | running", "`staging` | succeeded"].map(|row| text.contains(row))
    };
    let told_of: Vec<_> = comment.iter().map(|text| told_of(text)).collect();
    assert_eq!(told_of, [[false, true, false], [false, false, true], [true, false, true]]);
    assert!(comment[2].contains("test is red") && comment[2].contains(&format!("/deployments/{}", production.id)));
    let marker = format!("<!-- windlass {} -->\n", told.service.installation);
    assert!(comment.iter().all(|text| text.starts_with(&marker)));
}

#[tokio::test]
async fn what_happened_before_a_comment_could_be_written_is_in_one_text() {
    let (told, comments, number, commit) = merged("").await;
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    told.fake.fail_next(Method::POST, "*/comments", Failure::status(502));
    told.look(&comments).await;
    told.succeed(&deployment).await;
    told.look(&comments).await;
    let [comment] = &bodies(&told, number)[..] else { panic!("one comment") };
    assert!(comment.len() == 1 && comment[0].contains("succeeded"), "{comment:?}");
}

#[tokio::test]
async fn a_comment_whose_id_was_lost_is_found_by_its_marker_and_nobody_elses_is() {
    let (told, comments, number, commit) = merged("").await;
    told.repository(SHOP).add_comment(number, "well done <!-- windlass -->");
    told.repository(SHOP).add_comment(number, "<!-- windlass 00000000-0000-0000-0000-000000000000 -->");
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    told.fake.fail_next(Method::POST, "*/comments", Failure::status(502).after_the_effect());
    told.look(&comments).await;
    told.succeed(&deployment).await;
    told.look(&comments).await;
    let lengths: Vec<usize> = bodies(&told, number).iter().map(Vec::len).collect();
    assert_eq!(lengths, [1, 1, 2], "two of others, and ours edited once");
}

#[tokio::test]
async fn where_nobody_may_comment_it_is_tried_once_and_nothing_fails() {
    let (told, comments, number, commit) = merged("").await;
    told.repository(SHOP).lock_conversation(number);
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    told.look(&comments).await;
    told.succeed(&deployment).await;
    told.look(&comments).await;
    assert_eq!(told.sent("POST", "/comments"), 1);
    assert!(bodies(&told, number).is_empty());
}

#[tokio::test]
async fn a_comment_that_somebody_deleted_does_not_come_back() {
    let (told, comments, number, commit) = merged("").await;
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    told.look(&comments).await;
    let id = told.repository(SHOP).comments(number)[0].id;
    told.repository(SHOP).delete_comment(id);
    told.succeed(&deployment).await;
    told.look(&comments).await;
    told.refuse(&told.ask_for_commit(SHOP, "production", &commit, &[("default", 4)]).await).await;
    told.look(&comments).await;
    assert!(bodies(&told, number).is_empty());
    assert_eq!(told.sent("POST", "/comments"), 1);
}

#[tokio::test]
async fn a_stage_that_wants_no_comment_asks_github_nothing_for_one() {
    let (told, comments, number, commit) = merged("comment = false").await;
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    told.look(&comments).await;
    assert!(bodies(&told, number).is_empty());
    assert_eq!(told.fake.requests(), []);
}

#[tokio::test]
async fn only_a_pull_request_that_was_merged_as_this_commit_into_the_stages_branch_is_commented() {
    let (told, comments, number, _) = merged("branch = \"release\"").await;
    let repository = told.repository(SHOP);
    // Merged into main, which is another branch than the stage's.
    let merge = repository.head("main");
    // Part of a pull request that is open.
    let part = repository.push("other", "part of it");
    let open = repository.open_pull_request("other");
    // Of no pull request at all.
    let alone = repository.push("main", "alone");
    for commit in [&merge, &part, &alone] {
        let deployment = told.ask_for_commit(SHOP, "production", commit, &[("default", 3)]).await;
        told.refuse(&deployment).await;
    }
    told.look(&comments).await;
    told.look(&comments).await;
    assert!(bodies(&told, number).is_empty() && bodies(&told, open).is_empty());
    assert_eq!(told.sent("GET", "/pulls"), 3, "each is asked about once");
}

#[tokio::test]
async fn a_hanging_comment_delays_no_deployment_status() {
    let (told, comments, _, commit) = merged("").await;
    told.fake.hang("*/comments");
    let outbox = super::super::outbox::Outbox::new(Arc::clone(&told.service));
    let deployment = told.ask_for_commit(SHOP, "production", &commit, &[("default", 3)]).await;
    told.begin(&deployment).await;
    comments.activate().await.unwrap();
    told.succeed(&deployment).await;
    outbox.activate().await.unwrap();
    told.repository(SHOP).until_status(&commit, "success", PATIENCE).await.unwrap();
    told.fake.heal();
}
