//! From facts to items: which reports count, which are missing, and what each says.

use std::collections::BTreeMap;

use super::deploying::Deploying;
use super::facts::{
    CheckRun, CheckState, CheckSuite, CommitFacts, CommitStatus, Required, RequiredCheck, SameTreeCommit, WorkflowRuns,
};
use super::{GatePolicy, Item, UNREAD_WORKFLOW_RUNS, VerdictKind};
use crate::Timestamp;
use crate::config::server::{Checks, NoCiThen};
use crate::quantity::Duration;

/// An item, and when the passing of time alone changes it.
pub(super) struct Finding {
    pub(super) item: Item,
    pub(super) until: Option<Timestamp>,
}

impl Finding {
    fn new(name: &str, state: VerdictKind, why: impl Into<String>) -> Self {
        Self { item: Item { name: name.to_owned(), state, why: why.into(), commit: None }, until: None }
    }

    fn until(self, deadline: Timestamp) -> Self {
        Self { until: Some(deadline), ..self }
    }

    fn seen_on(mut self, same_tree: &SameTreeCommit) -> Self {
        let SameTreeCommit { commit, relation, .. } = same_tree;
        self.item.why.push_str(&format!(" on {}, {relation}, which has the same content", commit.short()));
        self
    }
}

/// Everything that speaks for or against the commit; never empty.
pub(super) fn of(facts: &CommitFacts, policy: &GatePolicy<'_>, now: Timestamp) -> Vec<Finding> {
    let required: &[RequiredCheck] = match (policy.checks, &facts.required) {
        (Checks::Required, Required::Unknown(why)) => {
            let why = format!("the required checks could not be read: {why}");
            return vec![Finding::new("required checks", VerdictKind::Unavailable, why)];
        }
        (Checks::Required, Required::Known(required)) => required,
        (Checks::Named(names), _) => &names.iter().map(|name| RequiredCheck::by_anybody(name)).collect::<Vec<_>>(),
        (Checks::All, _) => &[],
    };
    let required: Vec<&RequiredCheck> = required.iter().filter(|check| !ignored(&check.context, policy)).collect();

    let reports = Reports::that_count(facts, policy);
    let mut findings = match reports.same_tree(policy, now) {
        Some((same_tree, reports)) => {
            let findings = reports.judged(&required, policy, now);
            findings.into_iter().map(|finding| finding.seen_on(same_tree)).collect()
        }
        None => reports.judged(&required, policy, now),
    };
    findings.extend(unread_workflow_runs(facts, &findings));
    findings
}

/// Whether the commit is one that is judged by another with the same content: it has no CI, and was given its time.
pub(super) fn asks_for_same_tree(facts: &CommitFacts, policy: &GatePolicy<'_>, now: Timestamp) -> bool {
    let wait = after(facts.first_seen, policy.no_ci.wait);
    policy.no_ci.same_tree && now >= wait && Reports::that_count(facts, policy).are_none(policy, now)
}

/// Where the runs of workflows could not be read, too much counts rather than too little; whoever waits should know.
fn unread_workflow_runs(facts: &CommitFacts, findings: &[Finding]) -> Option<Finding> {
    let WorkflowRuns::Unknown(why) = &facts.workflow_runs else { return None };
    let matters = !facts.check_runs.is_empty() && findings.iter().any(|it| it.item.state != VerdictKind::Green);
    let why = format!("could not be read, so that also checks count that deploying itself has made: {why}");
    matters.then(|| Finding::new(UNREAD_WORKFLOW_RUNS, VerdictKind::Green, why))
}

fn ignored(name: &str, policy: &GatePolicy<'_>) -> bool {
    policy.ignore.iter().any(|other| same_context(other, name))
}

/// The reports that count.
struct Reports<'a> {
    facts: &'a CommitFacts,
    runs: Vec<&'a CheckRun>,
    /// Those that deploying itself has made, which do not.
    of_deploying: Vec<&'a CheckRun>,
    statuses: Vec<&'a CommitStatus>,
    suites: Vec<&'a CheckSuite>,
}

impl<'a> Reports<'a> {
    /// The one place where reports are left out: those that the stage ignores, those that a newer one replaces, and
    /// those that follow from deploying.
    fn that_count(facts: &'a CommitFacts, policy: &GatePolicy<'_>) -> Self {
        let only_ignored = |suite: &CheckSuite| {
            let mut of_suite = facts.check_runs.iter().filter(|run| run.suite == Some(suite.id)).peekable();
            of_suite.peek().is_some() && of_suite.all(|run| ignored(&run.name, policy))
        };
        let deploying = Deploying::of(facts);
        let (of_deploying, runs) = newest(&facts.check_runs)
            .filter(|run| !ignored(&run.name, policy))
            .partition::<Vec<_>, _>(|run| deploying.has_run(run));
        let suites = facts.suites.iter().filter(|suite| !only_ignored(suite) && !deploying.has_suite(suite));
        Self {
            facts,
            runs,
            of_deploying,
            statuses: facts.statuses.iter().filter(|status| !ignored(&status.context, policy)).collect(),
            suites: suites.collect(),
        }
    }

