//! What deploying itself reports on a commit.

use super::{ACTIONS, Blocked, Gate, Green, LATE, Waiting};
use crate::verdict::{WorkflowRun, WorkflowRuns};

impl Gate {
    /// A run of a workflow of GitHub Actions with its suite of the same id, whose one job is called like the workflow's
    /// number.
    fn workflow_run(self, id: u64, workflow: u64, event: &str, state: &str) -> Self {
        let mut gate = self.run_of(ACTIONS, id, 100 + id, &format!("job of {workflow}"), state).suite(id, 1, state, 0);
        if let WorkflowRuns::Known(runs) = &mut gate.facts.workflow_runs {
            runs.push(WorkflowRun { id, workflow, event: event.to_owned(), suite: Some(id) });
        }
        gate
    }

    /// A job of this run has registered a release, or waits for a deployment.
    fn deploys(mut self, run: u64) -> Self {
        self.facts.deploying_runs.push(run);
        self
    }

    /// The job of this check run has registered a release.
    fn registered(mut self, check_run: u64) -> Self {
        self.facts.registering_jobs.push(check_run);
        self
    }

    fn without_workflow_runs(mut self) -> Self {
        self.facts.workflow_runs = WorkflowRuns::Unknown("403".to_owned());
        self
    }
}

#[test]
fn rule_036b_the_suite_of_a_job_that_waits_is_judged_by_its_other_runs() {
    let gate = |test: &str| {
        let gate = Gate::all().run(1, "test", test).run(2, "deploy", "in_progress");
        gate.suite(1, 2, "in_progress", 0).waits(2)
    };
    assert_eq!(gate("success").kind(), Green);
    assert_eq!(gate("failure").summary(), "blocked: test failed (check run by GitHub Actions)");
    assert_eq!(gate("in_progress").summary(), "waiting for test");
    let another = gate("success").run_of(ACTIONS, 2, 3, "lint", "success").suite(2, 1, "in_progress", 0);
    assert_eq!(another.kind(), Waiting, "other suites are waited for as ever");
}

#[test]
fn rule_045_a_job_that_waits_for_its_own_deployment_is_not_waited_for_and_any_other_is() {
    let gate = || Gate::all().run(1, "test", "success").run_of(ACTIONS, 2, 2, "deploy", "in_progress");
    assert_eq!(gate().kind(), Waiting);
    assert_eq!(gate().waits(2).kind(), Green);
    assert_eq!(gate().waits(3).kind(), Waiting, "by its id, not by its name");
    let red = gate().waits(2).run_of(ACTIONS, 2, 3, "smoke", "failure");
    assert_eq!(red.summary(), "blocked: smoke failed (check run by GitHub Actions)");
    let alone = Gate::all().run(1, "deploy", "in_progress").waits(1);
    assert_eq!(alone.summary(), "blocked: CI has not reported anything that counts within 5m, and no-ci denies that");
}

#[test]
fn rule_046_a_job_that_waited_before_and_failed_does_not_block_the_next() {
    let first = Gate::all().run(1, "test", "success").run_of(ACTIONS, 2, 2, "deploy", "failure");
    let first = first.suite(2, 1, "failure", 0);
    assert_eq!(first.kind(), Blocked);
    let first = first.waits(2);
    assert_eq!(first.kind(), Green, "neither by its run nor by its suite");
    let again = first.run_of(ACTIONS, 2, 3, "deploy", "in_progress");
    assert_eq!(again.kind(), Waiting, "its second try does not wait for the deployment yet");
    assert_eq!(again.waits(3).kind(), Green);
    let replaced = Gate::all().run(1, "test", "success").run(2, "deploy", "failure").run(3, "deploy", "in_progress");
    assert_eq!(replaced.waits(3).kind(), Green, "a failed try that did not wait is replaced by the one that does");
}

#[test]
fn a_required_name_that_only_a_waiting_job_reports_is_not_satisfied_by_it() {
    for state in ["success", "in_progress", "failure"] {
        let gate = Gate::requiring(&["deploy"]).run(1, "deploy", state).waits(1);
        assert_eq!(gate.kind(), Waiting, "{state}");
        let why = "is required, and only the job that waits for this deployment reports it";
        assert_eq!(gate.after(LATE).items[0].why, why);
    }
    let by_both = Gate::requiring(&["deploy"]).run(1, "deploy", "in_progress").waits(1);
    assert_eq!(by_both.run_of(ACTIONS, 2, 2, "deploy", "success").kind(), Green);
}

#[test]
fn rule_046_of_a_workflow_that_deploys_only_the_newest_run_counts() {
    let twice = || {
        let gate = Gate::all().run_of(7, 7, 1, "test", "success");
        gate.workflow_run(10, 1, "push", "failure").workflow_run(11, 1, "workflow_dispatch", "success")
    };
    assert_eq!(twice().kind(), Blocked, "of any other workflow every run counts");
    assert_eq!(twice().deploys(10).kind(), Green);
    assert_eq!(twice().deploys(11).kind(), Green, "whichever of its runs it is known by");
    assert_eq!(twice().deploys(11).workflow_run(12, 1, "push", "in_progress").kind(), Waiting);
    assert_eq!(twice().deploys(11).workflow_run(12, 1, "push", "failure").kind(), Blocked);
    assert_eq!(twice().deploys(11).workflow_run(9, 2, "push", "failure").kind(), Blocked, "another workflow's");
}

