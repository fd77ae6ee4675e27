//! The App, its installation and its tokens.

use std::time::Duration;

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::json;

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::{app, time, with};
use super::super::model::Model;

/// How long an installation's token is good for.
const HOUR: Duration = Duration::from_secs(3600);

pub(in crate::github) fn show(model: &mut Model, _: &Call) -> Result<Answer, Refusal> {
    Ok(Answer::ok(with(app::app(app::APP_SLUG, &model.api), model.registration.asked_for())))
}

pub(in crate::github) fn repository_installation(model: &mut Model, id: u64, _: &Call) -> Result<Answer, Refusal> {
    let owner = model.repository(id).owner().to_owned();
    if model.registration.is_removed(&owner) {
        return Err(Refusal::not_found());
    }
    Ok(Answer::ok(app::installation(&owner, &model.registration, &model.api)))
}

pub(in crate::github) fn installation(model: &mut Model, call: &Call) -> Result<Answer, Refusal> {
    must_be_the_one(call)?;
    let owner = model.repositories.values().next().map_or("acme", |repository| repository.owner());
    Ok(Answer::ok(app::installation(owner, &model.registration, &model.api)))
}

pub(in crate::github) fn create_token(model: &mut Model, call: &Call) -> Result<Answer, Refusal> {
    must_be_the_one(call)?;
    let token = format!("installation-token-{}", model.new_id());
    model.tokens.insert(token.clone());
    let answer = json!({
        "token": token,
        "expires_at": time(Timestamp::now() + HOUR),
        "permissions": model.registration.permissions(),
        "repository_selection": "all"
    });
    Ok(Answer::new(StatusCode::CREATED, answer))
}

pub(in crate::github) fn hook_config(model: &mut Model, _: &Call) -> Result<Answer, Refusal> {
    Ok(Answer::ok(model.registration.hook()))
}

fn must_be_the_one(call: &Call) -> Result<(), Refusal> {
    if call.rest == app::INSTALLATION_ID.to_string() { Ok(()) } else { Err(Refusal::not_found()) }
}

pub(in crate::github) fn rate_limit(_: &mut Model, _: &Call) -> Result<Answer, Refusal> {
    let limit = json!({ "limit": 5000, "used": 1, "remaining": 4999, "reset": (Timestamp::now() + HOUR).as_second() });
    Ok(Answer::ok(json!({ "resources": { "core": limit, "search": limit, "graphql": limit }, "rate": limit })))
}
