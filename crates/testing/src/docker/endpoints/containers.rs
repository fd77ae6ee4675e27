//! Containers: what changes them, and the wait for their end.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine as _;
use futures_util::stream;
use serde_json::{Value, json};

use super::{Path, Query, State, is_set, parse};
use crate::docker::filters::Filters;
use crate::docker::json;
use crate::docker::lifecycle::Signal;
use crate::docker::model::Model;
use crate::docker::refusal::Refusal;

pub(super) async fn list(shared: State, query: Query) -> Result<Json<Vec<Value>>, Refusal> {
    let filters = Filters::of(&query)?;
    let all = is_set(&query, "all") || is_set(&query, "a");
    Ok(Json(shared.look(|model| {
        let mut wanted: Vec<_> = model
            .containers
            .values()
            .filter(|container| all || container.is_running())
            .filter(|container| filters.fit_labels(&container.labels))
            .filter(|container| filters.fit("name", |name| container.name.contains(name.trim_start_matches('/'))))
            .filter(|container| filters.fit("id", |id| container.id.starts_with(id)))
            .filter(|container| filters.fit("status", |status| container.status.as_str() == status))
            .collect();
        wanted.sort_by_key(|container| std::cmp::Reverse(container.created));
        wanted.into_iter().map(|container| json::summary(model, container)).collect()
    })))
}

pub(super) async fn create(shared: State, query: Query, body: Bytes) -> Result<Response, Refusal> {
    let body = parse(&body)?;
    let id = shared.change(|model| model.create(query.get("name").map(String::as_str), body))?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": id, "Warnings": [] }))).into_response())
}

pub(super) async fn inspect(shared: State, id: Path) -> Result<Json<Value>, Refusal> {
    shared.look(|model| Ok(Json(json::inspected(model, model.container(&id)?))))
}

pub(super) async fn start(shared: State, id: Path) -> Result<StatusCode, Refusal> {
    Ok(if shared.start(&id)? { StatusCode::NO_CONTENT } else { StatusCode::NOT_MODIFIED })
}

pub(super) async fn kill(shared: State, id: Path, query: Query) -> Result<StatusCode, Refusal> {
    let signal = Signal::parse(query.get("signal").map(String::as_str).unwrap_or_default())?;
    shared.change(|model| model.kill(&id, signal))?;
    Ok(StatusCode::NO_CONTENT)
}

pub(super) async fn update(shared: State, id: Path, body: Bytes) -> Result<Json<Value>, Refusal> {
    let body = parse(&body)?;
    shared.change(|model| model.update(&id, &body))?;
    Ok(Json(json!({ "Warnings": null })))
}

pub(super) async fn remove(shared: State, id: Path, query: Query) -> Result<StatusCode, Refusal> {
    shared.change(|model| model.remove(&id, is_set(&query, "force")))?;
    Ok(StatusCode::NO_CONTENT)
}

/// What a file is that is mounted into the container: this machine's own.
pub(super) async fn archive(shared: State, id: Path, query: Query) -> Result<Response, Refusal> {
    let path = query.get("path").map(String::as_str).unwrap_or_default();
    let missing = || Refusal::not_found(format!("Could not find the file {path} in container {}", *id));
    let place = shared.look(|model| Ok(model.container(&id)?.mounted(path)))?.ok_or_else(missing)?;
    let found = std::fs::symlink_metadata(&place).map_err(|_| missing())?;
    let (kind, target) = match found.file_type() {
        kind if kind.is_dir() => (1_u32 << 31, String::new()),
        kind if kind.is_symlink() => (1 << 27, std::fs::read_link(&place).unwrap_or_default().display().to_string()),
        _ => (0, String::new()),
    };
    let name = place.file_name().unwrap_or_default().display().to_string();
    let shown = json!({ "name": name, "size": found.len(), "mode": kind | 0o755, "mtime": "", "linkTarget": target });
    let shown = base64::engine::general_purpose::STANDARD.encode(shown.to_string());
    Ok([("x-docker-container-path-stat", shown)].into_response())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Condition {
    NotRunning,
    NextExit,
    Removed,
}

/// Begins its answer at once and ends it when the condition holds.
pub(super) async fn wait(shared: State, id: Path, query: Query) -> Result<Response, Refusal> {
    let condition = match query.get("condition").map(String::as_str).unwrap_or_default() {
        "" | "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => return Err(Refusal::bad_request(format!("invalid condition: \"{other}\""))),
    };
    let (id, ends) = shared.look(|model| model.container(&id).map(|it| (it.id.clone(), it.ends)))?;
    let end = async move {
        let code = shared.until(|model| code(model, &id, ends, condition)).await;
        Ok::<_, std::convert::Infallible>(format!("{}\n", json!({ "StatusCode": code })))
    };
    let body = Body::from_stream(stream::once(end));
    Ok(([("content-type", "application/json")], body).into_response())
}

/// The exit code, once the condition holds for who has seen so many ends.
fn code(model: &Model, id: &str, ends: u64, condition: Condition) -> Option<i64> {
    let Some(container) = model.containers.get(id) else { return model.gone.get(id).copied() };
    let holds = match condition {
        Condition::NotRunning => !container.is_running() || container.ends > ends,
        Condition::NextExit => container.ends > ends,
        Condition::Removed => false,
    };
    holds.then_some(container.exit_code)
}
