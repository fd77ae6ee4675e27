use super::{
    CheckRun, CheckState, CheckSuite, CommitFacts, CommitStatus, GatePolicy, Required, RequiredCheck, Verdict,
    VerdictKind, WorkflowRuns, verdict,
};
use crate::Timestamp;
use crate::config::server::{Checks, NoCi, NoCiThen};
use crate::quantity::Duration;

mod deploying;
mod properties;
mod same_tree;

use VerdictKind::{Blocked, Green, Unavailable, Waiting};

const ACTIONS: u64 = 15368;

/// The second at which the tests judge, counted from when the commit was first seen.
const LATE: i64 = 3600;

/// A stage's policy that owns what [`GatePolicy`] borrows, and the commit it is asked about.
struct Gate {
    facts: CommitFacts,
    checks: Checks,
    ignore: Vec<String>,
    no_ci: NoCi,
}

impl Gate {
    fn new(checks: Checks) -> Self {
        let facts = CommitFacts {
            statuses: Vec::new(),
            check_runs: Vec::new(),
            suites: Vec::new(),
            required: Required::Known(Vec::new()),
            waiting_jobs: Vec::new(),
            registering_jobs: Vec::new(),
            deploying_runs: Vec::new(),
            workflow_runs: WorkflowRuns::Known(Vec::new()),
            same_tree: Vec::new(),
            first_seen: at(0),
        };
        let no_ci = NoCi { wait: Duration::from_secs(300), then: NoCiThen::Deny, same_tree: true };
        Self { facts, checks, ignore: Vec::new(), no_ci }
    }

    fn all() -> Self {
        Self::new(Checks::All)
    }

    fn requiring(names: &[&str]) -> Self {
        let checks = names.iter().map(|name| RequiredCheck::by_anybody(name)).collect();
        let mut gate = Self::new(Checks::Required);
        gate.facts.required = Required::Known(checks);
        gate
    }

    fn status(mut self, context: &str, state: &str) -> Self {
        self.facts.statuses.push(CommitStatus { context: context.to_owned(), state: CheckState::of_status(state) });
        self
    }

    fn run(self, id: u64, name: &str, state: &str) -> Self {
        self.run_of(ACTIONS, 1, id, name, state)
    }

    /// `state` is a conclusion, or else a status.
    fn run_of(mut self, app: u64, suite: u64, id: u64, name: &str, state: &str) -> Self {
        let state = read(state);
        let app_name = if app == ACTIONS { "GitHub Actions".to_owned() } else { format!("App {app}") };
        let run = CheckRun { id, name: name.to_owned(), app_id: Some(app), app: app_name, suite: Some(suite), state };
        self.facts.check_runs.push(run);
        self
    }

    fn suite(mut self, id: u64, runs: u64, state: &str, created: i64) -> Self {
        let suite = CheckSuite { id, app: "Some App".to_owned(), state: read(state), runs, created_at: at(created) };
        self.facts.suites.push(suite);
        self
    }

    /// The job of this check run waits for the deployment.
    fn waits(mut self, run: u64) -> Self {
        self.facts.waiting_jobs.push(run);
        self
    }

    fn ignoring(mut self, name: &str) -> Self {
        self.ignore.push(name.to_owned());
        self
    }

    fn policy(&self) -> GatePolicy<'_> {
        GatePolicy { checks: &self.checks, ignore: &self.ignore, no_ci: &self.no_ci }
    }

    fn after(&self, seconds: i64) -> Verdict {
        verdict(&self.facts, &self.policy(), at(seconds))
    }

    fn kind(&self) -> VerdictKind {
        self.after(LATE).verdict
    }

    fn summary(&self) -> String {
        self.after(LATE).summary()
    }

    fn next_look(&self, seconds: i64) -> Option<Timestamp> {
        self.after(seconds).next_look(&self.facts, &self.policy(), at(seconds))
    }
}

fn read(state: &str) -> CheckState {
    match state {
        "queued" | "in_progress" | "waiting" | "requested" | "pending" => CheckState::of_check(state, None),
        conclusion => CheckState::of_check("completed", Some(conclusion)),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).unwrap()
}

#[test]
fn rule_033_no_statuses_is_not_pending() {
    assert_eq!(Gate::all().run(1, "test", "success").kind(), Green);
}

#[test]
fn rule_034_a_pending_status_is_waited_for_and_a_red_one_blocks_beside_green_checks() {
    let gate = || Gate::all().run(1, "test", "success");
    assert_eq!(gate().status("ci", "pending").summary(), "waiting for ci");
    assert_eq!(gate().status("ci", "error").summary(), "blocked: ci ended with an error (commit status)");
    assert_eq!(gate().status("ci", "failure").summary(), "blocked: ci failed (commit status)");
    assert_eq!(gate().status("ci", "invented").kind(), Blocked);
    assert_eq!(gate().status("ci", "success").summary(), "green: all 2 checks passed");
}

