//! Tasks: start a one-off one, list what runs, read a log, stop.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::sse::{Event as SseEvent, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use windlass_core::api::{HostPart, LogQuery, NewTask, SILENT_HOSTS, SilentHost, StartedTask, TaskMessage, TaskView};
use windlass_core::exec;
use windlass_core::hint::Hint;
use windlass_core::names::{AppName, DeploymentId, Generation, HostName, TaskId};
use windlass_core::plan::{DeploymentKind, DesiredState, one_off};
use windlass_core::secrets::Masker;
use windlass_core::stage::Stage;
use windlass_core::task::{ObservedTask, TaskSpec};
use windlass_engine::LogOptions;

use super::KEEP_ALIVE;
use super::act::Act;
use super::auth::{Actor, NamedStage, StagePath};
use super::error::ApiError;
use super::extract::{Body, Path, Query};
use super::stream::{self, Followed};
use crate::deploy::hosts;
use crate::deploy::one_offs;
use crate::deploy::planning::{self, Intent};
use crate::gate::Gate;
use crate::http::Http;
use crate::http::audience::{Follower, Ticket};
use crate::http::views::{self, Shown};
use crate::intake::projects;
use crate::service::Service;
use crate::sight::PATIENCE;
use crate::store::audit::{Action, Deed};
use crate::store::tasks::OneOffTask;

/// Runs a command in a release's image, once
#[utoipa::path(
    post,
    path = "/tasks",
    tag = "tasks",
    operation_id = "create_task",
    params(StagePath),
    request_body = NewTask,
    responses(
        (status = ACCEPTED, description = "It starts", body = StartedTask),
        (status = NOT_FOUND, description = "`release_unknown`, `app_unknown` or `stage_unknown`"),
        (status = CONFLICT, description = "`no_release`: the app serves none, and none is named"),
        (status = UNPROCESSABLE_ENTITY, description = "`no_command`, `invalid_request` or `policy_refused`: nothing is run"),
        (status = SERVICE_UNAVAILABLE, description = "`host_unreachable`, or `store_unavailable`"),
    ),
)]
pub(crate) async fn create(
    State(service): State<Arc<Service>>,
    State(gate): State<Arc<Gate>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
    Body(new): Body<NewTask>,
) -> Result<(StatusCode, Json<StartedTask>), ApiError> {
    actor.may(Act::RunTask, &stage)?;
    check_command(&new.command)?;
    let active = service.store.active_releases(&stage).await?.into_iter().find(|active| active.app == new.app);
    let release = new.release.or(active.map(|active| active.release)).ok_or_else(|| {
        ApiError::new(StatusCode::CONFLICT, "no_release", format!("app {} serves no release on {stage}", new.app))
            .hint("name one with `--release N`; it need not be active")
    })?;
    if let Some(job) = actor.job() {
        let known = service.store.release(&stage, &new.app, release).await?;
        let commit = known.ok_or_else(|| super::choice::unknown_release(&new.app, release))?.commit;
        if let Some(why) = gate.keeps_job_from(&stage, &commit, &job.session).await? {
            let title = format!("a job may not run a task of release {release}: {why}");
            return Err(ApiError::new(StatusCode::FORBIDDEN, "policy_refused", title)
                .hint("a person may: `windlass task run`, with a token of their own"));
        }
    }
    let id = TaskId::from_random(rand::random());
    let releases = BTreeMap::from([(new.app.clone(), release)]);
    let named_alike: DeploymentId = id.as_str().parse().map_err(|_| ApiError::not_found("internal", "an id"))?;
    let intent = Intent { deployment: named_alike, kind: DeploymentKind::Deploy, stage: &stage, releases: &releases };
    let desired = planning::desired_state(&service, &intent, Generation(0)).await?;
    let spec = placed(&service, desired, &new.app, &id, new.command)
        .await?
        .ok_or_else(|| ApiError::not_found("app_unknown", format!("release {release} has no service {}", new.app)))?;
    service.store.create_task(&id, &stage, &spec, &actor.holder(), service.clock.now()).await?;
    service.wake.tasks.notify_one();
    Ok((StatusCode::ACCEPTED, Json(StartedTask { id, release })))
}

/// On a host that answers: one that does not must not keep the others from it.
async fn placed(
    service: &Service,
    mut desired: DesiredState<'_>,
    name: &AppName,
    id: &TaskId,
    command: Vec<String>,
) -> Result<Option<TaskSpec>, ApiError> {
    let anywhere = one_off(&desired, name, id, command.clone()).map_err(|error| {
        let refused = ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "policy_refused", error.to_string());
        match error.hint() {
            Some(hint) => refused.hint(hint),
            None => refused,
        }
    })?;
    let looks = desired.hosts.iter().filter_map(|host| Some((&host.name, service.sights.get(&host.name)?)));
    let seen = join_all(looks.map(|(name, sight)| async move { (name, sight.engine().await) })).await;
    let silent: Vec<SilentHost> = seen.iter().filter_map(|(name, seen)| seen.silent(name, HostPart::Engine)).collect();
    if silent.is_empty() {
        return Ok(anywhere);
    }
    desired.hosts.retain(|host| !silent.iter().any(|silent| silent.name == host.name));
    // None is left where all that fit are silent.
    one_off(&desired, name, id, command).map_err(|_| unreachable(&silent))
}

