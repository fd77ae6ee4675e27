//! Check runs and check suites of a commit.

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::{app, checks};
use super::super::model::{CheckRun, CheckSuite, Model};

/// `filter=latest`, the default, gives the newest run of each name in each suite; `all` every one.
pub(in crate::github) fn runs(model: &Model, id: u64, reference: &str, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let all = call.parameter("filter") == Some("all");
    let mut runs: Vec<&CheckRun> = suites_of(model, id, reference)?
        .into_iter()
        .filter(|suite| call.lets_through("app_id", &app::app_id(&suite.app).to_string()))
        .flat_map(|suite| {
            if all {
                repository.runs.iter().filter(|run| run.suite == suite.id).collect()
            } else {
                repository.latest_runs(suite.id)
            }
        })
        .filter(|run| call.lets_through("check_name", &run.name) && call.lets_through("status", run.state.status()))
        .collect();
    runs.sort_by_key(|run| std::cmp::Reverse(run.id));
    Ok(Answer::counted(call.page(runs, id, model), "check_runs", |run| checks::run(run, repository, &model.api)))
}

pub(in crate::github) fn suites(model: &Model, id: u64, reference: &str, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let named = |suite: &CheckSuite, name: &str| repository.latest_runs(suite.id).iter().any(|run| run.name == name);
    let suites: Vec<&CheckSuite> = suites_of(model, id, reference)?
        .into_iter()
        .filter(|suite| call.lets_through("app_id", &app::app_id(&suite.app).to_string()))
        .filter(|suite| call.parameter("check_name").is_none_or(|name| named(suite, name)))
        .collect();
    Ok(Answer::counted(call.page(suites, id, model), "check_suites", |suite| {
        checks::suite(suite, repository, &model.api)
    }))
}

fn suites_of<'a>(model: &'a Model, id: u64, reference: &str) -> Result<Vec<&'a CheckSuite>, Refusal> {
    let repository = model.repository(id);
    let commit = repository
        .resolve(reference)
        .ok_or_else(|| Refusal::unprocessable(format!("No commit found for SHA: {reference}")))?;
    Ok(repository.suites.iter().filter(|suite| suite.sha == commit.sha).collect())
}
