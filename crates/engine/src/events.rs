//! Docker's events. They only wake: whoever is woken looks again.

use std::pin::Pin;
use std::time::Duration;

use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptions;
use futures_util::{Stream, StreamExt, stream};
use windlass_core::Timestamp;
use windlass_core::labels::TaskLabels;
use windlass_core::names::HostName;
use windlass_core::task::TaskHealth;

use crate::docker::Filters;
use crate::engine::Engine;

/// Between two tries to reach an engine that does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// What happened on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostEvent {
    /// To one container of ours.
    Task(Box<TaskEvent>),
    /// The engine answers again after a silence in which anything may have happened.
    Reconnected,
}

/// What happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEvent {
    pub host: HostName,
    /// Docker's id.
    pub container: String,
    /// Docker's name for it.
    pub name: String,
    pub labels: TaskLabels,
    /// When, by the engine's clock.
    pub at: Timestamp,
    pub change: TaskChange,
}

/// What can happen to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskChange {
    /// Its process was started.
    Started,
    /// Its process ended with this status.
    Died(i64),
    /// Its health is another.
    Health(TaskHealth),
    /// It is gone.
    Removed,
}

type Events = Pin<Box<dyn Stream<Item = Result<EventMessage, bollard::errors::Error>> + Send>>;

impl Engine {
    /// What happens to this installation's containers from the moment of the call on: look after this call, and nothing
    /// falls between the look and the first event. Never ends; reconnects by itself.
    pub fn events(&self) -> impl Stream<Item = HostEvent> + Send + use<> {
        let filters = ["start", "die", "health_status", "destroy"]
            .into_iter()
            .fold(self.ours().with("type", "container"), |filters, event| filters.with("event", event));
        let since = Timestamp::now();
        let subscription = Subscription { engine: self.clone(), filters, since, events: None };
        stream::unfold(subscription, |mut subscription| async move {
            let event = subscription.next().await;
            Some((event, subscription))
        })
    }

    /// Comes once for every change of this container's health.
    pub(crate) fn health_changes(&self, name: &str) -> impl Stream<Item = ()> + Send + Unpin + use<> {
        let filters = self.ours().with("container", name).with("event", "health_status");
        self.subscribe(filters, Timestamp::now()).map(drop)
    }

    /// The request is sent when the stream is first polled; `since` has the engine repeat what happened before that.
    fn subscribe(&self, filters: Filters, since: Timestamp) -> Events {
        let nanoseconds = since.subsec_nanosecond();
        let since = Some(format!("{}.{nanoseconds:09}", since.as_second()));
        Box::pin(self.docker().events(Some(EventsOptions { since, until: None, filters: filters.build() })))
    }
}

struct Subscription {
    engine: Engine,
    filters: Filters,
    since: Timestamp,
    events: Option<Events>,
}

impl Subscription {
    async fn next(&mut self) -> HostEvent {
        loop {
            let engine = &self.engine;
            let events = self.events.get_or_insert_with(|| engine.subscribe(self.filters.clone(), self.since));
            match events.next().await {
                Some(Ok(message)) => {
                    if let Some(event) = task_event(engine.host(), &message) {
                        // Should the connection break, everything after this one is asked for.
                        self.since = event.at + Duration::from_nanos(1);
                        return HostEvent::Task(Box::new(event));
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(host = %engine.host(), %error, "the stream of events broke");
                    self.reconnect().await;
                    return HostEvent::Reconnected;
                }
                None => {
                    self.reconnect().await;
                    return HostEvent::Reconnected;
                }
            }
        }
    }

    async fn reconnect(&mut self) {
        self.events = None;
        // There is no event for an engine that comes back: only asking tells.
        tokio::time::sleep(RETRY).await;
        // It may come back as another version than the one that went.
        while self.engine.agree().await.is_err() {
            tokio::time::sleep(RETRY).await;
        }
    }
}

fn task_event(host: &HostName, message: &EventMessage) -> Option<TaskEvent> {
    let actor = message.actor.as_ref()?;
    let attributes = actor.attributes.as_ref()?;
    let labels = TaskLabels::from_map(|key| attributes.get(key).map(String::as_str))?;
    Some(TaskEvent {
        host: host.clone(),
        container: actor.id.clone()?,
        name: attributes.get("name")?.clone(),
        labels,
        at: Timestamp::from_nanosecond(message.time_nano?.into()).ok()?,
        change: change(message.action.as_deref()?, attributes.get("exitCode").map(String::as_str))?,
    })
}

fn change(action: &str, exit_code: Option<&str>) -> Option<TaskChange> {
    Some(match action {
        "start" => TaskChange::Started,
        "die" => TaskChange::Died(exit_code?.parse().ok()?),
        "destroy" => TaskChange::Removed,
        "health_status: healthy" => TaskChange::Health(TaskHealth::Healthy),
        "health_status: unhealthy" => TaskChange::Health(TaskHealth::Unhealthy),
        _ => return None,
    })
}
