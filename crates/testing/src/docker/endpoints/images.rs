//! Images: listed, looked at, pulled, removed.

use axum::Json;
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::{Path, Query, State, is_set};
use crate::docker::filters::Filters;
use crate::docker::image::Place;
use crate::docker::json;
use crate::docker::refusal::Refusal;

/// None of them has labels.
pub(super) async fn list(shared: State, query: Query) -> Result<Json<Vec<Value>>, Refusal> {
    let filters = Filters::of(&query)?;
    Ok(Json(shared.look(|model| {
        let here = model.images.iter().filter(|image| image.place == Place::Engine);
        here.filter(|_| filters.fit_labels(&Default::default())).map(json::image_summary).collect()
    })))
}

/// Pulls; what Docker would say meanwhile is short here.
pub(super) async fn create(shared: State, query: Query) -> Result<Response, Refusal> {
    let name = query.get("fromImage").map(String::as_str).unwrap_or_default();
    let reference = match query.get("tag").map(String::as_str).unwrap_or_default() {
        "" => name.to_owned(),
        digest if digest.contains(':') => format!("{name}@{digest}"),
        tag => format!("{name}:{tag}"),
    };
    shared.change(|model| model.pull(&reference))?;
    let progress = [
        json!({ "status": format!("Pulling from {name}") }),
        json!({ "status": format!("Status: Downloaded newer image for {reference}") }),
    ];
    let lines: String = progress.iter().map(|line| format!("{line}\n")).collect();
    Ok(([("content-type", "application/json")], lines).into_response())
}

/// A name may hold slashes, so what is asked for is told by the path's end.
pub(super) async fn inspect(shared: State, path: Path) -> Result<Json<Value>, Refusal> {
    let reference = path.strip_suffix("/json").ok_or_else(|| Refusal::not_found("page not found"))?;
    shared.look(|model| {
        let image = model.image(reference).ok_or_else(|| Refusal::no_image(reference))?;
        Ok(Json(json::image(image)))
    })
}

pub(super) async fn remove(shared: State, path: Path, query: Query) -> Result<Json<Value>, Refusal> {
    let id = shared.change(|model| model.remove_image(&path, is_set(&query, "force")))?;
    Ok(Json(json!([{ "Deleted": id }])))
}
