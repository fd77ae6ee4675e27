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

/// Says which version the service has
///
/// It answers clients of every version, with a token or without.
#[utoipa::path(
    get,
    path = "/version",
    tag = "hosts",
    operation_id = "show_version",
    security(()),
    responses((status = OK, description = "The service's version", body = Version)),
)]
pub(crate) async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned() })
}

/// Lists the hosts, and whether they answer
#[utoipa::path(
    get,
    path = "/hosts",
    tag = "hosts",
    operation_id = "list_hosts",
    responses((status = OK, description = "All hosts of the server's file", body = Vec<HostView>)),
)]
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