#[test]
fn rule_035_a_commit_without_ci_waits_for_the_grace_and_then_goes_by_the_policy() {
    for checks in [Checks::All, Checks::Required] {
        let mut gate = Gate::new(checks);
        assert_eq!(gate.after(299).verdict, Waiting);
        assert_eq!(gate.after(299).items[0].why, "has not reported anything yet; waiting until 2023-11-14T22:18:20Z");
        let denied = "blocked: CI has not reported anything within 5m, and no-ci denies that";
        assert_eq!(gate.after(300).summary(), denied);
        gate.no_ci.then = NoCiThen::Allow;
        assert_eq!(gate.after(299).verdict, Waiting);
        let allowed = "green: CI has not reported anything within 5m, and no-ci allows that";
        assert_eq!(gate.after(300).summary(), allowed);
    }
}

#[test]
fn rule_036_a_suite_without_runs_holds_only_while_it_is_young() {
    let gate = Gate::all().run(1, "test", "success").suite(1, 1, "success", 0).suite(2, 0, "queued", 100);
    assert_eq!(gate.after(399).summary(), "waiting for Some App");
    assert_eq!(gate.after(400).verdict, Green);
    let begun = Gate::all().run(1, "test", "success").suite(2, 0, "pending", 100);
    assert_eq!(begun.kind(), Waiting, "a suite that is more than made has something to say, however old");
}

#[test]
fn rule_036a_a_suite_with_runs_that_is_not_completed_holds_however_old() {
    for state in ["queued", "in_progress", "waiting", "requested"] {
        assert_eq!(Gate::all().run(1, "build", "success").suite(1, 1, state, 0).kind(), Waiting, "{state}");
        assert_eq!(Gate::all().run(1, "build", "success").suite(1, 0, state, 0).kind(), Waiting, "its run is listed");
    }
    assert_eq!(Gate::all().run(1, "build", "success").suite(1, 1, "success", 0).kind(), Green);
}

#[test]
fn a_suite_that_ended_badly_before_its_first_run_blocks() {
    for conclusion in ["startup_failure", "cancelled", "failure"] {
        assert_eq!(Gate::all().run_of(7, 7, 1, "lint", "success").suite(1, 0, conclusion, 0).kind(), Blocked);
    }
    assert_eq!(Gate::all().run(1, "test", "success").suite(2, 0, "skipped", 0).kind(), Green);
}

#[test]
fn rule_038_only_success_neutral_and_skipped_pass() {
    for good in ["success", "neutral", "skipped"] {
        assert_eq!(Gate::all().run(1, "test", good).kind(), Green, "{good}");
    }
    let bad = [
        "failure",
        "cancelled",
        "timed_out",
        "action_required",
        "stale",
        "startup_failure",
        "Success",
        "marvellous",
        "",
    ];
    for bad in bad {
        assert_eq!(Gate::all().run(1, "test", bad).kind(), Blocked, "{bad}");
    }
    assert_eq!(CheckState::of_check("completed", None), CheckState::Failed("no conclusion".to_owned()));
    assert_eq!(CheckState::of_check("invented", Some("success")), CheckState::Underway("invented".to_owned()));
}

#[test]
fn rule_039_the_newest_run_of_a_check_counts_in_whatever_order_they_come() {
    for (older, newer, expected) in
        [("failure", "success", Green), ("success", "queued", Waiting), ("success", "failure", Blocked)]
    {
        assert_eq!(Gate::all().run(1, "test", older).run(2, "test", newer).kind(), expected);
        assert_eq!(Gate::all().run(2, "test", newer).run(1, "test", older).kind(), expected);
    }
}

#[test]
fn rule_040_the_same_name_from_two_apps_or_in_two_suites_is_two_checks() {
    let two_apps = Gate::all().run_of(1, 1, 2, "test", "success").run_of(2, 2, 1, "test", "failure");
    assert_eq!(two_apps.summary(), "blocked: test failed (check run by App 2)");
    let two_suites = Gate::all().run_of(ACTIONS, 1, 1, "test", "failure").run_of(ACTIONS, 2, 2, "test", "success");
    assert_eq!(two_suites.summary(), "blocked: test failed (check run by GitHub Actions)");
    let required = Gate::requiring(&["test"]).run_of(1, 1, 2, "test", "success").run_of(2, 2, 1, "test", "failure");
    assert_eq!(required.kind(), Blocked);
}

#[test]
fn rule_041_a_required_check_that_was_not_reported_is_waited_for_by_name() {
    let gate = Gate::requiring(&["test", "lint"]).run(1, "build", "success");
    assert_eq!(gate.summary(), "waiting for lint, test");
    assert_eq!(gate.after(LATE).items[0].why, "is required and has not been reported yet");
    assert_eq!(gate.next_look(LATE), None, "time does not report it");
}

#[test]
fn rule_042_a_check_that_is_pinned_to_an_app_is_not_satisfied_by_another() {
    let pinned = |gate: Gate| {
        let required = RequiredCheck { context: "test".to_owned(), integration_id: Some(1) };
        Gate { facts: CommitFacts { required: Required::Known(vec![required]), ..gate.facts }, ..gate }
    };
    let by = |app| pinned(Gate::requiring(&[]).run_of(app, 1, 1, "test", "success"));
    assert_eq!(by(1).kind(), Green);
    assert_eq!(by(2).kind(), Waiting);
    assert_eq!(
        by(2).after(LATE).items[0].why,
        "is required from the GitHub App 1 and has not been reported by it yet; the one by App 2 does not count"
    );
    assert_eq!(pinned(Gate::requiring(&[]).status("test", "success")).kind(), Waiting);
    assert_eq!(pinned(Gate::requiring(&[]).status("test", "failure")).kind(), Blocked);
}

