//! Runs of GitHub Actions.

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::actions;
use super::super::model::{CheckSuite, Model};

/// Newest first.
pub(in crate::github) fn runs(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let event = |suite: &CheckSuite| suite.workflow.as_ref().map(|workflow| workflow.event.clone());
    let mut runs: Vec<&CheckSuite> = repository
        .suites
        .iter()
        .filter(|suite| event(suite).is_some_and(|event| call.lets_through("event", &event)))
        .filter(|suite| call.lets_through("head_sha", &suite.sha))
        .filter(|suite| call.lets_through("check_suite_id", &suite.id.to_string()))
        .collect();
    runs.sort_by_key(|suite| std::cmp::Reverse(suite.id));
    Ok(Answer::counted(call.page(runs, id, model), "workflow_runs", |suite| {
        actions::run(suite, repository, &model.api)
    }))
}
