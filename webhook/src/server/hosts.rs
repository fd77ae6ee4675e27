//! The service's version, and its hosts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::future::join_all;
use windlass_core::api::{HostView, Reachability, Scope, Version};

use super::auth::Actor;
use super::error::ApiError;
use crate::app::App;

pub(crate) async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

pub(crate) async fn list(State(app): State<Arc<App>>, actor: Actor) -> Result<Json<Vec<HostView>>, ApiError> {
    actor.may_anywhere(Scope::Read)?;
    let hosts = app.settings.server.hosts.iter().map(|(name, config)| {
        let host = app.hosts.get(name);
        async move {
            let engine = match host {
                Some(host) => reachability(host.engine.ping().await.map(|()| host.engine.api_version())),
                None => Reachability::Silent { why: "it is not connected".to_owned() },
            };
            let gateway = match host.and_then(|host| host.gateway.as_ref()) {
                Some(gateway) => Some(reachability(gateway.status().await.map(|status| status.version))),
                None => None,
            };
            HostView { name: name.clone(), labels: config.labels.clone(), engine, gateway }
        }
    });
    Ok(Json(join_all(hosts).await))
}

fn reachability<E: std::fmt::Display>(answer: Result<String, E>) -> Reachability {
    match answer {
        Ok(version) => Reachability::Answers { version },
        Err(error) => Reachability::Silent { why: error.to_string() },
    }
}
