//! What the API, the processes and the tests' handle share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::lifecycle::{Again, Launch};
use super::model::Model;
use super::process;
use super::refusal::Refusal;

pub(super) struct Shared {
    model: Mutex<Model>,
    changed: Notify,
    /// Cancelled: the machine is off, and every process with it.
    pub(super) power: CancellationToken,
    runtime: Handle,
}

impl Shared {
    pub(super) fn new(model: Model) -> Self {
        let power = CancellationToken::new();
        Self { model: Mutex::new(model), changed: Notify::new(), power, runtime: Handle::current() }
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.model.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change<T>(&self, change: impl FnOnce(&mut Model) -> T) -> T {
        let changed = change(&mut self.model.lock().unwrap_or_else(PoisonError::into_inner));
        self.changed.notify_waiters();
        changed
    }

    /// What `look` finds, as soon as it finds something.
    pub(super) async fn until<T>(&self, mut look: impl FnMut(&Model) -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // Before looking: a change between the look and the wait must not be missed.
            changed.as_mut().enable();
            if let Some(found) = self.look(&mut look) {
                return found;
            }
            changed.await;
        }
    }

    /// Whether it had to be started.
    pub(super) fn start(self: &Arc<Self>, reference: &str) -> Result<bool, Refusal> {
        let launch = self.change(|model| model.start(reference, &self.power))?;
        let started = launch.is_some();
        self.launch(launch);
        Ok(started)
    }

    /// The process of a container's life has ended by itself.
    pub(super) fn ended(self: &Arc<Self>, id: &str, life: u64, code: i64) {
        let again = self.change(|model| {
            let current = model.containers.get(id).is_some_and(|container| container.starts == life);
            if current { model.end(id, code) } else { None }
        });
        self.again(again);
    }

    /// Ends a container's process; its policy holds.
    pub(super) fn exit(self: &Arc<Self>, reference: &str, code: i64) -> Result<(), Refusal> {
        let again = self.change(|model| {
            let id = model.container(reference)?.id.clone();
            Ok(model.end(&id, code))
        })?;
        self.again(again);
        Ok(())
    }

    fn again(self: &Arc<Self>, again: Option<Again>) {
        let Some(again) = again else { return };
        let shared = self.clone();
        self.runtime.spawn(async move {
            tokio::select! {
                () = shared.power.cancelled() => return,
                () = tokio::time::sleep(again.delay) => {}
            }
            let launch = shared.change(|model| model.start_again(&again, &shared.power));
            shared.launch(launch);
        });
    }

    fn launch(self: &Arc<Self>, launch: Option<Launch>) {
        if let Some(launch) = launch {
            self.runtime.spawn(process::run(self.clone(), launch));
        }
    }
}