    /// Whether nothing was reported, and nothing announces that it will be.
    fn are_none(&self, policy: &GatePolicy<'_>, now: Timestamp) -> bool {
        let announced = || self.suites.iter().any(|suite| self.of_suite(suite, policy.no_ci.wait, now).is_some());
        self.runs.is_empty() && self.statuses.is_empty() && !announced()
    }

    /// The reports on a commit with the same content, where they are to speak for this one.
    fn same_tree(&self, policy: &GatePolicy<'_>, now: Timestamp) -> Option<(&'a SameTreeCommit, Self)> {
        if !asks_for_same_tree(self.facts, policy, now) {
            return None;
        }
        let mut same_tree = self.facts.same_tree.iter().map(|it| (it, Self::that_count(&it.facts, policy)));
        same_tree.find(|(_, reports)| !reports.are_none(policy, now))
    }

    /// As the policy asks: every report, or what was reported under the names that must be.
    fn judged(&self, required: &[&RequiredCheck], policy: &GatePolicy<'_>, now: Timestamp) -> Vec<Finding> {
        if required.is_empty() {
            return self.all(policy, now);
        }
        let findings = required.iter().flat_map(|check| self.of_required(check));
        // Then another commit may speak for it.
        let wait = after(self.facts.first_seen, policy.no_ci.wait);
        match policy.no_ci.same_tree && now < wait && self.are_none(policy, now) {
            true => findings.map(|finding| finding.until(wait)).collect(),
            false => findings.collect(),
        }
    }

    /// Every report, and whatever announces more of them.
    fn all(&self, policy: &GatePolicy<'_>, now: Timestamp) -> Vec<Finding> {
        let grace = policy.no_ci.wait;
        let runs = self.runs.iter().map(|run| of_run(run));
        let statuses = self.statuses.iter().map(|status| of_status(status));
        let suites = self.suites.iter().filter_map(|suite| self.of_suite(suite, grace, now));
        let mut findings: Vec<Finding> = runs.chain(statuses).chain(suites).collect();
        if findings.is_empty() {
            let reported = self.facts.check_runs.len() + self.facts.statuses.len() > 0;
            findings.push(without_ci(self.facts.first_seen, reported, policy, now));
        }
        findings
    }

    /// A green list of runs may be a prefix: a job that waits for another has no run yet, but its suite is not
    /// completed. A suite without runs that is `queued` says nothing after the grace: every installed App gets one, and
    /// most never use it. What has a run is judged by its runs.
    fn of_suite(&self, suite: &CheckSuite, grace: Duration, now: Timestamp) -> Option<Finding> {
        let listed = self.facts.check_runs.iter().any(|run| run.suite == Some(suite.id));
        let has_runs = listed || suite.runs > 0;
        let name = &suite.app;
        match &suite.state {
            CheckState::Passed(_) => None,
            CheckState::Failed(_) if listed => None,
            CheckState::Failed(word) => Some(Finding::new(
                name,
                VerdictKind::Blocked,
                format!("ended with {} before any of its checks ran", spelled(word)),
            )),
            CheckState::Queued if !has_runs && !self.is_of_a_workflow(suite) => {
                let deadline = after(suite.created_at, grace);
                (now < deadline).then(|| {
                    Finding::new(name, VerdictKind::Waiting, format!("may still report a check, until {deadline}"))
                        .until(deadline)
                })
            }
            CheckState::Queued | CheckState::Underway(_) => Some(Finding::new(
                name,
                VerdictKind::Waiting,
                "has not completed its check suite: more checks may follow",
            )),
        }
    }

    /// Then its checks are about to begin, however long they wait for a runner.
    fn is_of_a_workflow(&self, suite: &CheckSuite) -> bool {
        match &self.facts.workflow_runs {
            WorkflowRuns::Known(runs) => runs.iter().any(|run| run.suite == Some(suite.id)),
            WorkflowRuns::Unknown(_) => false,
        }
    }

