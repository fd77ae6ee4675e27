//! One reading of the store for all who follow the same thing: made with the first of them, gone with the last.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use axum::response::sse::Event;
use tokio::sync::broadcast;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::names::{DeploymentId, TaskId};
use windlass_core::plan::Plan;

use super::{deployment_event, task_event};
use crate::service::Service;
use crate::store::{Progress, StoreError};

/// So many batches wait for a reader that is slow; it reads the store itself then.
const BATCHES: usize = 16;

/// What can be followed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Followed {
    /// A deployment's events and log lines.
    Deployment(DeploymentId),
    /// What a one-off task writes.
    Task(TaskId),
}

/// What one look at the store gave.
#[derive(Debug)]
pub(super) struct Batch {
    /// Everything after this place in the sequence
    pub(super) after: u64,
    /// up to this one,
    pub(super) last: u64,
    /// each with its place.
    pub(super) events: Vec<(u64, Event)>,
    /// Without events: there will be none any more.
    pub(super) ended: bool,
}

/// All readings under way.
#[derive(Debug, Default)]
pub(crate) struct Readings(Mutex<HashMap<Followed, Weak<Reading>>>);

/// One of them. Everybody who follows it has a part in it.
#[derive(Debug)]
pub(super) struct Reading {
    batches: broadcast::WeakSender<Arc<Batch>>,
    _task: AbortOnDropHandle<()>,
}

impl Readings {
    /// The reading of what is followed, from no later than what is in the store after this.
    pub(super) async fn join(
        &self,
        service: &Arc<Service>,
        followed: &Followed,
    ) -> Result<(Arc<Reading>, broadcast::Receiver<Arc<Batch>>), StoreError> {
        if let Some(joined) = self.known(followed) {
            return Ok(joined);
        }
        let look = StoreReader::new(Arc::clone(service), followed.clone());
        let Progress { newest, .. } = look.progress().await?;
        let mut readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Another one may have begun it meanwhile.
        if let Some(joined) = readings.get(followed).and_then(Weak::upgrade).and_then(joined) {
            return Ok(joined);
        }
        let (sender, receiver) = broadcast::channel(BATCHES);
        let batches = sender.downgrade();
        let task = AbortOnDropHandle::new(tokio::spawn(read(look, newest, sender)));
        let reading = Arc::new(Reading { batches, _task: task });
        readings.retain(|_, reading| reading.strong_count() > 0);
        readings.insert(followed.clone(), Arc::downgrade(&reading));
        Ok((reading, receiver))
    }

    fn known(&self, followed: &Followed) -> Option<(Arc<Reading>, broadcast::Receiver<Arc<Batch>>)> {
        let readings = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        readings.get(followed).and_then(Weak::upgrade).and_then(joined)
    }
}

/// `None` when it has come to its end.
fn joined(reading: Arc<Reading>) -> Option<(Arc<Reading>, broadcast::Receiver<Arc<Batch>>)> {
    let receiver = reading.batches.upgrade()?.subscribe();
    Some((reading, receiver))
}

/// Whoever hears nothing more is told by the sender's end.
async fn read(mut look: StoreReader, mut after: u64, batches: broadcast::Sender<Arc<Batch>>) {
    let mut changes = look.service.store.changes();
    let shutdown = look.service.shutdown.clone();
    loop {
        changes.mark_unchanged();
        match look.after(after).await {
            Ok(batch) if batch.events.is_empty() && !batch.ended => tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = shutdown.cancelled() => return,
            },
            Ok(batch) => {
                after = batch.last;
                let is_last = batch.events.is_empty();
                // Nobody may listen any more: then this is dropped, too.
                let _ = batches.send(Arc::new(batch));
                if is_last {
                    return;
                }
            }
            Err(error) => return tracing::error!(error = %error, "a reading of the store broke off"),
        }
    }
}

/// Somebody's look at the store.
pub(super) struct StoreReader {
    service: Arc<Service>,
    followed: Followed,
    /// Of a deployment: it never changes.
    plan: Option<Plan>,
}

impl StoreReader {
    pub(super) fn new(service: Arc<Service>, followed: Followed) -> Self {
        Self { service, followed, plan: None }
    }

    /// What comes after a place in the sequence, up to a thousand of them.
    pub(super) async fn after(&mut self, after: u64) -> Result<Batch, StoreError> {
        // The end is read before the messages: what came with the last word must not be missed.
        let Progress { ended, newest } = self.progress().await?;
        if newest <= after {
            return Ok(Batch { after, last: after, events: Vec::new(), ended });
        }
        let store = &self.service.store;
        let (last, events) = match &self.followed {
            Followed::Deployment(id) => {
                if self.plan.is_none() {
                    self.plan = store.plan(id).await?;
                }
                let messages = store.messages(id, after, self.plan.as_ref()).await?;
                let events = messages.iter().filter_map(|message| Some((message.seq, deployment_event(message)?)));
                (messages.last().map(|message| message.seq), events.collect())
            }
            Followed::Task(id) => {
                let messages = store.task_log(id, after).await?;
                let events =
                    messages.iter().filter_map(|(seq, message)| Some((*seq, task_event(Some(*seq), message)?)));
                (messages.last().map(|(seq, _)| *seq), events.collect())
            }
        };
        Ok(Batch { after, last: last.unwrap_or(after), events, ended })
    }

    async fn progress(&self) -> Result<Progress, StoreError> {
        let found = match &self.followed {
            Followed::Deployment(id) => self.service.store.deployment_progress(id).await?,
            Followed::Task(id) => self.service.store.task_progress(id).await?,
        };
        // What is gone says nothing more.
        Ok(found.unwrap_or(Progress { ended: true, newest: 0 }))
    }
}