fn unreachable(silent: &[SilentHost]) -> ApiError {
    let why = silent.iter().map(|host| {
        let since = host.since.strftime("%H:%M:%S UTC");
        format!("host {} has not answered since {since}: {}", host.name, host.why)
    });
    let why: Vec<String> = why.collect();
    ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "host_unreachable", why.join("; "))
        .hint("`windlass doctor --config` on the server says what is wrong with it")
}

/// What no process can be started with is said at once.
fn check_command(command: &[String]) -> Result<(), ApiError> {
    if command.first().is_none_or(String::is_empty) {
        return Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "no_command", "there is no command to run"));
    }
    let wrong = exec::refusal(command.iter().map(String::as_str), []);
    wrong.map_or(Ok(()), |why| Err(ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_request", why)))
}

/// Lists what runs on a stage, and what ended not long ago
#[utoipa::path(
    get,
    path = "/tasks",
    tag = "tasks",
    operation_id = "list_tasks",
    params(StagePath),
    responses((
        status = OK,
        description = "Its tasks",
        body = Vec<TaskView>,
        headers(("windlass-silent-hosts" = String, description = "A host that does not answer; once for each")),
    )),
)]
pub(crate) async fn list(
    State(service): State<Arc<Service>>,
    actor: Actor,
    NamedStage(stage): NamedStage,
) -> Result<(HeaderMap, Json<Vec<TaskView>>), ApiError> {
    actor.may(Act::Inspect, &stage)?;
    let Shown { tasks, silent, .. } = views::shown_tasks(&service, &stage).await?;
    // A list has no room for who is missing in it.
    let missing = silent.iter().filter(|host| host.part == HostPart::Engine);
    let names = missing.map(|host| HeaderValue::from_str(host.name.as_str()));
    let missing = names.flatten().map(|name| (HeaderName::from_static(SILENT_HOSTS), name)).collect();
    Ok((missing, Json(tasks)))
}

/// A task by what people know it by.
enum FoundTask {
    OneOff(Box<OneOffTask>),
    Container(Box<ObservedTask>, Stage),
}

impl FoundTask {
    fn stage(&self) -> &Stage {
        match self {
            Self::OneOff(task) => &task.stage,
            Self::Container(_, stage) => stage,
        }
    }
}

/// By a one-off task's id, a container's name, or the beginning of its id. All hosts are asked together, and who has it
/// answers for all.
async fn find(service: &Service, actor: &Actor, id: &str) -> Result<FoundTask, ApiError> {
    if let Ok(id) = id.parse::<TaskId>()
        && let Some(task) = service.store.task(&id).await?
    {
        return Ok(FoundTask::OneOff(Box::new(task)));
    }
    if let Some(task) = service.store.open_tasks().await?.into_iter().find(|task| task.spec.name == id) {
        return Ok(FoundTask::OneOff(Box::new(task)));
    }
    let ids = projects::repository_ids(service).await?;
    let known = service.settings.server.stages();
    let stage_of = |task: &ObservedTask| {
        let is_of =
            |stage: &&Stage| stage.name == task.labels.stage && ids.get(&stage.project) == Some(&task.labels.project);
        known.iter().find(is_of).cloned()
    };
    let is_it = |task: &&ObservedTask| task.name == id || (id.len() >= 12 && task.container.starts_with(id));
    let looks = service.sights.iter().map(|(name, sight)| async move { (name, sight.tasks(PATIENCE).await) });
    let mut looks: FuturesUnordered<_> = looks.collect();
    let (mut had, mut silent) = (Vec::new(), Vec::new());
    while let Some((name, seen)) = looks.next().await {
        let missing = seen.silent(name, HostPart::Engine);
        let tasks = seen.answer.map(|(_, tasks)| tasks).unwrap_or_default();
        match (tasks.iter().find(is_it).and_then(|task| Some((task, stage_of(task)?))), missing) {
            (Some((task, stage)), None) => return Ok(FoundTask::Container(Box::new(task.clone()), stage)),
            // It was there when its host answered last; one of the same name may be elsewhere.
            (Some((_, stage)), Some(missing)) if actor.may(Act::Inspect, &stage).is_ok() => had.push(missing),
            (_, Some(missing)) => silent.push(missing),
            (None, None) => {}
        }
    }
    if !had.is_empty() {
        return Err(unreachable(&had));
    }
    // Only a host of the stages that are the actor's could have it.
    let own = known.iter().filter(|stage| actor.may(Act::Inspect, stage).is_ok());
    let own: BTreeSet<&HostName> =
        own.flat_map(|stage| hosts::hosts_of(service, stage)).map(|(name, _)| name).collect();
    silent.retain(|host| own.contains(&host.name));
    if silent.is_empty() {
        let unknown = ApiError::not_found("task_unknown", format!("there is no task {id}"));
        return Err(unknown.hint("`windlass service ps` lists them"));
    }
    Err(unreachable(&silent).detail(format!("no host that answers has a task {id}")))
}

