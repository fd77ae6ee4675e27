//! Stages: what runs, the verdict on a commit, what a deployment would do, lifting a hold.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Deserialize;
use windlass_core::api::{GateOverride, NewDeployment, PlanView, StageView};
use windlass_core::names::{CommitSha, DeploymentId};
use windlass_core::plan::StepKind;
use windlass_core::verdict::Verdict;

use super::act::Act;
use super::auth::{Actor, NamedStage};
use super::deployments::{check_reason, chosen_releases};
use super::error::ApiError;
use super::extract::{Body, Query};
use crate::deploy::planning::{self, Intent};
use crate::gate::Gate;
use crate::http::views;
use crate::service::Service;

#[derive(Deserialize)]
pub(crate) struct GateQuery {
    commit: CommitSha,
}

pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
) -> Result<Json<StageView>, ApiError> {
    actor.may(Act::Look, &stage)?;
    Ok(Json(views::stage_view(&service, &gate, &stage).await?))
}

pub(crate) async fn gate(
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<GateQuery>,
) -> Result<Json<Verdict>, ApiError> {
    actor.may(Act::Look, &stage)?;
    Ok(Json(gate.verdict_for_people(&stage, &query.commit).await?))
}

/// Nothing of it is stored: the next deployment plans afresh.
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
