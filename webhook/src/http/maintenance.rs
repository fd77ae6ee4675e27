//! Keeping an app from its clients while somebody works on it.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use windlass_core::api::{MaintenanceTold, MaintenanceView, NewMaintenance};
use windlass_core::names::AppName;
use windlass_core::stage::Stage;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::error::ApiError;
use super::extract::{Body, Path};
use super::releases::AppPath;
use crate::deploy::maintenance;
use crate::service::Service;

const LONGEST_MESSAGE: usize = 500;

/// Keeps an app from its clients
///
/// They get `503` with the message; the path of the app's health check leads to it still. Said again, it is in the new
/// words.
#[utoipa::path(
    put,
    path = "/apps/{app}/maintenance",
    tag = "stages",
    operation_id = "begin_maintenance",
    params(StagePath, AppPath),
    request_body = NewMaintenance,
    responses(
        (status = OK, description = "Its clients are told so", body = MaintenanceTold),
        (status = NOT_FOUND, description = "`app_unknown`: nothing of it was ever registered, or `stage_unknown`"),
        (status = UNPROCESSABLE_ENTITY, description = "`message_too_long`"),
    ),
)]
pub(crate) async fn begin(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Path(AppPath { app }): Path<AppPath>,
    Body(new): Body<NewMaintenance>,
) -> Result<Json<MaintenanceTold>, ApiError> {
    actor.may(Act::Maintain, &stage)?;
    let message = new.message.map(|message| message.trim().to_owned()).filter(|message| !message.is_empty());
    if message.as_ref().is_some_and(|message| message.chars().count() > LONGEST_MESSAGE) {
        let title = format!("the message is longer than {LONGEST_MESSAGE} characters");
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "message_too_long", title)
            .hint("say it in a sentence or two"));
    }
    if !service.store.apps(&stage).await?.contains(&app) {
        return Err(ApiError::not_found("app_unknown", format!("{stage} has no app {app}"))
            .hint("`windlass status` lists the apps that have a release"));
    }
    let view = MaintenanceView { by: actor.name().to_owned(), since: service.clock.now(), message };
    service.store.begin_maintenance(&stage, &app, &view).await?;
    told(&service, &stage, &app, Some(view)).await
}

/// Lets an app's clients in again
#[utoipa::path(
    delete,
    path = "/apps/{app}/maintenance",
    tag = "stages",
    operation_id = "end_maintenance",
    params(StagePath, AppPath),
    responses(
        (status = OK, description = "They are let in", body = MaintenanceTold),
        (status = NOT_FOUND, description = "`no_maintenance`: nothing keeps it from them, or `stage_unknown`"),
    ),
)]
pub(crate) async fn end(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Path(AppPath { app }): Path<AppPath>,
) -> Result<Json<MaintenanceTold>, ApiError> {
    actor.may(Act::Maintain, &stage)?;
    if !service.store.end_maintenance(&stage, &app, actor.name(), service.clock.now()).await? {
        let title = format!("nothing keeps {app} on {stage} from its clients");
        return Err(ApiError::not_found("no_maintenance", title));
    }
    told(&service, &stage, &app, None).await
}

/// On disk it is already: what a gateway does not hear now it hears later.
async fn told(
    service: &Service,
    stage: &Stage,
    app: &AppName,
    maintenance: Option<MaintenanceView>,
) -> Result<Json<MaintenanceTold>, ApiError> {
    let warnings = maintenance::tell(service, stage, app).await.map_err(ApiError::after_the_change)?;
    Ok(Json(MaintenanceTold { maintenance, warnings }))
}
