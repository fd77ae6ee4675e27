//! Locks: a person's, with a reason; told apart by their ETag so that nobody ends another one than they saw.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use windlass_core::api::{LockView, NewLock, Scope, ShownLock};

use super::auth::Actor;
use super::error::ApiError;
use super::extract::Body;
use crate::app::App;
use crate::stage::StageKey;
use crate::store::locks::{Condition, StoredLock};

pub(crate) async fn show(State(app): State<Arc<App>>, actor: Actor, stage: StageKey) -> Result<Response, ApiError> {
    actor.may(Scope::Read, &stage)?;
    match app.store.lock(&stage).await? {
        Some(stored) => Ok(shown(stored, &actor)),
        None => Err(ApiError::not_found("no_lock", format!("nobody has locked {stage}"))),
    }
}

pub(crate) async fn take(
    State(app): State<Arc<App>>,
    actor: Actor,
    stage: StageKey,
    headers: HeaderMap,
    Body(new): Body<NewLock>,
) -> Result<Response, ApiError> {
    actor.may(Scope::Deploy, &stage)?;
    let lock = LockView { by: actor.name().to_owned(), reason: new.reason, since: app.now() };
    match app.store.take_lock(&stage, &condition(&headers), &lock).await? {
        Ok(stored) => Ok(shown(stored, &actor)),
        Err(Some(StoredLock { lock, .. })) => {
            Err(changed(&stage).detail(format!("{} locked it: {}", lock.by, lock.reason)))
        }
        Err(None) => Err(changed(&stage).detail("nobody has locked it any more")),
    }
}

pub(crate) async fn release(
    State(app): State<Arc<App>>,
    actor: Actor,
    stage: StageKey,
    headers: HeaderMap,
) -> Result<StatusCode, ApiError> {
    actor.may(Scope::Deploy, &stage)?;
    match app.store.release_lock(&stage, &condition(&headers), actor.name(), app.now()).await? {
        Ok(true) => {
            app.wake.stages.notify_one();
            Ok(StatusCode::NO_CONTENT)
        }
        Ok(false) => Err(ApiError::not_found("no_lock", format!("nobody has locked {stage}"))),
        Err(()) => Err(changed(&stage)),
    }
}

fn shown(stored: StoredLock, to: &Actor) -> Response {
    let yours = stored.lock.by == to.name();
    let lock = ShownLock { lock: stored.lock, yours };
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

fn changed(stage: &StageKey) -> ApiError {
    ApiError::new(
        StatusCode::PRECONDITION_FAILED,
        "lock_changed",
        format!("the lock of {stage} is not the one you saw"),
    )
    .hint("look at it again: `windlass lock status`")
}
