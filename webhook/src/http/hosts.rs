//! The service's version, and its hosts.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use futures_util::future::join_all;
use windlass_core::api::{HostView, Reachability, Scope, Version};

use super::auth::Actor;
use super::error::ApiError;
use crate::service::Service;
use crate::sight::Seen;

pub(crate) async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

pub(crate) async fn list(State(service): State<Arc<Service>>, actor: Actor) -> Result<Json<Vec<HostView>>, ApiError> {
    actor.may_anywhere(Scope::Read)?;
    let hosts = service.settings.server.hosts.iter().map(|(name, config)| {
        let sight = service.sights.get(name);
        async move {
            let (engine, gateway) = match sight {
                Some(sight) => {
                    let (engine, gateway) = tokio::join!(sight.engine(), sight.gateway());
                    (reachability(engine, |version| version), gateway.map(|seen| reachability(seen, |it| it.version)))
                }
                None => (Reachability::Silent { why: "it is not connected".to_owned(), since: None }, None),
            };
            HostView { name: name.clone(), labels: config.labels.clone(), engine, gateway }
        }
    });
    Ok(Json(join_all(hosts).await))
}

fn reachability<T>(seen: Seen<T>, version: impl Fn(T) -> String) -> Reachability {
    match seen.fresh() {
        Ok(answer) => Reachability::Answers { version: version(answer) },
        Err(silence) => Reachability::Silent { why: silence.why, since: Some(silence.since) },
    }
}
