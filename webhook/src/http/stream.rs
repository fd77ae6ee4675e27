//! Server-sent events that follow the store: what is there, then what comes, until the last word.

mod reader;
mod reading;

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::HeaderMap;
use axum::response::Sse;
use axum::response::sse::{Event, KeepAlive};
use futures_util::{Stream, StreamExt, stream};
use windlass_core::api::{DeploymentMessage, MessageBody, TaskMessage};

use super::KEEP_ALIVE;
use crate::http::audience::Ticket;
use crate::service::Service;
use reader::Follow;

pub(crate) use reading::{Followed, Readings};

pub(crate) type Events<S> = Sse<axum::response::sse::KeepAliveStream<S>>;

/// Where a client that comes back wants to go on.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok())
}

/// What is written of something after a place in its sequence. The client's place is given back with the stream's end.
pub(crate) fn follow(
    service: Arc<Service>,
    readings: Arc<Readings>,
    followed: Followed,
    after: u64,
    place: Ticket,
) -> Events<impl Stream<Item = Result<Event, Infallible>>> {
    let reader = Follow::new(service, readings, followed, after);
    let batches = stream::unfold((reader, place), |(mut reader, place)| async move {
        let events = reader.next().await?;
        Some((stream::iter(events.into_iter().map(Ok)), (reader, place)))
    });
    Sse::new(batches.flatten()).keep_alive(KeepAlive::new().interval(KEEP_ALIVE))
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
