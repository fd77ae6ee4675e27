//! Server-sent events that follow the store: what is there, then what comes, until the last word.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::Stream;
use futures_util::stream;
use windlass_core::api::{DeploymentMessage, MessageBody, TaskMessage};
use windlass_core::names::{DeploymentId, TaskId};

use super::KEEP_ALIVE;
use crate::app::App;
use crate::store::StoreError;

pub(crate) type Events<S> = Sse<axum::response::sse::KeepAliveStream<S>>;

/// Where a client that comes back wants to go on.
pub(crate) fn last_event_id(headers: &HeaderMap) -> u64 {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}

/// A deployment's events and log lines after a place in its sequence.
pub(crate) fn deployment(
    app: Arc<App>,
    id: DeploymentId,
    after: u64,
) -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    follow(app, after, move |app, after| {
        let id = id.clone();
        async move {
            // Asked before the messages are read: what came with the last word must not be missed.
            let ended = app.store.deployment(&id).await?.is_none_or(|deployment| deployment.state.is_final());
            let plan = app.store.plan(&id).await?;
            let messages = app.store.messages(&id, after, plan.as_ref()).await?;
            let last = messages.last().map_or(after, |message| message.seq);
            Ok(Batch { events: messages.iter().filter_map(deployment_event).collect(), last, ended })
        }
    })
}

/// What a one-off task wrote after a place in its sequence.
pub(crate) fn task(app: Arc<App>, id: TaskId, after: u64) -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    follow(app, after, move |app, after| {
        let id = id.clone();
        async move {
            let ended = app.store.task(&id).await?.is_none_or(|task| task.ended_at.is_some());
            let messages = app.store.task_log(&id, after).await?;
            let last = messages.last().map_or(after, |(seq, _)| *seq);
            let events = messages.iter().filter_map(|(seq, message)| task_event(Some(*seq), message)).collect();
            Ok(Batch { events, last, ended })
        }
    })
}

/// One message of a task's log.
pub(crate) fn task_event(seq: Option<u64>, message: &TaskMessage) -> Option<Event> {
    let name = match message {
        TaskMessage::Line(_) => "line",
        TaskMessage::Exit { .. } => "exit",
        TaskMessage::Failed(_) => "failed",
    };
    let event = Event::default().event(name).json_data(message).ok()?;
    Some(match seq {
        Some(seq) => event.id(seq.to_string()),
        None => event,
    })
}

fn deployment_event(message: &DeploymentMessage) -> Option<Event> {
    let name = match message.body {
        MessageBody::Event { .. } => "event",
        MessageBody::Log { .. } => "log",
    };
    Event::default().id(message.seq.to_string()).event(name).json_data(message).ok()
}

/// What one look at the store gave.
struct Batch {
    events: Vec<Event>,
    last: u64,
    ended: bool,
}

fn follow<F, R>(app: Arc<App>, after: u64, look: F) -> Events<impl Stream<Item = Result<Event, Infallible>>>
where
    F: Fn(Arc<App>, u64) -> R + Send + 'static,
    R: Future<Output = Result<Batch, StoreError>> + Send,
{
    let changes = app.store.changes();
    let batches = stream::unfold((app, changes, after, look), |(app, mut changes, after, look)| async move {
        loop {
            changes.mark_unchanged();
            let batch = match look(Arc::clone(&app), after).await {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::error!(error = %error, "an event stream broke off");
                    return None;
                }
            };
            if batch.ended && batch.events.is_empty() {
                return None;
            }
            if !batch.events.is_empty() {
                return Some((stream::iter(batch.events.into_iter().map(Ok)), (app, changes, batch.last, look)));
            }
            tokio::select! {
                changed = changes.changed() => changed.ok()?,
                () = app.shutdown.cancelled() => return None,
            }
        }
    });
    Sse::new(futures_util::StreamExt::flatten(batches)).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
}
