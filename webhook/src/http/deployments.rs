//! Deployments: ask for one, look at it, follow it, cancel it.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::Event as SseEvent;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use futures_util::Stream;
use serde::Deserialize;
use utoipa::IntoParams;
use windlass_core::api::{DeploymentMessage, DeploymentView, MessageBody, NewDeployment, Page};
use windlass_core::names::DeploymentId;
use windlass_core::plain::plain;
use windlass_listen::Peer;

use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::choice::{check_reason, chosen_releases, newest_commit, nothing_to};
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageQuery {
    /// What the page before said is `next`.
    #[param(nullable = false)]
    cursor: Option<u64>,
    /// As many at the most, up to 100; 30 where it is left out.
    #[param(nullable = false)]
    limit: Option<u32>,
}

/// Asks for a deployment, a rollback or a redeploy
#[utoipa::path(
    post,
    path = "/deployments",
    tag = "deployments",
    operation_id = "create_deployment",
    params(StagePath),
    request_body = NewDeployment,
    responses(
        (status = ACCEPTED, description = "It waits for its gate, a lock, or its turn", body = DeploymentView),
        (status = NOT_FOUND, description = "`release_unknown`, or `stage_unknown`"),
        (status = CONFLICT, description = "`nothing_to_deploy`: there is no such release"),
        (
            status = UNPROCESSABLE_ENTITY,
            description = "`reason_required`, `reason_too_long` or `override_not_possible`: nothing is deployed",
        ),
    ),
)]
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

fn source_of(actor: &Actor) -> Source {
    match actor.job() {
        Some(job) if !job.session.is_by_hand() => Source::Job,
        Some(_) | None => Source::Person,
    }
}

/// Lists a stage's deployments, the newest first
#[utoipa::path(
    get,
    path = "/deployments",
    tag = "deployments",
    operation_id = "list_deployments",
    params(StagePath, PageQuery),
    responses((status = OK, description = "One page of them", body = Page<DeploymentView>)),
)]
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

/// Shows a deployment
#[utoipa::path(
    get,
    path = "/deployments/{id}",
    tag = "deployments",
    operation_id = "show_deployment",
    params(("id" = DeploymentId, Path)),
    responses((status = OK, description = "How it stands, or ended", body = DeploymentView)),
)]
pub(crate) async fn show(
    State(service): State<Arc<Service>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<Json<DeploymentView>, ApiError> {
    let deployment = find(&service, &id).await?;
    actor.may(Act::Look, &deployment.stage)?;
    Ok(Json(view::deployment_view(&service, &deployment).await?))
}

/// Follows a deployment until its end
///
/// Server-sent events, each a `DeploymentMessage` in JSON: what was, then what comes.
#[utoipa::path(
    get,
    path = "/deployments/{id}/events",
    tag = "deployments",
    operation_id = "follow_deployment",
    params(
        ("id" = DeploymentId, Path),
        ("last-event-id" = inline(Option<u64>), Header, description = "Only what came after the message of this `seq`"),
    ),
    responses((status = OK, description = "What happens", body = DeploymentMessage, content_type = "text/event-stream")),
)]
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

/// Shows a deployment's whole log so far, as text
#[utoipa::path(
    get,
    path = "/deployments/{id}/log",
    tag = "deployments",
    operation_id = "show_deployment_log",
    params(("id" = DeploymentId, Path)),
    responses((status = OK, description = "A line each", body = String, content_type = "text/plain; charset=utf-8")),
)]
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

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct CancelQuery {
    /// `false`: what has moved its traffic stays. A job may have a person's token, and its end is no wish of theirs.
    #[param(nullable = false)]
    back: Option<bool>,
}

/// Cancels a deployment
///
/// Before the switch it is undone. In its watch a person takes it back; a job's end is no reason to.
#[utoipa::path(
    post,
    path = "/deployments/{id}/cancel",
    tag = "deployments",
    operation_id = "cancel_deployment",
    params(("id" = DeploymentId, Path), CancelQuery),
    responses(
        (status = ACCEPTED, description = "It will end", body = DeploymentView),
        (status = CONFLICT, description = "`already_ended` or `too_late`: it goes on, or has ended"),
    ),
)]
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
