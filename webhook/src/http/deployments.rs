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
use crate::deploy::queue;
use crate::gate::Gate;
use crate::http::Http;
use crate::http::audience::{self, Audience, Follower};
use crate::service::Service;
use crate::store::StoreError;
use crate::store::cancel::Until;
use crate::store::deployments::{Request, Source, StoredDeployment};
use crate::store::jobs::Requested;
use crate::tell::view;

#[derive(Deserialize)]
pub(crate) struct PageQuery {
    cursor: Option<u64>,
    limit: Option<u32>,
}

pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Body(new): Body<NewDeployment>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    actor.may(if new.override_gate { Act::OverrideGate } else { Act::Deploy }, &stage)?;
    check_reason(&new)?;
    let releases = chosen_releases(&service, &stage, &new).await?;
    let commit =
        newest_commit(&service, &gate, &stage, &releases).await?.ok_or_else(|| nothing_to(new.kind, &stage))?;
    let request = Request {
        id: DeploymentId::from_random(rand::random()),
        stage: stage.clone(),
        kind: new.kind,
        source: source_of(&actor),
        requested_by: actor.name().to_owned(),
        reason: new.reason.map(|reason| plain(&reason).trim().to_owned()),
        commit,
        environment_url: queue::environment_url(&service, &stage, &releases).await?,
        releases,
        override_gate: new.override_gate,
    };
    let asked = service.store.ask_for_deployment(&request, actor.job(), service.clock.now()).await?;
    let (Requested::New(deployment) | Requested::Known(deployment)) = asked;
    // A rollback may have ended the watch of what runs.
    service.cancelled.notify_waiters();
    service.wake.stages.notify_one();
    service.wake.outbox.notify_one();
    let view = view::deployment_view(&service, &deployment).await.map_err(ApiError::after_the_change)?;
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

fn source_of(actor: &Actor) -> Source {
    match actor.job() {
        Some(job) if !job.session.is_by_hand() => Source::Job,
        Some(_) | None => Source::Person,
    }
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
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Query(query): Query<PageQuery>,
) -> Result<Json<Page<DeploymentView>>, ApiError> {
    actor.may(Act::Look, &stage)?;
    let limit = query.limit.unwrap_or(30).clamp(1, 100);
    let deployments = service.store.deployments(&stage, query.cursor, limit).await?;
    let full = deployments.len() == usize::try_from(limit).unwrap_or(usize::MAX);
    let next = deployments.last().filter(|_| full).map(|deployment| deployment.number.to_string());
    let mut items = Vec::new();
    for deployment in &deployments {
        items.push(view::deployment_view(&service, deployment).await?);
    }
    Ok(Json(Page { items, next }))
}

pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Json<DeploymentView>, ApiError> {
    let deployment = find(&service, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    Ok(Json(view::deployment_view(&service, &deployment).await?))
}

pub(crate) async fn events(
    State(http): State<Http>,
    actor: Actor,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Events<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let Http { service, audience, readings, .. } = http;
    let deployment = find(&service, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    let place = audience.take(Follower::Known)?;
    let after = stream::last_event_id(&headers).unwrap_or(0);
    Ok(stream::follow(service, readings, Followed::Deployment(deployment.id), after, place))
}

#[derive(Deserialize)]
pub(crate) struct PageEventsQuery {
    /// What the page has already.
    after: Option<u64>,
}

/// The same for the deployment's page: whoever has the address, which cannot be guessed, may look.
pub(crate) async fn page_events(
    State(http): State<Http>,
    Path(id): Path<String>,
    Extension(Peer(peer)): Extension<Peer>,
    Query(query): Query<PageEventsQuery>,
    headers: HeaderMap,
) -> Result<Events<impl Stream<Item = Result<SseEvent, Infallible>>>, ApiError> {
    let Http { service, audience, readings, .. } = http;
    let place = audience.take(Follower::Stranger(audience::address_of(peer.ip(), &headers)))?;
    let deployment = find(&service, &id).await?;
    let after = stream::last_event_id(&headers).or(query.after).unwrap_or(0);
    Ok(stream::follow(service, readings, Followed::Deployment(deployment.id), after, place))
}

/// The whole log so far, as text.
pub(crate) async fn log(
    State(service): State<Arc<Service>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Response, ApiError> {
    let deployment = find(&service, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    Ok(as_text(service, deployment.id, None).await?)
}

/// A deployment's log, read as it is sent: a stranger's reads wait for those of others in the audience.
pub(crate) async fn as_text(
    service: Arc<Service>,
    id: DeploymentId,
    strangers: Option<Arc<Audience>>,
) -> Result<Response, StoreError> {
    let plan = service.store.plan(&id).await?;
    let pieces = futures_util::stream::try_unfold(0, move |after| {
        let (service, strangers, id, plan) = (Arc::clone(&service), strangers.clone(), id.clone(), plan.clone());
        async move {
            let _turn = match &strangers {
                Some(audience) => audience.page().await,
                None => None,
            };
            let messages = service.store.messages(&id, after, plan.as_ref()).await?;
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
    State(service): State<Arc<Service>>,
    actor: Actor,
    Path(id): Path<String>,
    Query(query): Query<CancelQuery>,
) -> Result<(StatusCode, Json<DeploymentView>), ApiError> {
    let deployment = find(&service, &id).await?;
    actor.may(Act::Deploy, &deployment.stage)?;
    if let Some(job) = actor.job()
        && !service.store.waits_for(job, &deployment.id).await?
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
    if service.store.cancel(&deployment, actor.name(), until, service.clock.now()).await?.is_none() {
        return Err(too_late(&id, until));
    }
    service.cancelled.notify_waiters();
    service.wake.stages.notify_one();
    service.wake.outbox.notify_one();
    let now = service.store.deployment(&deployment.id).await.map_err(ApiError::after_the_change)?.unwrap_or(deployment);
    let view = view::deployment_view(&service, &now).await.map_err(ApiError::after_the_change)?;
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
pub(crate) async fn find(service: &Service, id: &str) -> Result<StoredDeployment, ApiError> {
    let unknown = || ApiError::not_found("deployment_unknown", format!("there is no deployment {id}"));
    let parsed: DeploymentId = id.parse().map_err(|_| unknown())?;
    service.store.deployment(&parsed).await?.ok_or_else(unknown)
}