#[test]
fn rule_043_a_required_name_counts_as_check_and_as_status_whose_case_makes_no_difference() {
    let gate = || Gate::requiring(&["Test"]).run(1, "Test", "success");
    assert_eq!(gate().status("test", "failure").summary(), "blocked: test failed (commit status)");
    assert_eq!(gate().status("TEST", "pending").kind(), Waiting);
    assert_eq!(gate().status("test", "success").kind(), Green);
    assert_eq!(Gate::requiring(&["Test"]).status("tEST", "success").kind(), Green);
}

#[test]
fn rule_044_required_checks_that_cannot_be_read_are_unavailable_and_never_none() {
    let mut gate = Gate::requiring(&[]).run(1, "test", "success");
    gate.facts.required = Required::Unknown("403".to_owned());
    assert_eq!(gate.summary(), "unavailable: the required checks could not be read: 403");
    gate.checks = Checks::All;
    assert_eq!(gate.kind(), Green, "a policy that does not ask for them does not need them");
    gate.checks = Checks::Named(vec!["test".to_owned()]);
    assert_eq!(gate.kind(), Green);
}

#[test]
fn rule_050_what_could_not_be_read_is_never_green() {
    let unavailable = Verdict::unavailable("GitHub did not answer in time");
    assert_eq!(unavailable.verdict, Unavailable);
    assert_eq!(unavailable.summary(), "unavailable: GitHub did not answer in time");
    let gate = Gate::all();
    assert_eq!(unavailable.next_look(&gate.facts, &gate.policy(), at(0)), None);
}

#[test]
fn only_what_is_required_counts_where_something_is() {
    let gate = Gate::requiring(&["test"])
        .run(1, "test", "success")
        .run(2, "nightly", "failure")
        .status("coverage", "error")
        .suite(1, 2, "in_progress", 0);
    assert_eq!(gate.summary(), "green: test passed (check run by GitHub Actions)");
}

#[test]
fn everything_counts_where_nothing_is_required() {
    assert_eq!(Gate::requiring(&[]).run(1, "test", "failure").kind(), Blocked);
}

#[test]
fn a_list_of_names_is_judged_as_if_they_were_required() {
    let gate = || Gate::new(Checks::Named(vec!["test".to_owned(), "lint".to_owned()])).run(1, "test", "success");
    assert_eq!(gate().summary(), "waiting for lint");
    assert_eq!(gate().status("lint", "success").run(2, "other", "failure").kind(), Green);
    assert_eq!(gate().status("lint", "failure").kind(), Blocked);
    assert_eq!(Gate::new(Checks::Named(Vec::new())).run(1, "test", "failure").kind(), Blocked, "no names: all");
}

#[test]
fn an_ignored_name_counts_neither_for_nor_against_nor_as_missing() {
    let red = Gate::all().run(1, "test", "success").run(2, "codecov", "failure").status("Codecov", "failure");
    assert_eq!(red.ignoring("codecov").kind(), Green);
    let missing = Gate::requiring(&["test", "codecov"]).run(1, "test", "success");
    assert_eq!(missing.ignoring("codecov").kind(), Green);
    let alone = Gate::all().run(1, "codecov", "success").ignoring("codecov");
    assert_eq!(alone.summary(), "blocked: CI has not reported anything that counts within 5m, and no-ci denies that");
    let its_suite = Gate::all().run(1, "test", "success").run_of(7, 7, 2, "codecov", "in_progress");
    assert_eq!(its_suite.suite(7, 1, "in_progress", 0).ignoring("codecov").kind(), Green);
}

#[test]
fn red_outweighs_what_is_still_to_come() {
    let gate = Gate::all().run(1, "test", "failure").run(2, "lint", "in_progress");
    assert_eq!(gate.summary(), "blocked: test failed (check run by GitHub Actions)");
    let names: Vec<String> = gate.after(LATE).items.into_iter().map(|item| item.name).collect();
    assert_eq!(names, ["lint", "test"], "and yet all that was looked at is told");
}

#[test]
fn the_next_look_is_when_time_alone_changes_something() {
    assert_eq!(Gate::all().next_look(10), Some(at(300)));
    assert_eq!(Gate::all().next_look(300), None, "it is decided");
    let gate = Gate::all().suite(3, 0, "queued", 50).suite(2, 0, "queued", 20).run(1, "test", "in_progress");
    assert_eq!(gate.next_look(60), Some(at(320)));
    assert_eq!(gate.next_look(330), Some(at(350)));
    assert_eq!(gate.next_look(350), None, "only the running check is left");
    assert_eq!(Gate::all().suite(2, 0, "queued", 20).run(1, "test", "failure").next_look(60), None);
}