    /// What was reported under a name that must be reported. A check run and a status of the same name both count.
    fn of_required(&self, check: &RequiredCheck) -> Vec<Finding> {
        let RequiredCheck { context, integration_id: pinned } = check;
        let named: Vec<&CheckRun> = self.runs.iter().copied().filter(|run| run.name == *context).collect();
        let runs: Vec<&CheckRun> =
            named.iter().copied().filter(|run| pinned.is_none() || run.app_id == *pinned).collect();
        let statuses = self.statuses.iter().filter(|status| same_context(&status.context, context));
        let mut findings: Vec<Finding> = statuses.map(|status| of_status(status)).collect();

        // A status does not say which App wrote it, so it can break a check that is pinned to one, but not satisfy it.
        let satisfiable = !runs.is_empty() || (pinned.is_none() && !findings.is_empty());
        if !satisfiable {
            let why = match pinned {
                _ if self.of_deploying.iter().any(|run| run.name == *context) => self.own_word(context).to_owned(),
                None => "is required and has not been reported yet".to_owned(),
                Some(app) => missing_from(*app, &named, !findings.is_empty()),
            };
            findings.push(Finding::new(context, VerdictKind::Waiting, why));
        }
        findings.extend(runs.into_iter().map(of_run));
        findings
    }
}

impl Reports<'_> {
    /// Why a name that was reported counts as missing.
    fn own_word(&self, context: &str) -> &'static str {
        let mut waiting = self.of_deploying.iter().filter(|run| run.name == context);
        if waiting.any(|run| self.facts.waiting_jobs.contains(&run.id)) {
            "is required, and only the job that waits for this deployment reports it"
        } else {
            "is required, and only a run of a workflow reports it that deploys and does not count"
        }
    }
}

fn missing_from(app: u64, others: &[&CheckRun], status: bool) -> String {
    let instead = match others.first() {
        Some(other) => format!("; the one by {} does not count", other.app),
        None if status => "; a commit status does not say which App wrote it".to_owned(),
        None => String::new(),
    };
    format!("is required from the GitHub App {app} and has not been reported by it yet{instead}")
}

fn of_run(run: &CheckRun) -> Finding {
    judged(&run.name, &run.state, &format!("check run by {}", run.app))
}

fn of_status(status: &CommitStatus) -> Finding {
    judged(&status.context, &status.state, "commit status")
}

fn judged(name: &str, state: &CheckState, reported_as: &str) -> Finding {
    let (kind, words) = match state {
        CheckState::Queued => (VerdictKind::Waiting, "is queued".to_owned()),
        CheckState::Underway(word) => (VerdictKind::Waiting, format!("is {}", spelled(word))),
        CheckState::Passed(word) if word == "success" => (VerdictKind::Green, "passed".to_owned()),
        CheckState::Passed(word) => (VerdictKind::Green, format!("counts as passed: {}", spelled(word))),
        CheckState::Failed(word) => (VerdictKind::Blocked, failed(word)),
    };
    Finding::new(name, kind, format!("{words} ({reported_as})"))
}

fn failed(word: &str) -> String {
    match word {
        "failure" => "failed".to_owned(),
        "error" => "ended with an error".to_owned(),
        "cancelled" => "was cancelled".to_owned(),
        "timed_out" => "timed out".to_owned(),
        "action_required" => "asks for somebody's action".to_owned(),
        "stale" => "was never finished: GitHub calls it stale".to_owned(),
        "startup_failure" => "could not be started".to_owned(),
        other => format!("ended with {}, which does not count as passed", spelled(other)),
    }
}

fn spelled(word: &str) -> String {
    word.replace('_', " ")
}

/// The item of a commit on which nobody has reported anything.
const CI: &str = "CI";
const NO_CI_DENIES: &str = "and no-ci denies that";

/// Nothing was reported that counts, and nothing announces that it will be.
fn without_ci(first_seen: Timestamp, reported: bool, policy: &GatePolicy<'_>, now: Timestamp) -> Finding {
    let wait = policy.no_ci.wait;
    let deadline = after(first_seen, wait);
    let anything = if reported { "anything that counts" } else { "anything" };
    if now < deadline {
        let why = format!("has not reported {anything} yet; waiting until {deadline}");
        return Finding::new(CI, VerdictKind::Waiting, why).until(deadline);
    }
    let (state, so) = match policy.no_ci.then {
        NoCiThen::Allow => (VerdictKind::Green, "and no-ci allows that"),
        NoCiThen::Deny => (VerdictKind::Blocked, NO_CI_DENIES),
    };
    Finding::new(CI, state, format!("has not reported {anything} within {wait}, {so}"))
}

/// A check may be called so too.
pub(super) fn is_without_ci(item: &Item) -> bool {
    item.name == CI && item.why.ends_with(NO_CI_DENIES)
}

/// Of the runs of the same name, App and suite the newest, which is the one with the highest id.
fn newest(runs: &[CheckRun]) -> impl Iterator<Item = &CheckRun> {
    let mut newest: BTreeMap<_, &CheckRun> = BTreeMap::new();
    for run in runs {
        let kept = newest.entry((&run.name, run.app_id, &run.app, run.suite)).or_insert(run);
        if run.id > kept.id {
            *kept = run;
        }
    }
    newest.into_values()
}

fn same_context(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

fn after(start: Timestamp, wait: Duration) -> Timestamp {
    start.checked_add(wait.0).unwrap_or(Timestamp::MAX)
}
