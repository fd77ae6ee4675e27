//! What happens on GitHub, and which commit is wanted on a stage because of it. Every commit has a release, so that nothing
//! but the rules keeps it from being deployed; none has checks, so that what is deployed waits at its gate.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use windlass_core::api::{Release, StageView};
use windlass_core::names::Digest;
use windlass_testing::github::{Attempt, CheckState, CommitState, Conclusion, deliver};

use crate::world::{PATIENCE, PROJECT, STAGE, WEBHOOK_SECRET, World};

/// Wants what is pushed to `main`.
const PUSHES: &str = "pushes";
/// Wants what is pushed to a branch of its own, and so tells when everything before was worked on.
const MARKER: &str = "marker";
const ZERO: &str = "0000000000000000000000000000000000000000";

struct Shop {
    world: World,
    digest: Digest,
}

impl Shop {
    async fn start() -> Self {
        let stage = |name: &str, branch: &str| {
            format!("[projects.\"{PROJECT}\".stages.{name}]\nbranch = \"{branch}\"\ndeploy-on = [\"push\"]\n")
        };
        let world = World::start_with(&format!("{}{}", stage(PUSHES, "main"), stage(MARKER, MARKER))).await;
        let shop = Self { world, digest: format!("sha256:{}", "5".repeat(64)).parse().unwrap() };
        shop.release(&shop.world.repository.head("main")).await;
        shop
    }

    /// The commit has a release on every stage.
    async fn release(&self, commit: &str) {
        for stage in [STAGE, PUSHES, MARKER] {
            let _: Release = self.world.post(&releases(stage), &self.new_release(commit)).await;
        }
    }

    fn new_release(&self, commit: &str) -> Value {
        json!({ "commit": commit, "digest": self.digest, "config": self.world.config() })
    }

    /// Pushes a commit that has a release.
    async fn push(&self, branch: &str, message: &str) -> String {
        let commit = self.world.repository.push(branch, message);
        self.release(&commit).await;
        commit
    }

    /// Delivers what the stand-in has no verb for.
    async fn deliver(&self, event: &str, guid: &str, payload: &Value) {
        let address = format!("http://{}/webhooks/github", self.world.service_address);
        let taken = deliver(&address, WEBHOOK_SECRET, event, guid, payload.to_string().as_bytes()).await;
        assert_eq!(taken, Attempt::Answered(202));
    }

    /// The body of the last delivery of this event.
    fn last(&self, event: &str) -> Value {
        let last = self.world.github.deliveries().into_iter().rfind(|it| it.event == event).unwrap();
        serde_json::from_slice(&last.body).unwrap()
    }

    /// What is deployed because of all that has been told so far: stages and commits.
    async fn deployed(&self) -> BTreeSet<(String, String)> {
        self.world.github.until_delivered(PATIENCE).await.unwrap();
        let marker = self.push(MARKER, "Everything before has been worked on").await;
        self.world.repository.until_deployment(|it| it.sha == marker, PATIENCE).await.unwrap();
        let all = self.world.repository.deployments().into_iter().filter(|it| it.environment != MARKER);
        all.map(|it| (it.environment, it.sha)).collect()
    }

    /// Neither deployed nor wanted.
    async fn expect_untouched(&self, commits: &[&str]) {
        let deployed = self.deployed().await;
        for stage in [STAGE, PUSHES] {
            let view: StageView = self.world.get(&format!("/projects/{PROJECT}/stages/{stage}")).await;
            let wanted = view.apps.into_values().find_map(|app| app.wanted_commit).map(|commit| commit.to_string());
            for commit in commits {
                assert_ne!(wanted.as_deref(), Some(*commit), "{stage}");
                assert!(!deployed.contains(&(stage.to_owned(), (*commit).to_owned())), "{stage}: {deployed:?}");
            }
        }
    }

    async fn expect_deployed(&self, stage: &str, commit: &str) {
        let is_it = |it: &windlass_testing::github::DeploymentRecord| it.environment == stage && it.sha == commit;
        self.world.repository.until_deployment(is_it, PATIENCE).await.unwrap();
    }
}

