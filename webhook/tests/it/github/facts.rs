//! What is reported on a commit and required on a branch, in full.

use axum::http::Method;
use windlass_core::Timestamp;
use windlass_core::config::server::{Checks, NoCi, NoCiThen};
use windlass_core::names::CommitSha;
use windlass_core::quantity::Duration;
use windlass_core::verdict::{CommitFacts, GatePolicy, Required, RequiredCheck, VerdictKind, WorkflowRuns, verdict};
use windlass_testing::github::{CheckState, CommitState, Conclusion, Failure};
use windlass_webhook::github::GitHubError;

use super::World;

const SUCCESS: CheckState = CheckState::Completed(Conclusion::Success);

impl World {
    async fn facts(&self) -> Result<CommitFacts, GitHubError> {
        self.github.commit_facts(&self.project, &self.head(), "main", Timestamp::now()).await
    }

    async fn verdict(&self, checks: Checks) -> (VerdictKind, String) {
        let facts = self.facts().await.unwrap();
        let no_ci = NoCi { wait: Duration::from_secs(300), then: NoCiThen::Deny, same_tree: true };
        let verdict = verdict(&facts, &GatePolicy { checks: &checks, ignore: &[], no_ci: &no_ci }, Timestamp::now());
        (verdict.verdict, verdict.summary())
    }
}

#[tokio::test]
async fn rule_033_green_checks_without_any_status_are_green() {
    let world = World::start().await;
    world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Green);
}

#[tokio::test]
async fn rule_035_a_commit_on_which_nothing_is_reported_is_waited_for() {
    let world = World::start().await;
    assert_eq!(world.verdict(Checks::Required).await, (VerdictKind::Waiting, "waiting for CI".to_owned()));
}

#[tokio::test]
async fn rule_036_a_young_suite_without_runs_holds() {
    let world = World::start().await;
    world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
    world.shop.add_check_suite(world.head().as_str(), "codecov");
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Waiting);
}

#[tokio::test]
async fn rule_037_the_failing_one_of_many_check_runs_is_found_on_a_later_page() {
    let world = World::start().await;
    let sha = world.head();
    // The stand-in lists the newest first, as GitHub does: what comes first is on the last page.
    world.shop.add_check_run(sha.as_str(), "the first", CheckState::Completed(Conclusion::Failure));
    for number in 0..120 {
        world.shop.add_check_run(sha.as_str(), &format!("check {number}"), SUCCESS);
    }
    assert_eq!(world.facts().await.unwrap().check_runs.len(), 121);
    let (kind, summary) = world.verdict(Checks::All).await;
    assert_eq!(kind, VerdictKind::Blocked);
    assert!(summary.starts_with("blocked: the first failed (check run by "), "{summary}");
}

#[tokio::test]
async fn rule_037_the_failing_one_of_many_statuses_is_found_too() {
    let world = World::start().await;
    for number in 0..130 {
        let state = if number == 129 { CommitState::Failure } else { CommitState::Success };
        world.shop.set_status(world.head().as_str(), &format!("ci/{number:03}"), state);
    }
    assert_eq!(world.facts().await.unwrap().statuses.len(), 130);
    assert_eq!(world.verdict(Checks::All).await.1, "blocked: ci/129 failed (commit status)");
}

#[tokio::test]
async fn rule_037_suites_are_read_beyond_the_first_page() {
    let world = World::start().await;
    let suite = world.shop.add_check_suite(world.head().as_str(), "slow");
    world.shop.add_check_run_in(suite, "slow", CheckState::InProgress);
    for number in 0..110 {
        let suite = world.shop.add_check_suite(world.head().as_str(), &format!("app-{number}"));
        world.shop.add_check_run_in(suite, "quick", SUCCESS);
    }
    assert_eq!(world.facts().await.unwrap().suites.len(), 111);
}

#[tokio::test]
async fn rule_039_a_red_check_that_is_green_at_the_second_try_is_green() {
    let world = World::start().await;
    let suite = world.shop.add_check_suite(world.head().as_str(), "github-actions");
    world.shop.add_check_run_in(suite, "test", CheckState::Completed(Conclusion::Failure));
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Blocked);
    let again = world.shop.add_check_run_in(suite, "test", CheckState::Queued);
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Waiting);
    world.shop.complete_check_run(again, Conclusion::Success);
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Green);
}

#[tokio::test]
async fn rule_041_what_rulesets_and_classic_protection_require_is_waited_for_by_name() {
    let world = World::start().await;
    world.shop.require_checks("main", &["test", "lint"]);
    world.shop.protect_branch("main", &["test", "audit"]);
    world.shop.require_checks("other", &["elsewhere"]);
    let required = ["audit", "lint", "test"].map(RequiredCheck::by_anybody);
    assert_eq!(world.facts().await.unwrap().required, Required::Known(required.to_vec()));
    world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
    assert_eq!(world.verdict(Checks::Required).await.1, "waiting for audit, lint");
}

