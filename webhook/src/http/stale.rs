//! Containers that nothing accounts for: list them, stop and remove them.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use windlass_core::api::StaleTasks;
use windlass_core::deployment::DeploymentState;
use windlass_core::labels::Kind;
use windlass_core::names::AppName;
use windlass_core::stage::Stage;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::error::ApiError;
use super::extract::Query;
use crate::at_work::{Claim, Piece};
use crate::deploy::stale::{self, Stale};
use crate::http::views;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::audit::{Action, Deed};

/// How long a look at a stage is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two tries to claim it.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct StaleQuery {
    /// Only of this app.
    #[param(nullable = false)]
    app: Option<AppName>,
}

/// Lists containers that no deployment accounts for
#[utoipa::path(
    get,
    path = "/stale",
    tag = "tasks",
    operation_id = "list_stale_tasks",
    params(StagePath, StaleQuery),
    responses((status = OK, description = "Them", body = StaleTasks)),
)]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<StaleQuery>,
) -> Result<Json<StaleTasks>, ApiError> {
    actor.may(Act::Inspect, &stage)?;
    let found = find(&service, &stage, &query).await?;
    Ok(Json(shown(&service, &stage, found).await?))
}

/// Stops and removes containers that no deployment accounts for
#[utoipa::path(
    delete,
    path = "/stale",
    tag = "tasks",
    operation_id = "stop_stale_tasks",
    params(StagePath, StaleQuery),
    responses(
        (status = OK, description = "Those that are gone", body = StaleTasks),
        (status = CONFLICT, description = "`stage_busy`: a deployment works on the stage at this moment"),
    ),
)]
pub(crate) async fn stop(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<StaleQuery>,
) -> Result<Json<StaleTasks>, ApiError> {
    actor.may(Act::CleanUp, &stage)?;
    let claim = claim(&service, &stage).await?;
    let Stale { tasks, mut warnings } = find(&service, &stage, &query).await?;
    // What they were is said as long as they are there to be asked.
    let mut seen = shown(&service, &stage, Stale { tasks: tasks.clone(), warnings: Vec::new() }).await?;
    let removed = if tasks.is_empty() {
        Stale::default()
    } else {
        let names: Vec<&str> = tasks.iter().map(|task| task.name.as_str()).collect();
        let detail = names.join(" ");
        let deed = Deed {
            actor: actor.name(),
            action: Action::StopStale,
            stage: Some(&stage),
            detail: &detail,
            at: service.clock.now(),
        };
        let recorded = service.store.record(&deed).await?;
        stale::remove_stale(&service, tasks, recorded).await
    };
    if claim.give_up().is_err() {
        service.wake.stages.notify_one();
    }
    warnings.extend(removed.warnings);
    let names: BTreeSet<&str> = removed.tasks.iter().map(|task| task.name.as_str()).collect();
    seen.tasks.retain(|task| names.contains(task.name.as_str()));
    Ok(Json(StaleTasks { tasks: seen.tasks, warnings }))
}

/// A deployment may be about to start one of them again. It is not waited for; a look at the stage's gate is.
async fn claim<'a>(service: &'a Service, stage: &Stage) -> Result<Claim<'a>, ApiError> {
    let patience = Instant::now() + PATIENCE;
    while Instant::now() < patience {
        if let Some(claim) = service.at_work.claim(Piece::Stage(stage.clone())) {
            return Ok(claim);
        }
        let open = service.store.open_deployments().await?;
        if open.iter().any(|it| it.stage == *stage && it.state == DeploymentState::Running) {
            break;
        }
        tokio::time::sleep(AGAIN).await;
    }
    Err(ApiError::new(StatusCode::CONFLICT, "stage_busy", format!("a deployment works on {stage} at this moment"))
        .hint("try again when it has ended: `windlass status` shows it"))
}

async fn find(service: &Service, stage: &Stage, query: &StaleQuery) -> Result<Stale, StoreError> {
    let mut found = stale::stale(service, stage).await?;
    found.tasks.retain(|task| query.app.as_ref().is_none_or(|wanted| task.labels.app == *wanted));
    Ok(found)
}

async fn shown(service: &Service, stage: &Stage, stale: Stale) -> Result<StaleTasks, StoreError> {
    let mut tasks = views::task_views(service, stage, &stale.tasks).await?;
    // One-off tasks have an end of their own.
    tasks.retain(|task| task.kind == Kind::Service);
    Ok(StaleTasks { tasks, warnings: stale.warnings })
}
