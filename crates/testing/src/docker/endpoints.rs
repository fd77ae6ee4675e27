//! The API: its route table. What each endpoint does is in the model.

mod containers;
mod events;
mod images;
mod logs;
mod networks;
mod system;
mod volumes;

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::http::{Request, Uri};
use axum::routing::{delete, get, head, post};
use serde_json::Value;

use super::refusal::Refusal;
use super::shared::Shared;

type Query = axum::extract::Query<HashMap<String, String>>;
type State = axum::extract::State<Arc<Shared>>;
type Path = axum::extract::Path<String>;

pub(super) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/_ping", get(system::ping))
        .route("/version", get(system::version))
        .route("/info", get(system::info))
        .route("/events", get(events::stream))
        .route("/containers/json", get(containers::list))
        .route("/containers/create", post(containers::create))
        .route("/containers/{id}", delete(containers::remove))
        .route("/containers/{id}/archive", head(containers::archive))
        .route("/containers/{id}/json", get(containers::inspect))
        .route("/containers/{id}/start", post(containers::start))
        .route("/containers/{id}/kill", post(containers::kill))
        .route("/containers/{id}/update", post(containers::update))
        .route("/containers/{id}/wait", post(containers::wait))
        .route("/containers/{id}/logs", get(logs::stream))
        .route("/images/json", get(images::list))
        .route("/images/create", post(images::create))
        .route("/images/{*reference}", get(images::inspect).delete(images::remove))
        .route("/networks", get(networks::list))
        .route("/networks/create", post(networks::create))
        .route("/networks/{id}", get(networks::inspect).delete(networks::remove))
        .route("/networks/{id}/connect", post(networks::connect))
        .route("/networks/{id}/disconnect", post(networks::disconnect))
        .route("/volumes", get(volumes::list))
        .route("/volumes/{name}", delete(volumes::remove))
        .fallback(|| async { Refusal::not_found("page not found") })
        .with_state(shared)
}

/// The same request without the API's version before its path, `/v1.41`.
pub(super) fn unversioned<B>(mut request: Request<B>) -> Request<B> {
    let path = request.uri().path_and_query().map(|path| path.as_str()).unwrap_or_default();
    let rest = path.strip_prefix("/v1.").map(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    let stripped = rest.filter(|rest| rest.starts_with('/')).and_then(|rest| rest.parse::<Uri>().ok());
    if let Some(stripped) = stripped {
        *request.uri_mut() = stripped;
    }
    request
}

fn is_set(query: &HashMap<String, String>, key: &str) -> bool {
    query.get(key).is_some_and(|value| ["1", "true", "True"].contains(&value.as_str()))
}

fn parse(body: &[u8]) -> Result<Value, Refusal> {
    serde_json::from_slice(body).map_err(|error| Refusal::bad_request(format!("invalid JSON: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_before_a_path_is_optional() {
        for (asked, meant) in [
            ("/v1.41/containers/json?all=1", "/containers/json?all=1"),
            ("/containers/json", "/containers/json"),
            ("/version", "/version"),
            ("/v1.41", "/v1.41"),
        ] {
            let request = Request::builder().uri(asked).body(()).unwrap();
            assert_eq!(unversioned(request).uri().to_string(), meant);
        }
    }
}