#[tokio::test]
async fn rule_044_rules_that_cannot_be_read_make_only_a_policy_that_asks_for_them_unavailable() {
    for (pattern, status) in
        [("*/rules/branches/main", 403), ("*/rules/branches/main", 404), ("*/rules/branches/main", 502)]
            .into_iter()
            .chain([("*/protection/required_status_checks", 403), ("*/protection/required_status_checks", 500)])
    {
        let world = World::start().await;
        world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
        world.fake.fail_next(Method::GET, pattern, Failure::status(status).times(2));
        let (kind, summary) = world.verdict(Checks::Required).await;
        assert_eq!(kind, VerdictKind::Unavailable, "{pattern} {status}: {summary}");
        assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Green, "{pattern} {status}");
    }
}

#[tokio::test]
async fn rule_044_a_branch_without_classic_protection_requires_nothing_by_it() {
    let world = World::start().await;
    assert_eq!(world.facts().await.unwrap().required, Required::Known(Vec::new()));
}

#[tokio::test]
async fn rule_050_what_could_not_be_read_is_an_error_and_no_shorter_list() {
    for list in ["*/status", "*/check-runs", "*/check-suites", "*/actions/runs"] {
        let world = World::start().await;
        world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
        world.fake.fail_next(Method::GET, list, Failure::status(502));
        assert!(world.facts().await.unwrap_err().is_temporary(), "{list}");
        assert_eq!(world.facts().await.unwrap().check_runs.len(), 1, "and the next look sees all");
    }
}

#[tokio::test]
async fn suites_are_read_before_the_runs_so_that_a_completed_suite_has_no_run_to_come() {
    let world = World::start().await;
    world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
    world.fake.delay("*/check-suites", std::time::Duration::from_millis(100));
    world.fake.delay("*/actions/runs", std::time::Duration::from_millis(100));
    world.facts().await.unwrap();
    let requests = world.fake.requests();
    let place = |end| requests.iter().position(|request| request.path.ends_with(end)).unwrap();
    assert!(place("/check-suites") < place("/check-runs"));
    assert!(place("/actions/runs") < place("/check-suites"), "who replaces whom is known before what they say");
}

#[tokio::test]
async fn rule_046_the_runs_of_workflows_are_read_on_all_pages_with_workflow_event_and_suite() {
    let world = World::start().await;
    let sha = world.head();
    let runs: Vec<u64> = (0..120).map(|_| world.shop.add_workflow_run(sha.as_str(), "deploy", "push")).collect();
    world.shop.add_workflow_run(&world.shop.push("other", "elsewhere"), "deploy", "push");
    let after = world.shop.add_workflow_run(sha.as_str(), "smoke", "deployment_status");
    let WorkflowRuns::Known(known) = world.facts().await.unwrap().workflow_runs else { panic!("they can be read") };
    assert_eq!(known.len(), 121);
    let find = |id: u64| known.iter().find(|run| run.id == id).unwrap();
    assert_eq!(find(runs[0]).workflow, find(runs[119]).workflow);
    assert_ne!(find(runs[0]).workflow, find(after).workflow);
    assert_eq!((find(after).event.as_str(), find(after).suite), ("deployment_status", Some(after)));
}

#[tokio::test]
async fn rule_047_a_workflow_that_a_deployment_s_status_starts_does_not_count() {
    let world = World::start().await;
    world.shop.add_check_run(world.head().as_str(), "test", SUCCESS);
    let smoke = world.shop.add_workflow_run(world.head().as_str(), "smoke", "deployment_status");
    let run = world.shop.add_check_run_in(smoke, "smoke", CheckState::InProgress);
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Green);
    world.shop.complete_check_run(run, Conclusion::Failure);
    assert_eq!(world.verdict(Checks::All).await.0, VerdictKind::Green);
}

#[tokio::test]
async fn rule_047_runs_of_workflows_that_may_not_be_read_are_unknown_and_the_rest_is_read() {
    for status in [403, 404] {
        let world = World::start().await;
        let smoke = world.shop.add_workflow_run(world.head().as_str(), "smoke", "deployment_status");
        world.shop.add_check_run_in(smoke, "smoke", CheckState::InProgress);
        world.fake.fail_next(Method::GET, "*/actions/runs", Failure::status(status));
        let facts = world.facts().await.unwrap();
        assert!(matches!(facts.workflow_runs, WorkflowRuns::Unknown(why) if why.contains("Actions: read")), "{status}");
        assert_eq!(facts.check_runs.len(), 1);
        world.fake.fail_next(Method::GET, "*/actions/runs", Failure::status(status));
        assert_eq!(world.verdict(Checks::All).await.1, "waiting for github-actions, smoke");
    }
}

#[tokio::test]
async fn a_commit_s_content_is_known_by_its_tree() {
    let world = World::start().await;
    let head: CommitSha = world.shop.push("feature", "a feature").parse().unwrap();
    let base = world.head();
    let number = world.shop.open_pull_request("feature");
    let merge: CommitSha = world.shop.merge_pull_request(number).parse().unwrap();
    let of = async |commit: &CommitSha| world.github.tree(&world.project, commit).await.unwrap();
    assert_eq!(of(&merge).await.id, of(&head).await.id);
    assert_ne!(of(&merge).await.id, of(&base).await.id);
    assert_eq!(of(&merge).await.parents, [base, head]);
}
