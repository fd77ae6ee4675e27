//! The webhook, which is the App's and each repository's, and the log of its deliveries.

use std::sync::Arc;

use axum::extract::{RawPathParams, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::super::deliveries::LoggedAttempt;
use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::hooks;
use super::super::shared::Shared;

/// What belongs to one repository, or to all.
#[derive(Clone, Copy)]
pub(in crate::github) enum Of {
    App,
    Repository,
}

pub(in crate::github) async fn list(
    State(shared): State<Arc<Shared>>,
    parameters: RawPathParams,
    uri: Uri,
) -> Result<Answer, Refusal> {
    let id = repository(&shared, &parameters)?;
    let call = Call::new("", &uri, b"")?;
    let model = shared.model();
    let config = model.registration.hook();
    let hooks: Vec<_> = config.get("url").is_some().then_some(config).into_iter().collect();
    let page = call.page(hooks, id, &model);
    Ok(Answer::list(page, |config| hooks::hook(config, &model.registration.events(), model.repository(id), &model.api)))
}

/// Newest first, in pages that begin where a cursor says.
pub(in crate::github) fn deliveries(
    of: Of,
    shared: &Arc<Shared>,
    parameters: &RawPathParams,
    uri: &Uri,
) -> Result<Answer, Refusal> {
    let call = Call::new("", uri, b"")?;
    let mut attempts = attempts(of, shared, parameters)?;
    attempts.retain(|attempt| match call.parameter("status") {
        Some("failure") => !attempt.result.was_taken(),
        Some("success") => attempt.result.was_taken(),
        _ => true,
    });
    attempts.reverse();
    Ok(Answer::list(call.page_by_cursor(attempts, |attempt| attempt.id, &shared.model()), |it| hooks::delivery(&it)))
}

pub(in crate::github) fn delivery(of: Of, shared: &Arc<Shared>, parameters: &RawPathParams) -> Result<Answer, Refusal> {
    let attempt = attempt(of, shared, parameters)?;
    let url = shared.hook_url().unwrap_or_default();
    Ok(Answer::ok(hooks::whole_delivery(&attempt, &url)))
}

/// That it will be delivered again is all that is said.
pub(in crate::github) fn deliver_again(
    of: Of,
    shared: &Arc<Shared>,
    parameters: &RawPathParams,
) -> Result<Answer, Refusal> {
    let attempt = attempt(of, shared, parameters)?;
    shared.deliver_again(&attempt.delivery.guid);
    Ok(Answer::new(StatusCode::ACCEPTED, json!({})))
}

fn attempt(of: Of, shared: &Shared, parameters: &RawPathParams) -> Result<LoggedAttempt, Refusal> {
    let id = parameters.iter().find(|(name, _)| *name == "delivery").and_then(|(_, id)| id.parse().ok());
    let found = attempts(of, shared, parameters)?.into_iter().find(|attempt| Some(attempt.id) == id);
    found.ok_or_else(Refusal::not_found)
}

fn attempts(of: Of, shared: &Shared, parameters: &RawPathParams) -> Result<Vec<LoggedAttempt>, Refusal> {
    let mut attempts = shared.attempts();
    if let Of::Repository = of {
        let id = repository(shared, parameters)?;
        attempts.retain(|attempt| attempt.delivery.repository() == Some(id));
    }
    Ok(attempts)
}

fn repository(shared: &Shared, parameters: &RawPathParams) -> Result<u64, Refusal> {
    let parameter = |name: &str| parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value);
    let model = shared.model();
    let id = match (parameter("owner"), parameter("repository")) {
        (Some(owner), Some(name)) => model.find(&format!("{owner}/{name}")).map(|it| it.id),
        _ => parameter("id").and_then(|id| id.parse().ok()),
    };
    id.filter(|id| model.repositories.contains_key(id)).ok_or_else(Refusal::not_found)
}

/// The handler of one of them.
pub(in crate::github) fn answer(answer: Result<Answer, Refusal>) -> Response {
    answer.map_or_else(|refusal| refusal.into_response(), |answer| answer.into_response())
}
