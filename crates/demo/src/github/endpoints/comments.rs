//! Comments on pull requests.

use axum::http::StatusCode;
use jiff::Timestamp;

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::comments;
use super::super::model::{Comment, Model, Repository};

const LONGEST: usize = 65_536;

pub(in crate::github) fn list(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let number = pull_request(repository, &call.rest)?;
    let of = repository.comments.iter().filter(|it| it.pull_request == number).collect();
    let page = call.page(of, id, model);
    Ok(Answer::list(page, |it| comments::comment(it, repository, &model.api)))
}

pub(in crate::github) fn create(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let number = pull_request(model.repository(id), &call.rest)?;
    must_be_open(model.repository(id), number, "create")?;
    let body = body(call)?;
    let now = Timestamp::now();
    let comment =
        Comment { id: model.new_id(), pull_request: number, bodies: vec![body], created_at: now, updated_at: now };
    let answer = comments::comment(&comment, model.repository(id), &model.api);
    model.repository_mut(id).comments.push(comment);
    Ok(Answer::new(StatusCode::CREATED, answer))
}

pub(in crate::github) fn edit(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let wanted: Option<u64> = call.rest.parse().ok();
    let found = model.repository(id).comments.iter().find(|it| Some(it.id) == wanted);
    let number = found.ok_or_else(Refusal::not_found)?.pull_request;
    must_be_open(model.repository(id), number, "update")?;
    let body = body(call)?;
    let mut edited = None;
    if let Some(comment) = model.repository_mut(id).comments.iter_mut().find(|it| Some(it.id) == wanted) {
        comment.bodies.push(body);
        comment.updated_at = Timestamp::now();
        edited = Some(comment.clone());
    }
    let edited = edited.ok_or_else(Refusal::not_found)?;
    Ok(Answer::ok(comments::comment(&edited, model.repository(id), &model.api)))
}

fn pull_request(repository: &Repository, number: &str) -> Result<u64, Refusal> {
    let number = number.parse().ok();
    let found = repository.pull_requests.iter().find(|it| Some(it.number) == number);
    found.map(|it| it.number).ok_or_else(Refusal::not_found)
}

fn must_be_open(repository: &Repository, number: u64, what: &str) -> Result<(), Refusal> {
    if repository.locked.contains(&number) {
        let message = format!("Unable to {what} comment because issue is locked.");
        return Err(Refusal::new(StatusCode::FORBIDDEN, message));
    }
    Ok(())
}

fn body(call: &Call) -> Result<String, Refusal> {
    match call.body["body"].as_str() {
        None | Some("") => Err(Refusal::invalid("IssueComment", "body", "missing_field", "body is missing")),
        Some(body) if body.chars().count() > LONGEST => {
            let message = "body is too long (maximum is 65536 characters)";
            Err(Refusal::invalid("IssueComment", "body", "custom", message))
        }
        Some(body) => Ok(body.to_owned()),
    }
}
