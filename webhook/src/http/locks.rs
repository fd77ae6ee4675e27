//! Locks: a person's, with a reason; told apart by their ETag so that nobody ends another one than they saw.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use windlass_core::api::{LockView, NewLock, ShownLock};
use windlass_core::stage::Stage;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::error::ApiError;
use super::extract::Body;
use crate::service::Service;
use crate::store::locks::{Condition, Refused, StoredLock};

/// Shows who has locked a stage
#[utoipa::path(
    get,
    path = "/lock",
    tag = "locks",
    operation_id = "show_lock",
    params(StagePath),
    responses(
        (status = OK, description = "The lock", body = ShownLock, headers(("etag" = String, description = "By which only this lock is changed"))),
        (status = NOT_FOUND, description = "`no_lock`: nobody has locked it, or `stage_unknown`"),
    ),
)]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
) -> Result<Response, ApiError> {
    actor.may(Act::Look, &stage)?;
    match service.store.lock(&stage).await? {
        Some(stored) => Ok(shown(stored, &actor)),
        None => Err(ApiError::not_found("no_lock", format!("nobody has locked {stage}"))),
    }
}

/// Locks a stage
#[utoipa::path(
    put,
    path = "/lock",
    tag = "locks",
    operation_id = "take_lock",
    params(
        StagePath,
        ("if-none-match" = inline(Option<String>), Header, description = "`*`: only if nobody has locked it"),
        ("if-match" = inline(Option<String>), Header, description = "The `ETag` of the lock whose place it takes"),
    ),
    request_body = NewLock,
    responses(
        (status = OK, description = "The stage is locked", body = ShownLock, headers(("etag" = String, description = "By which only this lock is changed"))),
        (status = PRECONDITION_FAILED, description = "`lock_changed`: the lock is not the one that was read"),
        (status = PRECONDITION_REQUIRED, description = "`lock_unread`: another's lock takes `if-match`"),
    ),
)]
pub(crate) async fn take(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    headers: HeaderMap,
    Body(new): Body<NewLock>,
) -> Result<Response, ApiError> {
    actor.may(Act::Lock, &stage)?;
    let lock = LockView { by: actor.name().to_owned(), reason: new.reason, since: service.clock.now() };
    match service.store.take_lock(&stage, &condition(&headers), &lock, &actor.holder()).await? {
        Ok(stored) => Ok(shown(stored, &actor)),
        Err(refused) => Err(refusal(&stage, refused)),
    }
}

/// Releases a stage's lock
#[utoipa::path(
    delete,
    path = "/lock",
    tag = "locks",
    operation_id = "release_lock",
    params(
        StagePath,
        ("if-match" = inline(Option<String>), Header, description = "The `ETag` of the lock that is meant"),
    ),
    responses(
        (status = NO_CONTENT, description = "The stage is not locked any more"),
        (status = NOT_FOUND, description = "`no_lock`: nobody has locked it, or `stage_unknown`"),
        (status = PRECONDITION_FAILED, description = "`lock_changed`: the lock is not the one that was read"),
        (status = PRECONDITION_REQUIRED, description = "`lock_unread`: another's lock takes `if-match`"),
    ),
)]
pub(crate) async fn release(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    actor.may(Act::Lock, &stage)?;
    match service.store.release_lock(&stage, &condition(&headers), &actor.holder(), service.clock.now()).await? {
        Ok(true) => {
            service.wake.stages.notify_one();
            Ok(StatusCode::NO_CONTENT)
        }
        Ok(false) => Err(ApiError::not_found("no_lock", format!("nobody has locked {stage}"))),
        Err(refused) => Err(refusal(&stage, refused)),
    }
}

fn shown(stored: StoredLock, to: &Actor) -> Response {
    let lock = ShownLock { yours: stored.is_of(&to.holder()), lock: stored.lock };
    ([(header::ETAG, format!("\"{}\"", stored.etag))], Json(lock)).into_response()
}

/// `If-None-Match: *` asks for a free stage, `If-Match` for the lock that was read.
fn condition(headers: &HeaderMap) -> Condition {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    match (value(header::IF_NONE_MATCH), value(header::IF_MATCH)) {
        (Some("*"), _) => Condition::Free,
        (_, Some(etag)) if etag != "*" => Condition::Is(etag.trim_matches('"').to_owned()),
        _ => Condition::None,
    }
}

fn refusal(stage: &Stage, refused: Refused) -> ApiError {
    let locked = |there: StoredLock| format!("{} locked it: {}", there.lock.by, there.lock.reason);
    match refused {
        Refused::Changed(there) => {
            let title = format!("the lock of {stage} is not the one you saw");
            ApiError::new(StatusCode::PRECONDITION_FAILED, "lock_changed", title)
                .detail(there.map_or_else(|| "nobody has locked it any more".to_owned(), locked))
                .hint("look at it again: `windlass lock status`")
        }
        Refused::Unread(there) => {
            let title = format!("the request does not say which lock of {stage} it means");
            ApiError::new(StatusCode::PRECONDITION_REQUIRED, "lock_unread", title)
                .detail(locked(there))
                .hint("read the lock, and send its `ETag` as `If-Match`")
        }
        Refused::Foreign(there) => {
            let title = format!("the lock of {stage} is not of this job's run, and a job takes away no other");
            ApiError::new(StatusCode::FORBIDDEN, "forbidden", title)
                .detail(locked(there))
                .hint("ask whoever locked it; a person may release it: `windlass lock release --force`")
        }
    }
}