/// A job has to do with the tasks that its run of the workflow has started, and with no others.
fn check_own(actor: &Actor, found: &FoundTask) -> Result<(), ApiError> {
    let Some(job) = actor.job() else { return Ok(()) };
    match found {
        FoundTask::OneOff(task) if task.stage == job.session.stage && task.run == Some(job.session.run_id) => Ok(()),
        FoundTask::OneOff(_) | FoundTask::Container(..) => {
            let title = "a job sees and stops the one-off tasks of its own run of the workflow only";
            Err(ApiError::new(StatusCode::FORBIDDEN, "forbidden", title)
                .hint("`windlass app logs` and `windlass task stop` are for people, with tokens of their own"))
        }
    }
}

/// Shows what a task wrote, and follows it
///
/// Server-sent events, each a `TaskMessage` in JSON.
#[utoipa::path(
    get,
    path = "/tasks/{id}/log",
    tag = "tasks",
    operation_id = "follow_task",
    params(
        ("id" = String, Path, description = "A one-off task's id, a container's name, or the beginning of its id"),
        LogQuery,
        ("last-event-id" = inline(Option<u64>), Header, description = "Only what came after this event; one-off tasks only"),
    ),
    responses(
        (status = OK, description = "What it wrote", body = TaskMessage, content_type = "text/event-stream"),
        (status = SERVICE_UNAVAILABLE, description = "`host_unreachable`, `too_many_readers` or `store_unavailable`"),
    ),
)]
pub(crate) async fn log(
    State(http): State<Http>,
    actor: Actor,
    Path(id): Path<String>,
    Query(query): Query<LogQuery>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let Http { service, audience, readings, .. } = http;
    let found = find(&service, &actor, &id).await?;
    check_own(&actor, &found)?;
    let act = if actor.job().is_some() { Act::RunTask } else { Act::Inspect };
    actor.may(act, found.stage())?;
    let place = audience.take(Follower::Known)?;
    match found {
        FoundTask::OneOff(task) => {
            let after = stream::last_event_id(&headers).unwrap_or(0);
            Ok(stream::follow(service, readings, Followed::Task(task.id), after, place).into_response())
        }
        FoundTask::Container(task, stage) => Ok(container_log(&service, &task, &stage, &query, place)?),
    }
}

fn container_log(
    service: &Arc<Service>,
    task: &ObservedTask,
    stage: &Stage,
    query: &LogQuery,
    place: Ticket,
) -> Result<Response, ApiError> {
    let host = service.hosts.get(&task.host).ok_or_else(|| {
        ApiError::not_found("host_unknown", format!("host {} is not in the server's file any more", task.host))
    })?;
    let secrets = service.settings.stage_secrets.get(stage);
    let masker = Masker::new(secrets.into_iter().flat_map(BTreeMap::values));
    let options = LogOptions { follow: query.follow, tail: query.lines.map(u64::from), since: query.since };
    let lines = host.engine.logs(&task.name, options, &masker);
    let shutdown = service.shutdown.clone();
    let events = lines.filter_map(move |line| {
        // It is taken as long as there may be another line.
        let _ = &place;
        let event = line.ok().and_then(|line| stream::task_event(None, &TaskMessage::Line(line)));
        async move { event.map(Ok::<SseEvent, Infallible>) }
    });
    let events = events.take_until(async move { shutdown.cancelled().await });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// Stops a one-off task
#[utoipa::path(
    post,
    path = "/tasks/{id}/stop",
    tag = "tasks",
    operation_id = "stop_task",
    params(("id" = String, Path, description = "The one-off task's id")),
    responses(
        (status = ACCEPTED, description = "It is asked to end"),
        (status = CONFLICT, description = "`not_one_off`: it serves"),
        (status = SERVICE_UNAVAILABLE, description = "`host_unreachable`, or `store_unavailable`"),
    ),
)]
pub(crate) async fn stop(
    State(service): State<Arc<Service>>,
    actor: Actor,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let found = find(&service, &actor, &id).await?;
    check_own(&actor, &found)?;
    actor.may(Act::RunTask, found.stage())?;
    let FoundTask::OneOff(task) = &found else {
        return Err(ApiError::new(StatusCode::CONFLICT, "not_one_off", format!("{id} serves; it is no one-off task"))
            .hint("deploy another release, or roll back"));
    };
    let unknown = || ApiError::not_found("host_unknown", "its host is not in the server's file any more");
    let host = service.hosts.get(&task.spec.host).ok_or_else(unknown)?;
    let deed = Deed {
        actor: actor.name(),
        action: Action::StopTask,
        stage: Some(&task.stage),
        detail: &id,
        at: service.clock.now(),
    };
    let recorded = service.store.record(&deed).await?;
    one_offs::stop(host, task, recorded)
        .await
        .map_err(|error| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "host_unreachable", error.to_string()))?;
    Ok(StatusCode::ACCEPTED)
}