fn releases(stage: &str) -> String {
    format!("/projects/{PROJECT}/stages/{stage}/apps/default/releases")
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_020_a_branch_that_is_deleted_and_a_tag_deploy_nothing() {
    let shop = Shop::start().await;
    let commit = shop.push("feature", "Not for main").await;
    let pushed = shop.last("push");
    let with = |changes: Value| {
        let mut payload = pushed.clone();
        payload.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        payload
    };
    let main = "refs/heads/main";
    shop.deliver("push", "tag", &with(json!({ "ref": "refs/tags/v1" }))).await;
    shop.deliver("push", "deleted", &with(json!({ "ref": main, "deleted": true, "before": commit, "after": ZERO })))
        .await;
    shop.deliver("push", "zero", &with(json!({ "ref": main, "before": commit, "after": ZERO }))).await;
    shop.deliver("push", "said", &with(json!({ "ref": main, "deleted": true }))).await;
    shop.expect_untouched(&[&commit, ZERO]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_021_only_the_branch_of_exactly_that_name_is_the_stages() {
    let shop = Shop::start().await;
    let mut commits = Vec::new();
    for branch in ["feature/main", "main/feature", "Main", "mai", "mainx", "refs/heads/main", "heads/main"] {
        commits.push(shop.push(branch, "Not for main").await);
    }
    shop.expect_untouched(&commits.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let commit = shop.push("main", "For main").await;
    shop.expect_deployed(PUSHES, &commit).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_022_a_tag_that_is_called_like_the_branch_deploys_nothing() {
    let shop = Shop::start().await;
    let tagged = shop.push("feature", "Not for main").await;
    let mut payload = shop.last("push");
    payload["ref"] = json!("refs/tags/main");
    shop.deliver("push", "tag", &payload).await;
    shop.expect_untouched(&[&tagged]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_023_a_pull_request_deploys_nothing_unless_it_is_merged_into_the_branch() {
    let shop = Shop::start().await;
    let head = shop.push("feature", "Given up").await;
    let repository = &shop.world.repository;
    let number = repository.open_pull_request("feature");
    let would_be = shop.last("pull_request")["pull_request"]["merge_commit_sha"].as_str().unwrap_or(&head).to_owned();
    repository.close_pull_request(number);
    let mut payload = shop.last("pull_request");
    assert_eq!(payload["pull_request"]["merged"], false);
    // Merged, but into another branch.
    let other = shop.push("release", "Merged into a release").await;
    payload["pull_request"]["merged"] = json!(true);
    payload["pull_request"]["merge_commit_sha"] = json!(other);
    payload["pull_request"]["base"]["ref"] = json!("release");
    shop.deliver("pull_request", "elsewhere", &payload).await;
    shop.expect_untouched(&[&head, &would_be, &other]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_024_merged_squashed_or_rebased_what_the_branch_got_is_deployed() {
    let shop = Shop::start().await;
    let repository = &shop.world.repository;
    for way in ["merged", "squashed", "rebased"] {
        let first = shop.push(way, "The first of two").await;
        let head = shop.push(way, "The second").await;
        let number = repository.open_pull_request(way);
        let commit = match way {
            "merged" => repository.merge_pull_request(number),
            "squashed" => repository.squash_pull_request(number),
            _ => repository.rebase_pull_request(number),
        };
        assert_eq!(repository.head("main"), commit, "{way}");
        shop.release(&commit).await;
        shop.expect_deployed(STAGE, &commit).await;
        shop.expect_deployed(PUSHES, &commit).await;
        shop.expect_untouched(&[&first, &head]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_026_what_the_merge_queue_tries_is_deployed_when_the_branch_has_it() {
    let shop = Shop::start().await;
    let repository = &shop.world.repository;
    shop.push("feature", "Through the queue").await;
    let number = repository.open_pull_request("feature");
    let queued = shop.push("gh-readonly-queue/main/pr-1-5f3a", "Try the merge").await;
    repository.add_check_run(&queued, "test", CheckState::Completed(Conclusion::Success));
    shop.expect_untouched(&[&queued]).await;
    repository.merge_pull_request_as(number, &queued);
    shop.expect_deployed(STAGE, &queued).await;
    shop.expect_deployed(PUSHES, &queued).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_027_a_forks_commit_is_deployed_by_nothing_that_is_told_of_it() {
    let shop = Shop::start().await;
    let repository = &shop.world.repository;
    // No branch of the repository has it: that is what a fork's commit looks like from here.
    let commit = shop.push("fork", "From somebody else's repository").await;
    let number = repository.open_pull_request("fork");
    repository.delete_branch("fork");
    repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    repository.set_status(&commit, "lint", CommitState::Success);
    repository.complete_workflow_run(&commit, "ci", Conclusion::Success);
    let suite = shop.last("check_suite");
    assert_eq!(suite["check_suite"]["head_branch"], Value::Null);
    assert_eq!(suite["check_suite"]["pull_requests"], json!([]));
    // The fork's own branch may be called `main`, and its repository may be gone.
    let mut opened = shop.last("pull_request");
    opened["pull_request"]["head"]["ref"] = json!("main");
    opened["pull_request"]["head"]["repo"] = Value::Null;
    shop.deliver("pull_request", "opened", &opened).await;
    repository.close_pull_request(number);
    shop.expect_untouched(&[&commit]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_030_what_a_message_says_keeps_no_commit_from_being_deployed() {
    let shop = Shop::start().await;
    let commit = shop.push("main", "[skip deploy] [skip ci] [no deploy] Sell more\n\nDeploy: skip").await;
    shop.expect_deployed(PUSHES, &commit).await;
    shop.push("[skip deploy]", "[skip deploy]").await;
    let number = shop.world.repository.open_pull_request("[skip deploy]");
    let merged = shop.world.repository.squash_pull_request(number);
    shop.release(&merged).await;
    shop.expect_deployed(STAGE, &merged).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_078_fifty_registrations_at_once_get_fifty_numbers_in_a_row_and_none_again() {
    let mut shop = Shop::start().await;
    let commits: Vec<String> = (0..50).map(|number| format!("{number:040x}")).collect();
    let mut numbers = register(&shop, &commits).await;
    // The first one is the release of the commit on `main`.
    numbers.sort_unstable();
    assert_eq!(numbers, (2..52).collect::<Vec<u64>>());
    shop.world.kill_service().await;
    shop.world.start_service().await;
    let more: Vec<String> = (50..53).map(|number| format!("{number:040x}")).collect();
    let mut later = register(&shop, &more).await;
    later.sort_unstable();
    assert_eq!(later, [52, 53, 54]);
    // The same ones again are the same ones.
    let mut again = register(&shop, &commits).await;
    again.sort_unstable();
    assert_eq!(again, numbers);
}

/// All at once; the numbers they got.
async fn register(shop: &Shop, commits: &[String]) -> Vec<u64> {
    let requests = commits.iter().map(|commit| {
        let request = shop.world.request(reqwest::Method::POST, &releases(STAGE)).json(&shop.new_release(commit));
        tokio::spawn(async move { request.send().await.unwrap().json::<Release>().await.unwrap().number.0 })
    });
    let requests: Vec<_> = requests.collect();
    let mut numbers = Vec::new();
    for request in requests {
        numbers.push(request.await.unwrap());
    }
    numbers
}
