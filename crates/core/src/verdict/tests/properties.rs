//! What holds for any commit: thousands of made-up ones. Of one for which it does not hold the smallest is shown.

use std::cell::Cell;

use proptest::prelude::*;
use proptest::sample::select;
use proptest::test_runner::{Config, TestRunner};

use super::{ACTIONS, Blocked, CheckState, Gate, Green, Required, RequiredCheck};
use crate::config::server::{Checks, NoCiThen};

/// The second at which the gate looks: after the grace of some suites and before that of others.
const NOW: i64 = 500;
const APPS: [u64; 2] = [ACTIONS, 7];
const NAMES: [&str; 4] = ["test", "lint", "build", "Test"];
const FAILING: [&str; 5] = ["failure", "cancelled", "timed_out", "stale", "an invention"];
const PENDING: [&str; 3] = ["queued", "in_progress", "waiting"];

/// What GitHub says of a commit, and what its stage asks for. A [`Gate`] comes of it.
#[derive(Debug, Clone)]
struct Commit {
    policy: Policy,
    ignored: Option<&'static str>,
    allowed_without_ci: bool,
    runs: Vec<Run>,
    statuses: Vec<(&'static str, &'static str)>,
    /// Id, number of runs, state and age.
    suites: Vec<(u64, u64, &'static str, i64)>,
    waiting_job: Option<u64>,
}

#[derive(Debug, Clone)]
enum Policy {
    All,
    Named(Vec<&'static str>),
    /// Names, each from anybody or from one App only.
    Required(Vec<(&'static str, Option<u64>)>),
}

#[derive(Debug, Clone)]
struct Run {
    id: u64,
    app: u64,
    suite: u64,
    name: &'static str,
    state: &'static str,
}

/// Something that is asked for and is not, or not yet, as it should be.
#[derive(Debug, Clone)]
struct Trouble {
    name: &'static str,
    pinned: Option<u64>,
    report: Report,
    state: &'static str,
}

#[derive(Debug, Clone, Copy)]
enum Report {
    None,
    Run { app: u64, suite: u64 },
    Status,
}

#[test]
fn what_is_required_and_failing_or_pending_never_leaves_a_commit_green() {
    hold(&(any_commit(), any_trouble()), |(commit, trouble)| {
        let green_before = commit.is_green();
        prop_assert!(!commit.with_required(&trouble).is_green());
        Ok(green_before)
    });
}

#[test]
fn the_order_of_what_github_says_never_changes_the_verdict() {
    let shuffled = any_commit().prop_flat_map(|commit| (Just(commit.clone()), any_order_of(commit)));
    hold(&shuffled, |(commit, shuffled)| {
        prop_assert_eq!(commit.gate().after(NOW), shuffled.gate().after(NOW));
        Ok(commit.is_green())
    });
}

#[test]
fn a_failing_report_never_makes_a_stage_that_asks_for_all_checks_greener() {
    let failing = any_trouble().prop_filter("reported", |it| !matches!(it.report, Report::None));
    hold(&(any_commit(), failing, select(&FAILING)), |(commit, mut failing, state)| {
        let before = Commit { policy: Policy::All, ..commit };
        failing.state = state;
        let after = before.with_report(&failing).gate().after(NOW).verdict;
        prop_assert!(after >= before.gate().after(NOW).verdict);
        prop_assert_eq!(after, Blocked);
        Ok(before.is_green())
    });
}

#[test]
fn of_a_green_commit_every_required_name_was_reported_and_has_passed() {
    hold(&any_commit(), |commit| {
        let green = commit.is_green();
        for (name, pinned) in commit.required() {
            prop_assert!(!green || commit.has_passed(name, pinned), "{}", name);
        }
        Ok(green)
    });
}

/// Tries it on many, of which enough must be green: of commits that are red anyway it would show little.
fn hold<S: Strategy>(any: &S, test: impl Fn(S::Value) -> Result<bool, TestCaseError>) {
    const CASES: u32 = 2000;
    let green = Cell::new(0);
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(any, |value| {
        green.set(green.get() + u32::from(test(value)?));
        Ok(())
    });
    assert!(outcome.is_ok(), "{}", outcome.unwrap_err());
    assert!(green.get() > CASES / 8, "only {} of {CASES} commits were green: this test shows little", green.get());
}

impl Commit {
    fn gate(&self) -> Gate {
        let mut gate = match &self.policy {
            Policy::All => Gate::all(),
            Policy::Named(names) => Gate::new(Checks::Named(names.iter().map(ToString::to_string).collect())),
            Policy::Required(required) => {
                let mut gate = Gate::requiring(&[]);
                let check = |&(name, integration_id): &(&str, _)| RequiredCheck {
                    integration_id,
                    ..RequiredCheck::by_anybody(name)
                };
                gate.facts.required = Required::Known(required.iter().map(check).collect());
                gate
            }
        };
        gate.no_ci.then = if self.allowed_without_ci { NoCiThen::Allow } else { NoCiThen::Deny };
        gate = self.runs.iter().fold(gate, |gate, it| gate.run_of(it.app, it.suite, it.id, it.name, it.state));
        gate = self.statuses.iter().fold(gate, |gate, (context, state)| gate.status(context, state));
        gate = self.suites.iter().fold(gate, |gate, &(id, runs, state, age)| gate.suite(id, runs, state, NOW - age));
        gate = self.waiting_job.into_iter().fold(gate, Gate::waits);
        self.ignored.into_iter().fold(gate, Gate::ignoring)
    }

    fn is_green(&self) -> bool {
        self.gate().after(NOW).verdict == Green
    }

    /// The names that are asked for and not ignored, and which App must have reported each.
    fn required(&self) -> Vec<(&'static str, Option<u64>)> {
        let required = match &self.policy {
            Policy::All => Vec::new(),
            Policy::Named(names) => names.iter().map(|name| (*name, None)).collect(),
            Policy::Required(required) => required.clone(),
        };
        let counts = |name: &str| self.ignored.is_none_or(|ignored| !same_name(name, ignored));
        required.into_iter().filter(|(name, _)| counts(name)).collect()
    }

    fn has_passed(&self, name: &str, pinned: Option<u64>) -> bool {
        let is_it = |run: &&Run| {
            run.name == name && pinned.is_none_or(|app| app == run.app) && self.waiting_job != Some(run.id)
        };
        let passed = |run: &Run| matches!(super::read(run.state), CheckState::Passed(_));
        let by_status = |&(context, state): &(&str, &str)| same_name(context, name) && state == "success";
        self.runs.iter().filter(is_it).any(passed) || (pinned.is_none() && self.statuses.iter().any(by_status))
    }

    /// It is asked for, whatever the stage asked for before.
    fn with_required(&self, trouble: &Trouble) -> Self {
        let mut commit = self.with_report(trouble);
        match &mut commit.policy {
            // Whatever is reported is asked for, so something has to be.
            Policy::All if matches!(trouble.report, Report::None) => commit.statuses.push((trouble.name, "pending")),
            Policy::All => {}
            Policy::Named(names) => names.push(trouble.name),
            Policy::Required(required) => required.push((trouble.name, trouble.pinned)),
        }
        commit
    }

    /// It is reported, after everything else.
    fn with_report(&self, trouble: &Trouble) -> Self {
        let mut commit = self.clone();
        commit.ignored = commit.ignored.filter(|ignored| !same_name(ignored, trouble.name));
        match trouble.report {
            // A name that is missing altogether.
            Report::None => {
                commit.runs.retain(|run| !same_name(run.name, trouble.name));
                commit.statuses.retain(|(context, _)| !same_name(context, trouble.name));
            }
            Report::Run { app, suite } => {
                commit.runs.push(Run { id: 99, app, suite, name: trouble.name, state: trouble.state });
            }
            Report::Status => {
                // Of a context only the newest status is told.
                commit.statuses.retain(|(context, _)| !same_name(context, trouble.name));
                let state = if FAILING.contains(&trouble.state) { "failure" } else { "pending" };
                commit.statuses.push((trouble.name, state));
            }
        }
        commit
    }
}

/// Mostly good news, or hardly any would be green.
fn any_commit() -> impl Strategy<Value = Commit> {
    let good_or = |bad: &'static [&'static str], odds| prop_oneof![odds => select(&["success", "success", "neutral", "skipped"][..]), 1 => select(bad)];
    let run = (select(&APPS), 0..3_u64, select(&NAMES), good_or(&["failure", "in_progress", "queued", "new"], 14))
        .prop_map(|(app, suite, name, state)| Run { id: 0, app, suite, name, state });
    let runs = prop::collection::vec(run, 0..6).prop_map(|mut runs| {
        (1..).zip(&mut runs).for_each(|(id, run)| run.id = id);
        runs
    });
    let status_state = prop_oneof![9 => Just("success"), 1 => select(&["pending", "failure", "error"][..])];
    let statuses = prop::collection::vec((select(&["test", "LINT", "ci"][..]), status_state), 0..3);
    let suite = (0..4_u64, 0..2_u64, good_or(&["queued", "in_progress", "failure"], 6), 0..400_i64);
    let waiting_job = prop::option::weighted(0.2, 1..4_u64);
    let ignored = prop::option::weighted(0.2, select(&NAMES));
    let suites = prop::collection::vec(suite, 0..3);
    (any_policy(), ignored, any::<bool>(), runs, statuses, suites, waiting_job).prop_map(
        |(policy, ignored, allowed_without_ci, runs, statuses, suites, waiting_job)| Commit {
            policy,
            ignored,
            allowed_without_ci,
            runs,
            statuses,
            suites,
            waiting_job,
        },
    )
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let names = prop::collection::vec(select(&NAMES), 1..3);
    let pinned = prop::option::weighted(0.3, select(&APPS));
    prop_oneof![
        Just(Policy::All),
        names.prop_map(Policy::Named),
        prop::collection::vec((select(&NAMES), pinned), 0..3).prop_map(Policy::Required),
    ]
}

fn any_trouble() -> impl Strategy<Value = Trouble> {
    let report = prop_oneof![
        Just(Report::None),
        (select(&APPS), 0..4_u64).prop_map(|(app, suite)| Report::Run { app, suite }),
        Just(Report::Status),
    ];
    let name = select(&["test", "lint", "Test", "the last straw"][..]);
    let pinned = prop::option::weighted(0.3, select(&APPS));
    let state = prop_oneof![select(&FAILING), select(&PENDING)];
    (name, pinned, report, state).prop_map(|(name, pinned, report, state)| {
        // What another App says would be no trouble.
        let pinned = match report {
            Report::Run { app, .. } => pinned.map(|_| app),
            Report::None | Report::Status => pinned,
        };
        Trouble { name, pinned, report, state }
    })
}

fn any_order_of(commit: Commit) -> impl Strategy<Value = Commit> {
    let policy = match commit.policy.clone() {
        Policy::All => Just(Policy::All).boxed(),
        Policy::Named(names) => Just(names).prop_shuffle().prop_map(Policy::Named).boxed(),
        Policy::Required(required) => Just(required).prop_shuffle().prop_map(Policy::Required).boxed(),
    };
    let runs = Just(commit.runs.clone()).prop_shuffle();
    let statuses = Just(commit.statuses.clone()).prop_shuffle();
    let suites = Just(commit.suites.clone()).prop_shuffle();
    (policy, runs, statuses, suites).prop_map(move |(policy, runs, statuses, suites)| Commit {
        policy,
        runs,
        statuses,
        suites,
        ..commit.clone()
    })
}

/// As GitHub compares contexts.
fn same_name(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}
