//! Volumes. They come with the containers that mount them.

use axum::Json;
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{Path, Query, State};
use crate::docker::filters::Filters;
use crate::docker::refusal::Refusal;

pub(super) async fn list(shared: State, query: Query) -> Result<Json<Value>, Refusal> {
    let filters = Filters::of(&query)?;
    let shown = shared.look(|model| {
        let wanted = model.volumes.iter().filter(|(_, labels)| filters.fit_labels(labels));
        let shown = wanted.map(|(name, labels)| {
            json!({
                "Name": name,
                "Driver": "local",
                "Mountpoint": format!("/var/lib/docker/volumes/{name}/_data"),
                "Labels": labels,
                "Options": {},
                "Scope": "local",
            })
        });
        shown.collect::<Vec<_>>()
    });
    Ok(Json(json!({ "Volumes": shown, "Warnings": null })))
}

pub(super) async fn remove(shared: State, name: Path) -> Result<StatusCode, Refusal> {
    shared.change(|model| {
        let user = model.containers.values().find(|container| {
            let mounts = container.body["HostConfig"]["Mounts"].as_array().into_iter().flatten();
            mounts.into_iter().any(|mount| mount["Source"] == name.as_str())
        });
        if let Some(user) = user {
            let message = format!("remove {}: volume is in use - [{}]", *name, user.id);
            return Err(Refusal::conflict(message));
        }
        let removed = model.volumes.remove(name.as_str());
        let missing = || Refusal::not_found(format!("get {}: no such volume", *name));
        removed.map(|_| StatusCode::NO_CONTENT).ok_or_else(missing)
    })
}
