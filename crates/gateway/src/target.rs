//! One task that takes requests: how it stands, what it has under way, and how that is cut.

use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::AbortHandle;
use windlass_core::gateway::{ServiceKey, TargetState, TargetStatus};

use crate::lineage::Whereabouts;

/// Shared by the workers, which send it requests, its prober and the switchboard.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) id: TargetId,
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    /// Wakes the prober: a request has met something odd.
    pub(crate) doubt: Notify,
    state: AtomicU8,
    in_flight: AtomicU64,
    state_changed: Notify,
    emptied: Notify,
    last_answer: Mutex<Option<String>>,
    lines: Mutex<Lines>,
}

/// Tells a task from a later one with the same name or address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TargetId(u64);

/// What a probe heard, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Good(String),
    Bad(String),
}

/// The tasks that hold connections to the target: stopping them is what cuts requests.
#[derive(Debug, Default)]
struct Lines {
    cut: bool,
    tasks: Vec<AbortHandle>,
}

/// So many probes in a row fail before a healthy target is called unhealthy.
const FAILURES_UNTIL_UNHEALTHY: u32 = 2;
/// What is over sooner is no illness.
const A_MOMENT: Duration = Duration::from_secs(1);

impl Target {
    /// A target that is not known yet.
    pub(crate) fn new(name: String, address: SocketAddr) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self {
            id: TargetId(NEXT.fetch_add(1, Ordering::Relaxed)),
            name,
            address,
            doubt: Notify::new(),
            state: AtomicU8::new(encode(TargetState::Joining)),
            in_flight: AtomicU64::new(0),
            state_changed: Notify::new(),
            emptied: Notify::new(),
            last_answer: Mutex::new(None),
            lines: Mutex::new(Lines::default()),
        }
    }

    pub(crate) fn state(&self) -> TargetState {
        decode(self.state.load(Ordering::SeqCst))
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::SeqCst)
    }

    /// Counts one request in, unless the target drains. Counting comes before looking: either the drain sees the request
    /// or the request sees the drain, never neither.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<InFlight> {
        self.in_flight.fetch_add(1, Ordering::SeqCst);
        let in_flight = InFlight { target: Arc::clone(self) };
        (self.state() != TargetState::Draining).then_some(in_flight)
    }

    /// From here on it takes requests. What was never probed, or drained until now, is presumed healthy.
    pub(crate) fn admit(&self) {
        self.change(|state| match state {
            TargetState::Joining | TargetState::Draining => Some(TargetState::Healthy),
            TargetState::Healthy | TargetState::Unhealthy => None,
        });
    }

    /// From here on it takes no more requests.
    pub(crate) fn retire(&self) {
        self.change(|state| (state != TargetState::Draining).then_some(TargetState::Draining));
    }

    /// It failed its probes where it served before.
    pub(crate) fn presume_ill(&self, answer: &str) {
        self.answered(&Answer::Bad(answer.to_owned()), FAILURES_UNTIL_UNHEALTHY);
    }

    /// As other processes know it.
    pub(crate) fn whereabouts(&self, key: &ServiceKey) -> Whereabouts {
        Whereabouts { key: key.clone(), name: self.name.clone(), address: self.address }
    }

    /// Whether it is what others mean, if the service is.
    pub(crate) fn is_at(&self, whereabouts: &Whereabouts) -> bool {
        self.name == whereabouts.name && self.address == whereabouts.address
    }

    /// A probe was answered; `failures` is how many failed in a row, this one included.
    pub(crate) fn answered(&self, answer: &Answer, failures: u32) {
        let (good, words) = match answer {
            Answer::Good(words) => (true, words),
            Answer::Bad(words) => (false, words),
        };
        *locked(&self.last_answer) = Some(words.clone());
        let changed = self.change(|state| match state {
            TargetState::Joining | TargetState::Unhealthy if good => Some(TargetState::Healthy),
            TargetState::Healthy if !good && failures >= FAILURES_UNTIL_UNHEALTHY => Some(TargetState::Unhealthy),
            TargetState::Joining | TargetState::Healthy | TargetState::Unhealthy | TargetState::Draining => None,
        });
        match changed {
            Some(TargetState::Unhealthy) => {
                tracing::warn!(target.name = self.name, target.address = %self.address, probe.answer = words, "target unhealthy");
            }
            Some(_) => {
                tracing::info!(target.name = self.name, target.address = %self.address, probe.answer = words, "target healthy");
            }
            None => {}
        }
    }

    /// Waits until the target is healthy.
    pub(crate) async fn healthy(&self) {
        wait_until(&self.state_changed, || self.state() == TargetState::Healthy).await;
    }

    /// Waits until the target is unhealthy and stays so for a moment, and has it asked for its health at least this often.
    pub(crate) async fn ailing(&self, every: Duration) {
        let ailing = async {
            loop {
                wait_until(&self.state_changed, || self.state() == TargetState::Unhealthy).await;
                // Whoever opens its port anew is away for some milliseconds, and requests have it asked at once.
                tokio::select! {
                    () = tokio::time::sleep(every.min(A_MOMENT)) => return,
                    () = self.healthy() => {}
                }
            }
        };
        let ask = async {
            loop {
                tokio::time::sleep(every).await;
                self.doubt.notify_one();
            }
        };
        tokio::select! {
            () = ailing => {}
            () = ask => {}
        }
    }

    /// Waits until a draining target has nothing under way.
    pub(crate) async fn empty(&self) {
        wait_until(&self.emptied, || self.in_flight() == 0).await;
    }

    /// Remembers a task that holds a connection to the target. After the cut there is none to be had any more.
    pub(crate) fn hold_line(&self, task: AbortHandle) {
        let mut lines = locked(&self.lines);
        if lines.cut {
            task.abort();
            return;
        }
        if lines.tasks.len() == lines.tasks.capacity() {
            lines.tasks.retain(|task| !task.is_finished());
        }
        lines.tasks.push(task);
    }

    /// Closes every connection to the target, whatever is under way on it.
    pub(crate) fn cut(&self) {
        let tasks = {
            let mut lines = locked(&self.lines);
            lines.cut = true;
            std::mem::take(&mut lines.tasks)
        };
        tasks.iter().for_each(AbortHandle::abort);
    }

    pub(crate) fn last_answer(&self) -> Option<String> {
        locked(&self.last_answer).clone()
    }

    pub(crate) fn status(&self) -> TargetStatus {
        TargetStatus {
            name: self.name.clone(),
            address: self.address,
            state: self.state(),
            in_flight: self.in_flight(),
            last_probe: self.last_answer(),
        }
    }

    fn change(&self, next: impl Fn(TargetState) -> Option<TargetState>) -> Option<TargetState> {
        let update = |state| next(decode(state)).map(encode);
        let before = self.state.fetch_update(Ordering::SeqCst, Ordering::SeqCst, update).ok()?;
        self.state_changed.notify_waiters();
        next(decode(before))
    }
}

