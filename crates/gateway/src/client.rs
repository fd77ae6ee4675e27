//! What the requests of one client's connection share.

use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use crate::forwarded::Peer;
use crate::worker::Shared;

/// One connection's.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    under_way: TaskTracker,
    /// As long as it is there, a gateway that stops waits for the connection's end.
    waited_for: Mutex<Option<TaskTrackerToken>>,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, peer: Peer, under_way: TaskTracker) -> Self {
        let waited_for = Mutex::new(Some(under_way.token()));
        Self { shared, peer, under_way, waited_for }
    }

    /// A request has come that will have an end.
    pub(crate) fn asks(&self) {
        let mut waited_for = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        waited_for.get_or_insert_with(|| self.under_way.token());
    }

    /// Whatever is sent now has no end of its own: a gateway that stops does not wait for it.
    pub(crate) fn listens_on(&self) {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
