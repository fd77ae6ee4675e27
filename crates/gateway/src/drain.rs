//! Letting replaced targets finish what they have, and cutting it when their time is over.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::ServiceKey;

use crate::lineage::Predecessors;
use crate::switchboard::Switchboard;
use crate::target::Target;

/// A target that takes no more requests. Dropping it, because its target serves again, calls the end off.
#[derive(Debug)]
pub(crate) struct Drain {
    pub(crate) target: Arc<Target>,
    /// When what is left is cut.
    pub(crate) ends: Instant,
    outcome: watch::Sender<Option<u64>>,
    _waiter: AbortOnDropHandle<()>,
}

/// How a drain ends, for those who wait for it.
#[derive(Debug)]
pub(crate) struct Outcome(watch::Receiver<Option<u64>>);

impl Drain {
    /// Takes the target out of service and waits in the background: for what is under way here, and for what those have
    /// that this gateway has followed.
    pub(crate) fn start(
        board: Weak<Switchboard>,
        predecessors: Arc<Predecessors>,
        key: ServiceKey,
        target: Arc<Target>,
        time: Duration,
    ) -> Self {
        target.retire();
        let waiter = tokio::spawn({
            let target = Arc::clone(&target);
            async move {
                let ended = async {
                    target.empty().await;
                    predecessors.ended(&target.whereabouts(&key)).await;
                };
                let timely = tokio::time::timeout(time, ended).await;
                tracing::debug!(target.name = target.name, timely = timely.is_ok(), "drain ends");
                if let Some(board) = board.upgrade() {
                    board.finish_drain(&key, &target).await;
                }
            }
        });
        Self::new(target, Instant::now() + time, waiter)
    }

    /// Takes the target out of service and leaves its end to a successor.
    pub(crate) fn leave(target: Arc<Target>, ended: Arc<Notify>) -> Self {
        target.retire();
        let waiter = tell_of_end(&target, ended);
        Self::new(target, Instant::now(), waiter)
    }

    /// Leaves its end to a successor, which has this gateway cut what is left.
    pub(crate) fn left(self, ended: Arc<Notify>) -> Self {
        let waiter = AbortOnDropHandle::new(tell_of_end(&self.target, ended));
        Self { _waiter: waiter, ..self }
    }

    fn new(target: Arc<Target>, ends: Instant, waiter: JoinHandle<()>) -> Self {
        Self { target, ends, outcome: watch::Sender::new(None), _waiter: AbortOnDropHandle::new(waiter) }
    }

    pub(crate) fn outcome(&self) -> Outcome {
        Outcome(self.outcome.subscribe())
    }

    /// Closes what is left of the target's connections and says how many requests that has cut, elsewhere included.
    pub(crate) fn finish(self, elsewhere: u64) -> u64 {
        let cut = self.target.in_flight() + elsewhere;
        self.target.cut();
        self.outcome.send_replace(Some(cut));
        cut
    }
}

fn tell_of_end(target: &Arc<Target>, ended: Arc<Notify>) -> JoinHandle<()> {
    let target = Arc::clone(target);
    tokio::spawn(async move {
        target.empty().await;
        ended.notify_one();
    })
}

impl Outcome {
    /// How many requests were cut; `None` when the target serves again.
    pub(crate) async fn wait(mut self) -> Option<u64> {
        self.0.wait_for(Option::is_some).await.ok().and_then(|cut| *cut)
    }
}
