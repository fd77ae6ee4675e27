//! The route table, and what all handlers share.

mod act;
pub(crate) mod audience;
mod auth;
mod choice;
mod compatibility;
mod delivery_body;
mod deployments;
mod description;
mod error;
mod extract;
mod hosts;
mod locks;
mod maintenance;
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
use axum::routing::{get, post};
use tower_http::trace::TraceLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

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

/// The API, with its description.
fn api() -> Router<Http> {
    let (router, description) = OpenApiRouter::with_openapi(description::begin())
        .routes(routes!(sign_in::create))
        .routes(routes!(hosts::list))
        .nest("/projects/{owner}/{repository}/stages/{stage}", stage())
        .routes(routes!(deployments::show))
        .routes(routes!(deployments::events))
        .routes(routes!(deployments::log))
        .routes(routes!(deployments::cancel))
        .routes(routes!(tasks::log))
        .routes(routes!(tasks::stop))
        // Below: for clients of every version. Above: for those that understand this service.
        .layer(middleware::from_fn(compatibility::check))
        .routes(routes!(hosts::version))
        .split_for_parts();
    let description = description::finish(description);
    router.route("/openapi.json", get(async move || description::answer(description.clone())))
}

fn stage() -> OpenApiRouter<Http> {
    OpenApiRouter::new()
        .routes(routes!(stages::show))
        .routes(routes!(stages::gate))
        .routes(routes!(stages::plan))
        .routes(routes!(locks::show, locks::take, locks::release))
        .routes(routes!(stages::lift_hold))
        .routes(routes!(releases::list, releases::create))
        .routes(routes!(maintenance::begin, maintenance::end))
        .routes(routes!(deployments::list, deployments::create))
        .routes(routes!(tasks::list, tasks::create))
        .routes(routes!(stale::list, stale::stop))
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
