//! Networks.

use axum::Json;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Path, Query, State, parse};
use crate::docker::filters::Filters;
use crate::docker::json;
use crate::docker::refusal::Refusal;

pub(super) async fn list(shared: State, query: Query) -> Result<Json<Vec<Value>>, Refusal> {
    let filters = Filters::of(&query)?;
    Ok(Json(shared.look(|model| {
        let networks = model.networks.iter();
        let wanted = networks
            .filter(|network| filters.fit_labels(&network.labels))
            .filter(|network| filters.fit("name", |name| network.name.contains(name)))
            .filter(|network| filters.fit("id", |id| network.id.starts_with(id)));
        wanted.map(json::network).collect()
    })))
}

pub(super) async fn create(shared: State, body: Bytes) -> Result<Response, Refusal> {
    let body = parse(&body)?;
    let id = shared.change(|model| model.create_network(&body))?;
    Ok((StatusCode::CREATED, Json(json!({ "Id": id, "Warning": "" }))).into_response())
}

pub(super) async fn inspect(shared: State, id: Path) -> Result<Json<Value>, Refusal> {
    shared.look(|model| {
        let network = model.network(&id).ok_or_else(|| Refusal::not_found(format!("network {} not found", *id)))?;
        Ok(Json(json::inspected_network(model, network)))
    })
}

pub(super) async fn connect(shared: State, id: Path, body: Bytes) -> Result<StatusCode, Refusal> {
    let body = parse(&body)?;
    shared.change(|model| model.connect(&id, &body))?;
    Ok(StatusCode::OK)
}

pub(super) async fn disconnect(shared: State, id: Path, body: Bytes) -> Result<StatusCode, Refusal> {
    let body = parse(&body)?;
    shared.change(|model| model.disconnect(&id, body["Container"].as_str().unwrap_or_default()))?;
    Ok(StatusCode::OK)
}

pub(super) async fn remove(shared: State, id: Path) -> Result<StatusCode, Refusal> {
    shared.change(|model| model.remove_network(&id))?;
    Ok(StatusCode::NO_CONTENT)
}
