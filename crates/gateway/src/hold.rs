//! Where requests wait while a service has no target that takes them.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;
use tokio::time::Instant;
use windlass_core::gateway::Hold as HoldLimits;

/// One per service.
#[derive(Debug, Default)]
pub(crate) struct Hold {
    waiting: AtomicU32,
    changed: Arc<Notify>,
}

impl Hold {
    /// Something may have changed for the better: all that wait look again.
    pub(crate) fn wake(&self) {
        self.changed.notify_waiters();
    }

    /// Takes a place, if there is one.
    pub(crate) fn enter(self: &Arc<Self>, limits: HoldLimits) -> Option<Place> {
        let free = |waiting| (waiting < limits.requests).then_some(waiting + 1);
        self.waiting.fetch_update(Ordering::Relaxed, Ordering::Relaxed, free).ok()?;
        let hold = Arc::clone(self);
        Some(Place { change: hold.next_change(), deadline: Instant::now() + limits.time.0, hold })
    }

    fn next_change(&self) -> Pin<Box<OwnedNotified>> {
        let mut change = Box::pin(Arc::clone(&self.changed).notified_owned());
        change.as_mut().enable();
        change
    }
}

/// A request's place in the hold, free again when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    hold: Arc<Hold>,
    change: Pin<Box<OwnedNotified>>,
    deadline: Instant,
}

/// Its time is over.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TimeOver;

impl Place {
    /// Waits for a change that came after the last look.
    pub(crate) async fn changed(&mut self) -> Result<(), TimeOver> {
        tokio::time::timeout_at(self.deadline, self.change.as_mut()).await.map_err(|_| TimeOver)?;
        self.change = self.hold.next_change();
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.hold.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use windlass_core::quantity::Duration;

    use super::*;

    #[tokio::test]
    async fn a_place_is_given_so_often_and_so_long_as_allowed() {
        let limits = HoldLimits { requests: 1, time: Duration::from_millis(20) };
        let hold = Arc::new(Hold::default());
        let mut place = hold.enter(limits).unwrap();
        assert!(hold.enter(limits).is_none());
        hold.wake();
        assert_eq!(place.changed().await, Ok(()));
        assert_eq!(place.changed().await, Err(TimeOver));
        drop(place);
        assert!(hold.enter(limits).is_some());
    }
}