/// One request under way. Counted until it is dropped.
#[derive(Debug)]
pub(crate) struct InFlight {
    target: Arc<Target>,
}

impl InFlight {
    pub(crate) fn target(&self) -> &Arc<Target> {
        &self.target
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let last = self.target.in_flight.fetch_sub(1, Ordering::SeqCst) == 1;
        if last && self.target.state() == TargetState::Draining {
            self.target.emptied.notify_waiters();
        }
    }
}

async fn wait_until(changed: &Notify, condition: impl Fn() -> bool) {
    loop {
        let mut change = pin!(changed.notified());
        change.as_mut().enable();
        if condition() {
            return;
        }
        change.await;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const fn encode(state: TargetState) -> u8 {
    match state {
        TargetState::Joining => 0,
        TargetState::Healthy => 1,
        TargetState::Unhealthy => 2,
        TargetState::Draining => 3,
    }
}

const fn decode(state: u8) -> TargetState {
    match state {
        0 => TargetState::Joining,
        1 => TargetState::Healthy,
        2 => TargetState::Unhealthy,
        _ => TargetState::Draining,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target() -> Arc<Target> {
        Arc::new(Target::new("shop-web-1".to_owned(), ([127, 0, 0, 1], 1).into()))
    }

    fn bad() -> Answer {
        Answer::Bad("HTTP 503".to_owned())
    }

    fn good() -> Answer {
        Answer::Good("HTTP 200".to_owned())
    }

    #[test]
    fn two_failures_in_a_row_make_unhealthy_and_one_success_heals() {
        let target = target();
        target.answered(&bad(), 1);
        target.answered(&bad(), 2);
        assert_eq!(target.state(), TargetState::Joining, "it never was healthy");
        target.answered(&good(), 0);
        assert_eq!(target.state(), TargetState::Healthy);
        target.answered(&bad(), 1);
        assert_eq!(target.state(), TargetState::Healthy);
        target.answered(&bad(), 2);
        assert_eq!(target.state(), TargetState::Unhealthy);
        assert_eq!(target.last_answer().as_deref(), Some("HTTP 503"));
        target.answered(&good(), 0);
        assert_eq!(target.state(), TargetState::Healthy);
    }

    #[test]
    fn a_probe_does_not_call_a_draining_target_back() {
        let target = target();
        target.admit();
        target.retire();
        target.answered(&good(), 0);
        assert_eq!(target.state(), TargetState::Draining);
        assert!(target.begin().is_none());
        target.admit();
        assert!(target.begin().is_some());
    }

    #[tokio::test]
    async fn a_draining_target_is_empty_when_its_last_request_has_ended() {
        let target = target();
        target.admit();
        let requests = [target.begin().unwrap(), target.begin().unwrap()];
        target.retire();
        let waiting = tokio::spawn({
            let target = Arc::clone(&target);
            async move { target.empty().await }
        });
        tokio::task::yield_now().await;
        let [first, second] = requests;
        drop(first);
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(second);
        waiting.await.unwrap();
    }
}
