//! Turns away clients whose version is too far from the service's, before they misunderstand each other.

use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::Next;
use axum::response::Response;
use windlass_core::compatibility::{VERSION_HEADER, fits, is_older, is_version};

use super::error::ApiError;

const OWN: &str = env!("CARGO_PKG_VERSION");

/// Lets through who says no version, nothing that is one, or one that is at most one apart.
pub(super) async fn check(request: Request, next: Next) -> Result<Response, ApiError> {
    let client = request.headers().get(VERSION_HEADER).and_then(|value| value.to_str().ok());
    match client.filter(|client| is_version(client) && !fits(OWN, client)) {
        None => Ok(next.run(request).await),
        Some(client) => Err(unsupported(client)),
    }
}

fn unsupported(client: &str) -> ApiError {
    let title = format!("the client is Windlass {client} and the service is {OWN}: they may be one version apart");
    let hint = if is_older(client, OWN) {
        format!("update the client, the command line or the action, to {OWN}")
    } else {
        format!("update the service first, or use a client of version {OWN}")
    };
    ApiError::new(StatusCode::BAD_REQUEST, "version_unsupported", title).hint(hint)
}