#[test]
fn rule_046_only_a_later_try_of_the_same_check_takes_a_failed_ones_place() {
    let failed = || Gate::all().run_of(7, 7, 1, "test", "success").workflow_run(10, 1, "push", "failure").deploys(10);
    assert_eq!(failed().workflow_run(11, 1, "push", "skipped").kind(), Blocked, "what is skipped tries nothing");
    for event in ["pull_request", "schedule"] {
        assert_eq!(failed().workflow_run(11, 1, event, "success").kind(), Blocked, "{event} may run other jobs");
    }
    let another = failed().workflow_run(11, 1, "push", "success").run_of(ACTIONS, 10, 9, "lint", "failure");
    assert_eq!(another.summary(), "blocked: lint failed (check run by GitHub Actions)");
    assert_eq!(another.run_of(ACTIONS, 11, 12, "lint", "success").kind(), Green);
}

#[test]
fn rule_036a_a_workflow_that_waits_for_a_runner_holds_however_old_and_hides_nothing() {
    let waits = |first: &str| {
        let mut gate = Gate::all().workflow_run(10, 1, "push", first).workflow_run(11, 1, "push", "queued").deploys(10);
        gate.facts.check_runs.retain(|run| run.suite != Some(11));
        gate.facts.suites.iter_mut().filter(|suite| suite.id == 11).for_each(|suite| suite.runs = 0);
        gate
    };
    assert_eq!(waits("success").kind(), Waiting);
    assert_eq!(waits("failure").kind(), Blocked);
}

#[test]
fn rule_046_an_earlier_run_counts_as_long_as_nothing_is_seen_of_the_newest() {
    let mut gate =
        Gate::all().workflow_run(10, 1, "push", "failure").workflow_run(11, 1, "push", "success").deploys(11);
    gate.facts.suites.retain(|suite| suite.id != 11);
    gate.facts.check_runs.retain(|run| run.suite != Some(11));
    assert_eq!(gate.kind(), Blocked);
}

#[test]
fn rule_046_a_job_that_registered_the_release_and_failed_then_does_not_block_what_a_merge_started() {
    let release = |state: &str| Gate::all().run_of(7, 7, 1, "test", "success").workflow_run(10, 1, "push", state);
    assert_eq!(release("failure").kind(), Blocked);
    assert_eq!(release("failure").registered(110).kind(), Green, "neither by its run nor by its suite");
    assert_eq!(release("in_progress").registered(110).kind(), Waiting, "while it runs it may have more to say");
    let beside = release("failure").registered(110).run_of(ACTIONS, 10, 2, "lint", "failure");
    assert_eq!(beside.summary(), "blocked: lint failed (check run by GitHub Actions)");
    let still = release("in_progress").run_of(ACTIONS, 10, 2, "lint", "failure").registered(2);
    assert_eq!(still.kind(), Waiting, "the other jobs of its run are waited for");
}

#[test]
fn rule_047_what_a_deployment_has_started_does_not_count_for_the_next() {
    for event in ["deployment", "deployment_status"] {
        for state in ["failure", "in_progress", "queued"] {
            let gate = Gate::all().run(1, "test", "success").workflow_run(10, 1, event, state);
            assert_eq!(gate.summary(), "green: test passed (check run by GitHub Actions)", "{event} {state}");
        }
        let alone = Gate::all().workflow_run(10, 1, event, "success");
        assert_eq!(alone.kind(), Blocked, "nor for it: nobody has tested the commit");
        let required = Gate::requiring(&["job of 1"]).workflow_run(10, 1, event, "success");
        let why = "is required, and only a run of a workflow reports it that deploys and does not count";
        assert_eq!((required.kind(), required.after(LATE).items[0].why.as_str()), (Waiting, why));
    }
    assert_eq!(Gate::all().workflow_run(10, 1, "push", "in_progress").kind(), Waiting);
}

#[test]
fn rule_047_a_run_that_a_deployment_started_does_not_replace_the_one_that_deploys() {
    let gate = Gate::all().workflow_run(10, 1, "push", "failure").workflow_run(11, 1, "deployment_status", "success");
    assert_eq!(gate.deploys(10).kind(), Blocked);
}

#[test]
fn where_the_runs_of_workflows_cannot_be_read_nothing_is_left_out_and_it_says_so() {
    let gate = || {
        let gate = Gate::all().workflow_run(10, 1, "deployment", "failure").workflow_run(11, 1, "push", "success");
        gate.deploys(11).without_workflow_runs()
    };
    assert_eq!(gate().summary(), "blocked: job of 1 failed (check run by GitHub Actions)");
    let items = gate().after(LATE).items;
    assert!(items.iter().any(|item| item.name == "workflow runs" && item.why.contains("403")), "{items:?}");
    let green = Gate::all().run(1, "test", "success").without_workflow_runs();
    assert_eq!(green.summary(), "green: test passed (check run by GitHub Actions)");
}
