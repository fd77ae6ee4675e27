//! The route table, and what all handlers share.

mod act;
pub(crate) mod audience;
mod auth;
mod compatibility;
mod delivery_body;
mod deployments;
mod error;
mod extract;
mod hosts;
mod locks;
mod pages;
mod releases;
mod sign_in;
mod stages;
mod stale;
mod stream;
mod tasks;
pub(crate) mod views;
mod webhooks;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRef, State};
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{delete, get, post};
use tower_http::trace::TraceLayer;

use crate::gate::Gate;
use crate::github::oidc::Issuer;
use crate::intake::inbox::Intake;
use crate::readiness::Readiness;
use crate::service::Service;

use audience::Audience;
pub(crate) use deployments::{as_text as log_as_text, find as find_deployment};
pub(crate) use error::ApiError;
pub(crate) use stream::Readings;

/// Releases carry a configuration file, nothing larger.
const BODY_LIMIT: usize = 1024 * 1024;

/// How long an event stream stays silent at the most.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What the handlers have, each what it asks for.
#[derive(Clone, FromRef)]
pub(crate) struct Http {
    pub(crate) service: Arc<Service>,
    pub(crate) gate: Arc<Gate>,
    /// Where deliveries are stored.
    pub(crate) intake: Arc<Intake>,
    /// Of jobs' tokens.
    pub(crate) issuer: Arc<Issuer>,
    /// How many follow what happens.
    pub(crate) audience: Arc<Audience>,
    /// What they follow.
    pub(crate) readings: Arc<Readings>,
}

pub(crate) fn router(http: Http) -> Router {
    Router::new()
        .route("/webhooks/github", post(webhooks::receive))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/deployments/{id}", get(pages::deployment::page))
        .route("/deployments/{id}/events", get(deployments::page_events))
        .route("/deployments/{id}/log", get(pages::deployment::log))
        .nest("/api/v1", api())
        .fallback(not_found)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        // Method and path only: neither headers nor queries belong in a log.
        .layer(TraceLayer::new_for_http().make_span_with(|request: &axum::extract::Request| {
            tracing::debug_span!("request", method = %request.method(), path = request.uri().path())
        }))
        .with_state(http)
}

fn api() -> Router<Http> {
    const S: &str = "/projects/{owner}/{repository}/stages/{stage}";
    let below = |path: &str| format!("{S}{path}");
    Router::new()
        .route("/auth/oidc", post(sign_in::create))
        .route("/hosts", get(hosts::list))
        .route(S, get(stages::show))
        .route(&below("/gate"), get(stages::gate))
        .route(&below("/plan"), post(stages::plan))
        .route(&below("/lock"), get(locks::show).put(locks::take).delete(locks::release))
        .route(&below("/hold"), delete(stages::lift_hold))
        .route(&below("/apps/{app}/releases"), get(releases::list).post(releases::create))
        .route(&below("/deployments"), get(deployments::list).post(deployments::create))
        .route("/deployments/{id}", get(deployments::show))
        .route("/deployments/{id}/events", get(deployments::events))
        .route("/deployments/{id}/log", get(deployments::log))
        .route("/deployments/{id}/cancel", post(deployments::cancel))
        .route(&below("/tasks"), get(tasks::list).post(tasks::create))
        .route(&below("/stale"), get(stale::list).delete(stale::stop))
        .route("/tasks/{id}/log", get(tasks::log))
        .route("/tasks/{id}/stop", post(tasks::stop))
        // Above: for clients of every version. Below: for those that understand this service.
        .layer(middleware::from_fn(compatibility::check))
        .route("/version", get(hosts::version))
}

/// Ready to take deliveries: what is written reaches the disk.
async fn ready(State(service): State<Arc<Service>>) -> Result<&'static str, ApiError> {
    match service.readiness.look(&service.store).await {
        Readiness::Ready => Ok("ok\n"),
        Readiness::NotReady => Err(ApiError::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "store_unavailable",
            "the service cannot write its store",
        )
        .hint("the service's log says why; it goes on by itself once there is room")),
    }
}

async fn wrong_method() -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this address does not take this method")
}

async fn not_found() -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, "not_found", "there is nothing at this address")
}
