//! A deployment with its journal, as the API, the pages and the comment on a pull request show it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use windlass_core::api::{DeploymentView, StepState, StepView};
use windlass_core::deployment::{DeploymentState, Event, Phase, Wait};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::{DeploymentKind, Plan, StepKind};
use windlass_core::report;

use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;

/// A deployment with its journal.
pub(crate) async fn deployment_view(
    service: &Service,
    deployment: &StoredDeployment,
) -> Result<DeploymentView, StoreError> {
    let events = service.store.events(&deployment.id).await?;
    let standing = service.store.standing(&deployment.id).await?;
    let plan = service.store.plan(&deployment.id).await?;
    let state = standing.state();
    let waits = events.iter().rev().find_map(|(_, event)| match event {
        Event::Waiting { on, why, .. } if state == DeploymentState::Waiting => Some((on.as_str(), why.clone())),
        _ => None,
    });
    let mixed = standing.mixed().map(|why| ("mixed", report::mixed(why)));
    let failed = standing.failure().map(|failure| (failure.code.as_str(), failure.summary.clone()));
    let lease = service.store.lease(&deployment.stage).await?;
    let queued = lease
        .filter(|lease| state == DeploymentState::Waiting && lease.deployment != deployment.id)
        .map(|lease| (Wait::Queue.as_str(), format!("deployment {} runs", lease.deployment)));
    let (reason, why) = mixed.or(failed).or(queued).or(waits).unzip();
    let untold = service.store.untold(&deployment.id).await?;
    Ok(DeploymentView {
        id: deployment.id.clone(),
        project: deployment.stage.project.clone(),
        stage: deployment.stage.name.clone(),
        kind: deployment.kind,
        state,
        reason: reason.map(str::to_owned),
        why,
        failure: standing.failure().cloned(),
        releases: deployment.releases.clone(),
        commit: deployment.commit.clone(),
        commits: deployment.commits.clone(),
        requested_by: deployment.requested_by.clone(),
        given_reason: deployment.reason.clone(),
        created_at: deployment.created_at,
        ended_at: deployment.ended_at,
        url: service.settings.server.deployment_url(&deployment.id),
        environment_url: deployment.environment_url.clone(),
        steps: journal(deployment, &events, plan.as_ref(), standing.phase()),
        gate_override: deployment.gate_override.clone(),
        migrations_kept: migrations_kept(service, deployment, &events).await?,
        warnings: untold.into_iter().map(|why| format!("GitHub could not be told: {why}")).collect(),
    })
}

/// What had run when a rollback was planned, which undoes none of it. The migration of a release that never became
/// active counts too: the database has it.
async fn migrations_kept(
    service: &Service,
    deployment: &StoredDeployment,
    events: &[(Timestamp, Event)],
) -> Result<BTreeMap<AppName, Vec<ReleaseNumber>>, StoreError> {
    let mut kept = BTreeMap::new();
    if deployment.kind != DeploymentKind::Rollback {
        return Ok(kept);
    }
    let planned = events.iter().find_map(|(at, event)| matches!(event, Event::Planned { .. }).then_some(*at));
    let by = planned.or(deployment.ended_at).unwrap_or_else(|| service.clock.now());
    for (app, release) in &deployment.releases {
        let above = service.store.migrated_above(&deployment.stage, app, *release, by).await?;
        if !above.is_empty() {
            kept.insert(app.clone(), above);
        }
    }
    Ok(kept)
}

/// The gate, the plan's steps, and the way back if it was walked.
fn journal(
    deployment: &StoredDeployment,
    events: &[(Timestamp, Event)],
    plan: Option<&Plan>,
    phase: &Phase,
) -> Vec<StepView> {
    let mut views = vec![gate(deployment, events)];
    let over = matches!(phase, Phase::Ended { .. } | Phase::Reverting { .. });
    for (index, step) in plan.iter().flat_map(|plan| plan.steps.iter().enumerate()) {
        let state = if over { StepState::Skipped } else { StepState::Pending };
        let mut view = StepView {
            step: step.kind(),
            title: step.to_string(),
            state,
            note: None,
            started_at: None,
            ended_at: None,
        };
        if step.kind() == StepKind::Retire && matches!(phase, Phase::Ended { retired: false, .. }) {
            view.state = StepState::Pending;
        }
        for (at, event) in events {
            match event {
                Event::StepStarted { step } if *step == index => {
                    view.state =
                        if over && view.step != StepKind::Retire { StepState::Skipped } else { StepState::Running };
                    view.started_at.get_or_insert(*at);
                }
                Event::StepFinished { step, note } if *step == index => {
                    (view.state, view.note, view.ended_at) = (StepState::Done, note.clone(), Some(*at));
                }
                Event::StepFailed { step, failure } if *step == index => {
                    view.state = StepState::Failed;
                    view.note = Some(failure.summary.clone());
                    view.ended_at = Some(*at);
                }
                _ => {}
            }
        }
        views.push(view);
    }
    views.extend(revert(events));
    views
}

fn gate(deployment: &StoredDeployment, events: &[(Timestamp, Event)]) -> StepView {
    let mut view = StepView {
        step: StepKind::Gate,
        title: "may this commit run here?".to_owned(),
        state: StepState::Running,
        note: None,
        started_at: Some(deployment.created_at),
        ended_at: None,
    };
    for (at, event) in events {
        match event {
            Event::Waiting { why, .. } => view.note = Some(why.clone()),
            Event::Planned { .. } => (view.state, view.note, view.ended_at) = (StepState::Done, None, Some(*at)),
            Event::Ended { failure, .. } if view.state == StepState::Running => {
                view.state = StepState::Failed;
                view.note = failure.as_ref().map(|failure| failure.summary.clone());
                view.ended_at = Some(*at);
            }
            _ => {}
        }
    }
    if view.note.is_none() {
        view.note = deployment.gate_override.as_ref().map(ToString::to_string);
    }
    view
}

fn revert(events: &[(Timestamp, Event)]) -> Option<StepView> {
    let (started, failure) = events.iter().find_map(|(at, event)| match event {
        Event::RevertStarted { failure } => Some((*at, failure)),
        _ => None,
    })?;
    let ended = events.iter().find_map(|(at, event)| matches!(event, Event::Ended { .. }).then_some(*at));
    Some(StepView {
        step: StepKind::Revert,
        title: "put everything back as it was".to_owned(),
        state: if ended.is_some() { StepState::Done } else { StepState::Running },
        note: Some(failure.summary.clone()),
        started_at: Some(started),
        ended_at: ended,
    })
}
