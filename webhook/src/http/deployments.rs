//! Deployments: ask for one, look at it, follow it, cancel it.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::Stream;
use serde::Deserialize;
use windlass_core::api::{DeploymentView, MessageBody, NewDeployment, Page};
use windlass_core::names::{AppName, CommitSha, DeploymentId, ReleaseNumber};
use windlass_core::plain::plain;
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;
use windlass_listen::Peer;

use super::act::Act;
use super::auth::{Actor, NamedStage};
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use super::stream::{self, Events, Followed};
use crate::http::audience::{self, Follower};
use crate::service::App;
use crate::store::StoreError;
use crate::store::cancel::Until;
use crate::store::deployments::{Request, Source, StoredDeployment};
use crate::store::jobs::Asked;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    cursor: Option<u64>,
    limit: Option<u32>,
}

pub(crate) async fn create(
    State(app): State<Arc<App>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Body(new): Body<NewDeployment>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    actor.may(if new.override_gate { Act::OverrideGate } else { Act::Deploy }, &stage)?;
    check_reason(&new)?;
    let releases = chosen_releases(&app, &stage, &new).await?;
    let commit = newest_commit(&app, &stage, &releases).await?.ok_or_else(|| nothing_to(new.kind, &stage))?;
    let request = Request {
        id: app.new_deployment_id(),
        stage: stage.clone(),
        kind: new.kind,
        source: source_of(&actor),
        requested_by: actor.name().to_owned(),
        reason: new.reason.map(|reason| plain(&reason).trim().to_owned()),
        commit,
        environment_url: app.environment_url(&stage, &releases).await?,
        releases,
        override_gate: new.override_gate,
    };
    let asked = app.store.ask_for_deployment(&request, actor.job(), app.now()).await?;
    let (Asked::New(deployment) | Asked::Known(deployment)) = asked;
    // A rollback may have ended the watch of what runs.
    app.cancelled.notify_waiters();
    app.wake.stages.notify_one();
    app.wake.outbox.notify_one();
    let view = app.deployment_view(&deployment).await.map_err(ApiError::after_the_change)?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

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

/// The newest of the commits that they were built from: the one that GitHub is told of.
async fn newest_commit(
    app: &App,
    stage: &Stage,
    releases: &BTreeMap<AppName, ReleaseNumber>,
) -> Result<Option<CommitSha>, ApiError> {
    let mut found = Vec::new();
    for (name, number) in releases {
        found.push(app.store.release(stage, name, *number).await?.ok_or_else(|| unknown_release(name, *number))?);
    }
    found.sort_by_key(|release| (release.created_at, release.number));
    let mut commits: Vec<CommitSha> = Vec::new();
    for release in found {
        commits.retain(|commit| *commit != release.commit);
        commits.push(release.commit);
    }
    Ok(app.newest(&stage.project, &commits).await)
}

fn source_of(actor: &Actor) -> Source {
    match actor.job() {
        Some(job) if !job.session.is_by_hand() => Source::Job,
        Some(_) | None => Source::Person,
    }
}

/// The releases that were asked for; where none were, what the kind of deployment means by itself.
pub(super) async fn chosen_releases(
    app: &App,
    stage: &Stage,
    new: &NewDeployment,
) -> Result<BTreeMap<AppName, ReleaseNumber>, ApiError> {
    let mut releases = new.releases.clone();
    for (name, number) in &releases {
        app.store.release(stage, name, *number).await?.ok_or_else(|| unknown_release(name, *number))?;
    }
    if releases.is_empty() {
        releases = match (new.kind, &new.app) {
            (DeploymentKind::Rollback, None) => app.store.way_back(stage).await?.of_all(),
            (kind, only) => {
                let meant = |name: &AppName| only.as_ref().is_none_or(|only| only == name);
                let names = app.store.apps(stage).await?.into_iter().filter(meant);
                meant_by(app, stage, kind, names).await?
            }
        };
    }
    if releases.is_empty() {
        return Err(nothing_to(new.kind, stage));
    }
    Ok(releases)
}

async fn meant_by(
    app: &App,
    stage: &Stage,
    kind: DeploymentKind,
    names: impl Iterator<Item = AppName>,
) -> Result<BTreeMap<AppName, ReleaseNumber>, StoreError> {
    let active = app.store.active_releases(stage).await?;
    let back = app.store.way_back(stage).await?;
    let mut releases = BTreeMap::new();
    for name in names {
        let number = match kind {
            DeploymentKind::Deploy => {
                app.store.releases(stage, &name, None, 1).await?.first().map(|release| release.number)
            }
            DeploymentKind::Rollback => back.of_app(&name),
            DeploymentKind::Redeploy => active.iter().find(|active| active.app == name).map(|active| active.release),
        };
        releases.extend(number.map(|number| (name, number)));
    }
    Ok(releases)
}

fn nothing_to(kind: DeploymentKind, stage: &Stage) -> ApiError {
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

pub(crate) async fn list(
    State(app): State<Arc<App>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<DeploymentView>>, ApiError> {
    actor.may(Act::Look, &stage)?;
    let limit = query.limit.unwrap_or(30).clamp(1, 100);
    let deployments = app.store.deployments(&stage, query.cursor, limit).await?;
    let full = deployments.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = deployments.last().filter(|_| full).map(|deployment| deployment.number.to_string());
    let mut items = Vec::new();
    for deployment in &deployments {
        items.push(app.deployment_view(deployment).await?);
    }
    Ok(Json(Page { items, next }))
}

pub(crate) async fn show(
    State(app): State<Arc<App>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Json<DeploymentView>, ApiError> {
    let deployment = find(&app, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    Ok(Json(app.deployment_view(&deployment).await?))
}

pub(crate) async fn events(
    State(app): State<Arc<App>>,
    actor: Actor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Events<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let deployment = find(&app, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    let place = app.audience.take(Follower::Known)?;
    let after = stream::last_event_id(&headers).unwrap_or(0);
    Ok(stream::follow(app, Followed::Deployment(deployment.id), after, place))
}

#[derive(Deserialize)]
pub(crate) struct PageEventsQuery {
    /// What the page has already.
    after: Option<u64>,
}

/// The same for the deployment's page: whoever has the address, which cannot be guessed, may look.
pub(crate) async fn page_events(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<PageEventsQuery>,
    headers: HeaderMap,
) -> Result<Events<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let place = app.audience.take(Follower::Stranger(audience::address_of(peer.ip(), &headers)))?;
    let deployment = find(&app, &id).await?;
    let after = stream::last_event_id(&headers).or(query.after).unwrap_or(0);
    Ok(stream::follow(app, Followed::Deployment(deployment.id), after, place))
}

/// The whole log so far, as text.
pub(crate) async fn log(
    State(app): State<Arc<App>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let deployment = find(&app, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    Ok(as_text(app, deployment.id, Reads::AtOnce).await?)
}

/// Whether somebody's reads wait for those of other strangers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reads {
    AtOnce,
    InTurn,
}

/// A deployment's log, read as it is sent.
pub(crate) async fn as_text(app: Arc<App>, id: DeploymentId, reads: Reads) -> Result<Response, StoreError> {
    let plan = app.store.plan(&id).await?;
    let pieces = futures_util::stream::try_unfold(0, move |after| {
        let (app, id, plan) = (Arc::clone(&app), id.clone(), plan.clone());
        async move {
            let _turn = if reads == Reads::InTurn { app.audience.page().await } else { None };
            let messages = app.store.messages(&id, after, plan.as_ref()).await?;
            let Some(last) = messages.last() else { return Ok::<_, StoreError>(None) };
            let lines = messages.iter().map(|message| match &message.body {
                MessageBody::Event { text, .. } => format!("{:.3} {text}\n", message.at),
                MessageBody::Log { source, line } => format!("{:.3}   {source}: {}\n", message.at, plain(line)),
            });
            Ok(Some((lines.collect::<String>(), last.seq)))
        }
    });
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((headers, axum::body::Body::from_stream(pieces)).into_response())
}

#[derive(Deserialize)]
pub(crate) struct CancelQuery {
    /// `false`: what has moved its traffic stays. A job may have a person's token, and its end is no wish of theirs.
    back: Option<bool>,
}

/// Before the switch the deployment is undone. In its watch a person takes it back; a job's end is no reason to.
pub(crate) async fn cancel(
    State(app): State<Arc<App>>,
    actor: Actor,
    Path(id): Path<String>,
    Query(query): Query<CancelQuery>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let deployment = find(&app, &id).await?;
    actor.may(Act::Deploy, &deployment.stage)?;
    if let Some(job) = actor.job()
        && !app.store.waits_for(job, &deployment.id).await?
    {
        let title = format!("the job did not ask for deployment {id} and cannot cancel it");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", title)
            .hint("cancel it with `windlass cancel`, with a token of your own"));
    }
    if deployment.state.is_final() {
        let title = format!("deployment {id} has ended already: it {}", deployment.state);
        return Err(ApiError::new(StatusCode::CONFLICT, "already_ended", title));
    }
    let goes_on = actor.job().is_some() || query.back == Some(false);
    let until = if goes_on { Until::Switch } else { Until::Success };
    if app.store.cancel(&deployment, actor.name(), until, app.now()).await?.is_none() {
        return Err(too_late(&id, until));
    }
    app.cancelled.notify_waiters();
    app.wake.stages.notify_one();
    app.wake.outbox.notify_one();
    let now = app.store.deployment(&deployment.id).await.map_err(ApiError::after_the_change)?.unwrap_or(deployment);
    let view = app.deployment_view(&now).await.map_err(ApiError::after_the_change)?;
    Ok((StatusCode::ACCEPTED, Json(view)))
}

fn too_late(id: &str, until: Until) -> ApiError {
    let (title, hint) = match until {
        Until::Switch => (
            format!("deployment {id} has moved its traffic already, and goes on without the job"),
            "a person takes it back: `windlass cancel` while it is watched, `windlass rollback` at any time",
        ),
        Until::Success => (format!("deployment {id} succeeds in this moment"), "take it back: `windlass rollback`"),
    };
    ApiError::new(StatusCode::CONFLICT, "too_late", title).hint(hint)
}

/// A deployment by its id.
pub(crate) async fn find(app: &App, id: &str) -> Result<StoredDeployment, ApiError> {
    let unknown = || ApiError::not_found("deployment_unknown", format!("there is no deployment {id}"));
    let parsed: DeploymentId = id.parse().map_err(|_| unknown())?;
    app.store.deployment(&parsed).await?.ok_or_else(unknown)
}
