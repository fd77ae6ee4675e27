//! Commits, their statuses and comparisons.

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::commits;
use super::super::model::Model;

pub(in crate::github) fn show(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let commit = repository
        .resolve(&call.rest)
        .ok_or_else(|| Refusal::unprocessable(format!("No commit found for SHA: {}", call.rest)))?;
    Ok(Answer::ok(commits::commit(commit, repository, &model.api)))
}

pub(in crate::github) fn combined_status(
    model: &Model,
    id: u64,
    reference: &str,
    call: &Call,
) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let sha = &repository.resolve(reference).ok_or_else(Refusal::not_found)?.sha;
    let page = call.page(repository.latest_statuses(sha), id, model);
    Ok(Answer::around(page, |statuses| commits::combined(sha, &statuses, repository, &model.api)))
}

pub(in crate::github) fn statuses(model: &Model, id: u64, reference: &str, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let sha = &repository.resolve(reference).ok_or_else(Refusal::not_found)?.sha;
    let newest_first = repository.statuses.iter().rev().filter(|status| status.sha == *sha).collect();
    let page = call.page(newest_first, id, model);
    Ok(Answer::list(page, |status| commits::status(status, repository, &model.api)))
}

pub(in crate::github) fn compare(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let (base, head) = call.rest.split_once("...").ok_or_else(Refusal::not_found)?;
    let (Some(base), Some(head)) = (repository.resolve(base), repository.resolve(head)) else {
        return Err(Refusal::not_found());
    };
    commits::comparison(base, head, repository, &model.api).map(Answer::ok).ok_or_else(Refusal::not_found)
}
