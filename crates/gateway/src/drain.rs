//! Letting replaced targets finish what they have, and cutting it when their time is over.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::ServiceKey;

use crate::switchboard::Switchboard;
use crate::target::Target;

/// A target that takes no more requests. Dropping it, because its target serves again, calls the end off.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) target: Arc<Target>,
    outcome: watch::Sender<Option<u64>>,
    _waiter: AbortOnDropHandle<()>,
}

/// How a drain ends, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Outcome(watch::Receiver<Option<u64>>);

impl Drain {
    /// Takes the target out of service and waits in the background.
    pub(crate) fn start(board: Weak<Switchboard>, key: ServiceKey, target: Arc<Target>, time: Duration) -> Self {
        target.retire();
        let waiter = tokio::spawn({
            let target = Arc::clone(&target);
            async move {
                let timely = tokio::time::timeout(time, target.empty()).await;
                tracing::debug!(target.name = target.name, timely = timely.is_ok(), "drain ends");
                if let Some(board) = board.upgrade() {
                    board.finish_drain(&key, &target).await;
                }
            }
        });
        Self { target, outcome: watch::Sender::new(None), _waiter: AbortOnDropHandle::new(waiter) }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        Outcome(self.outcome.subscribe())
    }

    /// Closes what is left of the target's connections and says how many requests that has cut.
    pub(crate) fn finish(self) -> u64 {
        let cut = self.target.in_flight();
        self.target.cut();
        self.outcome.send_replace(Some(cut));
        cut
    }
}

impl Outcome {
    /// How many requests were cut; `None` when the target serves again.
    pub(crate) async fn wait(mut self) -> Option<u64> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|cut| *cut)
    }
}
