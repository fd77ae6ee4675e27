//! Stages: what runs, the verdict on a commit, what a deployment would do, lifting a hold.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use utoipa::IntoParams;
use windlass_core::api::{GateOverride, NewDeployment, PlanView, StageView};
use windlass_core::names::{CommitSha, DeploymentId};
use windlass_core::plan::StepKind;
use windlass_core::verdict::Verdict;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::choice::{check_reason, chosen_releases};
use super::error::ApiError;
use super::extract::{Body, Query};
use crate::deploy::planning::{self, Intent};
use crate::gate::Gate;
use crate::http::views;
use crate::service::Service;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct GateQuery {
    /// The whole SHA.
    commit: CommitSha,
}

/// Shows what a stage serves, and what is under way
#[utoipa::path(
    get,
    path = "",
    tag = "stages",
    operation_id = "show_stage",
    params(StagePath),
    responses((status = OK, description = "How it stands", body = StageView)),
)]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
) -> Result<Json<StageView>, ApiError> {
    actor.may(Act::Look, &stage)?;
    Ok(Json(views::stage_view(&service, &gate, &stage).await?))
}

/// Asks whether a commit may run on the stage
#[utoipa::path(
    get,
    path = "/gate",
    tag = "stages",
    operation_id = "show_verdict",
    params(StagePath, GateQuery),
    responses((status = OK, description = "The verdict, with all that it looked at", body = Verdict)),
)]
pub(crate) async fn gate(
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<GateQuery>,
) -> Result<Json<Verdict>, ApiError> {
    actor.may(Act::Look, &stage)?;
    Ok(Json(gate.verdict_for_people(&stage, &query.commit).await?))
}

/// Shows what a deployment would do
///
/// Nothing of it is stored: the deployment itself plans afresh.
#[utoipa::path(
    post,
    path = "/plan",
    tag = "stages",
    operation_id = "plan_deployment",
    params(StagePath),
    request_body = NewDeployment,
    responses(
        (status = OK, description = "The steps", body = PlanView),
        (status = NOT_FOUND, description = "`release_unknown`, or `stage_unknown`"),
        (status = CONFLICT, description = "`nothing_to_deploy`: there is no such release"),
        (status = UNPROCESSABLE_ENTITY, description = "It cannot be planned: the code is that of the failure it would have"),
    ),
)]
pub(crate) async fn plan(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Body(new): Body<NewDeployment>,
) -> Result<Json<PlanView>, ApiError> {
    actor.may(Act::Inspect, &stage)?;
    check_reason(&new)?;
    let releases = chosen_releases(&service, &stage, &new).await?;
    let intent = Intent {
        deployment: DeploymentId::from_random(rand::random()),
        kind: new.kind,
        stage: &stage,
        releases: &releases,
    };
    let (plan, silent) = planning::preview(&service, &intent).await?;
    let by = actor.name().to_owned();
    let gate_override = new.reason.filter(|_| new.override_gate).map(|reason| GateOverride { by, reason });
    let gate = gate_override.iter().map(|it| format!("{}: {it}", StepKind::Gate));
    let lines = gate.chain(plan.steps.iter().map(|step| format!("{}: {step}", step.kind()))).collect();
    let warnings = silent.iter().map(ToString::to_string).collect();
    Ok(Json(PlanView { lines, gate_override, plan, warnings }))
}

/// Lets commits deploy by themselves again after a rollback
#[utoipa::path(
    delete,
    path = "/hold",
    tag = "stages",
    operation_id = "lift_hold",
    params(StagePath),
    responses(
        (status = NO_CONTENT, description = "The hold is lifted"),
        (status = NOT_FOUND, description = "`no_hold`: nothing holds the stage, or `stage_unknown`"),
    ),
)]
pub(crate) async fn lift_hold(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
) -> Result<StatusCode, ApiError> {
    actor.may(Act::LiftHold, &stage)?;
    if !service.store.lift_hold(&stage, actor.name(), service.clock.now()).await? {
        return Err(ApiError::not_found("no_hold", format!("nothing holds {stage}")));
    }
    service.wake.stages.notify_one();
    Ok(StatusCode::NO_CONTENT)
}
