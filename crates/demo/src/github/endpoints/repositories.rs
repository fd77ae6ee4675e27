//! Repositories, branches, rules and pull requests.

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::{pull_requests, repositories};
use super::super::model::Model;

pub(in crate::github) fn show(model: &mut Model, id: u64, _: &Call) -> Result<Answer, Refusal> {
    Ok(Answer::ok(repositories::full(model.repository(id), &model.api)))
}

/// A branch, or what classic protection requires of it: that one only an administrator may read, and without any it
/// is not found.
pub(in crate::github) fn branch(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let answer = match call.rest.strip_suffix("/protection/required_status_checks") {
        Some(branch) => repositories::required_status_checks(repository, branch, &model.api)
            .ok_or_else(|| Refusal::new(axum::http::StatusCode::NOT_FOUND, "Branch not protected"))?,
        None => repositories::branch(repository, &call.rest, model)
            .ok_or_else(|| Refusal::new(axum::http::StatusCode::NOT_FOUND, "Branch not found"))?,
    };
    Ok(Answer::ok(answer))
}

pub(in crate::github) fn rules(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let rules = repositories::rules(model.repository(id), &call.rest);
    Ok(Answer::list(call.page(rules, id, model), |rule| rule))
}

pub(in crate::github) fn pull_request(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let number = call.rest.parse().ok();
    let found = repository.pull_requests.iter().find(|it| Some(it.number) == number).ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(pull_requests::pull_request(found, repository, &model.api)))
}

/// The pull requests that a commit came of, or is part of.
pub(in crate::github) fn pull_requests_of(
    model: &Model,
    id: u64,
    reference: &str,
    call: &Call,
) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let sha = &repository.resolve(reference).ok_or_else(Refusal::not_found)?.sha;
    let of = repository.pull_requests.iter().filter(|it| {
        let mut commits = repository.commits_between(Some(&it.base_sha), &it.head_sha).into_iter();
        it.merge_commit.as_ref() == Some(sha) || commits.any(|commit| commit.sha == *sha)
    });
    let page = call.page(of.collect(), id, model);
    Ok(Answer::list(page, |it| pull_requests::in_lists(it, repository, &model.api)))
}
