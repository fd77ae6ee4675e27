//! What a request for a deployment means: its reason, its releases, the commit that GitHub is told of.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use windlass_core::api::NewDeployment;
use windlass_core::names::{AppName, CommitSha, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;

use super::error::ApiError;
use crate::gate::Gate;
use crate::service::Service;
use crate::store::StoreError;

/// As long as a reason may be, in characters: it is shown in one line.
const LONGEST_REASON: usize = 500;

/// Somebody has to answer for a gate that is not asked.
pub(super) fn check_reason(new: &NewDeployment) -> Result<(), ApiError> {
    let refused = |code, title: String| ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code, title);
    let reason = new.reason.as_deref().unwrap_or_default();
    if reason.chars().count() > LONGEST_REASON {
        let title = format!("the reason is longer than {LONGEST_REASON} characters");
        return Err(refused("reason_too_long", title).hint("say it in a sentence, and link to the rest"));
    }
    if !new.override_gate {
        return Ok(());
    }
    if reason.trim().is_empty() {
        let title = "overriding the gate takes a reason".to_owned();
        return Err(
            refused("reason_required", title).hint("say it with --reason: it is shown wherever the deployment is")
        );
    }
    if new.kind != DeploymentKind::Deploy {
        let title = format!("the gate of a {} is not overridden: what has served goes past it anyway", new.kind);
        return Err(refused("override_not_possible", title).hint("leave it out"));
    }
    Ok(())
}

/// The releases that were asked for; where none were, what the kind of deployment means by itself.
pub(super) async fn chosen_releases(
    service: &Service,
    stage: &Stage,
    new: &NewDeployment,
) -> Result<BTreeMap<AppName, ReleaseNumber>, ApiError> {
    let mut releases = new.releases.clone();
    for (name, number) in &releases {
        service.store.release(stage, name, *number).await?.ok_or_else(|| unknown_release(name, *number))?;
    }
    if releases.is_empty() {
        releases = match (new.kind, &new.app) {
            (DeploymentKind::Rollback, None) => service.store.way_back(stage).await?.of_all(),
            (kind, only) => {
                let meant = |name: &AppName| only.as_ref().is_none_or(|only| only == name);
                let names = service.store.apps(stage).await?.into_iter().filter(meant);
                meant_by(service, stage, kind, names).await?
            }
        };
    }
    if releases.is_empty() {
        return Err(nothing_to(new.kind, stage));
    }
    Ok(releases)
}

async fn meant_by(
    service: &Service,
    stage: &Stage,
    kind: DeploymentKind,
    names: impl Iterator<Item = AppName>,
) -> Result<BTreeMap<AppName, ReleaseNumber>, StoreError> {
    let active = service.store.active_releases(stage).await?;
    let back = service.store.way_back(stage).await?;
    let mut releases = BTreeMap::new();
    for name in names {
        let number = match kind {
            DeploymentKind::Deploy => {
                service.store.releases(stage, &name, None, 1).await?.first().map(|release| release.number)
            }
            DeploymentKind::Rollback => back.of_app(&name),
            DeploymentKind::Redeploy => active.iter().find(|active| active.app == name).map(|active| active.release),
        };
        releases.extend(number.map(|number| (name, number)));
    }
    Ok(releases)
}

pub(super) fn nothing_to(kind: DeploymentKind, stage: &Stage) -> ApiError {
    let (title, hint) = match kind {
        DeploymentKind::Deploy => (format!("{stage} has no release"), "register one first: `windlass release create`"),
        DeploymentKind::Rollback => (
            format!("{stage} has no earlier release to go back to: what its last deployment made active was the first"),
            "name an app with --app, or a release: `windlass release list` shows what there is",
        ),
        DeploymentKind::Redeploy => (format!("{stage} serves no release"), "deploy one first: `windlass deploy`"),
    };
    ApiError::new(StatusCode::CONFLICT, "nothing_to_deploy", title).hint(hint)
}

pub(super) fn unknown_release(app: &AppName, number: ReleaseNumber) -> ApiError {
    ApiError::not_found("release_unknown", format!("app {app} has no release {number} on this stage"))
        .hint("`windlass release list` shows what there is")
}

/// The newest of the commits that they were built from: the one that GitHub is told of.
pub(super) async fn newest_commit(
    service: &Service,
    gate: &Gate,
    stage: &Stage,
    releases: &BTreeMap<AppName, ReleaseNumber>,
) -> Result<Option<CommitSha>, ApiError> {
    let mut found = Vec::new();
    for (name, number) in releases {
        found.push(service.store.release(stage, name, *number).await?.ok_or_else(|| unknown_release(name, *number))?);
    }
    found.sort_by_key(|release| (release.created_at, release.number));
    let mut commits: Vec<CommitSha> = Vec::new();
    for release in found {
        commits.retain(|commit| *commit != release.commit);
        commits.push(release.commit);
    }
    Ok(gate.newest(&stage.project, &commits).await)
}
