//! Which reports on a commit follow from deploying it: they cannot decide whether it is deployed.

use std::collections::{BTreeMap, BTreeSet};

use super::facts::{CheckRun, CheckState, CheckSuite, CommitFacts, WorkflowRun, WorkflowRuns};

/// What on a commit is the work of deploying it.
pub(super) struct Deploying<'a> {
    facts: &'a CommitFacts,
    /// Suites of what a deployment has started: nothing of them counts.
    started: BTreeSet<u64>,
    /// Suites of a workflow that deploys, each with those of its later runs: a later check takes an earlier one's place.
    earlier: BTreeMap<u64, Vec<u64>>,
}

impl<'a> Deploying<'a> {
    pub(super) fn of(facts: &'a CommitFacts) -> Self {
        let runs: &[WorkflowRun] = match &facts.workflow_runs {
            WorkflowRuns::Known(runs) => runs,
            WorkflowRuns::Unknown(_) => &[],
        };
        let started = runs.iter().filter(|run| follows_a_deployment(run)).filter_map(|run| run.suite).collect();
        Self { facts, started, earlier: earlier(runs, &facts.deploying_runs) }
    }

    /// A job that waits for this deployment, or did, whatever it says; one that registered the release and has failed
    /// since; one that a deployment has started; one that a later run of the same workflow has tried again.
    pub(super) fn has_run(&self, run: &CheckRun) -> bool {
        let failed = matches!(run.state, CheckState::Failed(_));
        self.waits(run)
            || failed && self.facts.registering_jobs.contains(&run.id)
            || run.suite.is_some_and(|suite| self.started.contains(&suite))
            || self.is_tried_again(run)
    }

    /// The suite of a job that waits cannot be completed while it does, so the suite's other runs speak for it.
    pub(super) fn has_suite(&self, suite: &CheckSuite) -> bool {
        let of_suite = || self.facts.check_runs.iter().filter(|run| run.suite == Some(suite.id));
        self.started.contains(&suite.id)
            || of_suite().any(|run| self.waits(run))
            || self.has_later(suite.id, |_| true) && of_suite().all(|run| self.is_tried_again(run))
    }

    fn waits(&self, run: &CheckRun) -> bool {
        self.facts.waiting_jobs.contains(&run.id)
    }

    fn is_tried_again(&self, run: &CheckRun) -> bool {
        run.suite.is_some_and(|suite| self.has_later(suite, |later| later.name == run.name))
    }

    /// Whether a later run has such a check. A check that was skipped has tried nothing.
    fn has_later(&self, suite: u64, such: impl Fn(&CheckRun) -> bool) -> bool {
        let Some(later) = self.earlier.get(&suite) else { return false };
        let skipped = |run: &CheckRun| matches!(&run.state, CheckState::Passed(word) if word == "skipped");
        let mut runs = self.facts.check_runs.iter();
        runs.any(|run| run.suite.is_some_and(|suite| later.contains(&suite)) && !skipped(run) && such(run))
    }
}

/// What a deployment's status started would otherwise keep the next deployment of the commit waiting, and start again.
fn follows_a_deployment(run: &WorkflowRun) -> bool {
    matches!(run.event.as_str(), "deployment" | "deployment_status")
}

/// The runs of workflows that deploy which have later ones: a run that failed must not stand in the way of the next try.
/// That is one that the same event has started, or a person: another event may run another file, and other jobs of it.
fn earlier(runs: &[WorkflowRun], deploying: &[u64]) -> BTreeMap<u64, Vec<u64>> {
    let deploys = |workflow| runs.iter().any(|run| run.workflow == workflow && deploying.contains(&run.id));
    let mut earlier = BTreeMap::new();
    for run in runs.iter().filter(|run| deploys(run.workflow)) {
        let later = runs.iter().filter(|later| {
            later.workflow == run.workflow
                && later.id > run.id
                && !follows_a_deployment(later)
                && (later.event == run.event || later.event == "workflow_dispatch")
        });
        let later: Vec<u64> = later.filter_map(|later| later.suite).collect();
        if let Some(suite) = run.suite {
            earlier.insert(suite, later);
        }
    }
    earlier
}
