//! One request and its answer, where a connection has several at a time.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use crate::limits::Limits;
use crate::seat::{Seat, Waiting};

/// From the request's head to the last of its body and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    seat: Arc<Seat>,
    number: u64,
    progress: Arc<Progress>,
}

/// How it gets on, as far as the client is concerned.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    reading: Waiting,
    writing: Waiting,
    arriving: AtomicBool,
}

/// Keeps a connection from being taken for one that has nothing to do: for who goes on with a request when its answer's
/// body has ended. Among a request's extensions where there are several at a time.
#[derive(Debug, Clone)]
pub struct Stay(#[expect(dead_code, reason = "it is held, not used")] pub(crate) Arc<Exchange>);

impl Exchange {
    pub(crate) fn begin(seat: Arc<Seat>, has_body: bool) -> Arc<Self> {
        let progress = Arc::new(Progress { arriving: AtomicBool::new(has_body), ..Progress::default() });
        let number = seat.exchange_begins(Arc::clone(&progress));
        Arc::new(Self { seat, number, progress })
    }

    /// A piece of the body is wanted, and has not come.
    pub(crate) fn read_waits(&self) {
        self.progress.reading.waits(self.seat.now());
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.progress.reading.moved(bytes, self.seat.now());
    }

    pub(crate) fn body_ended(&self) {
        self.progress.arriving.store(false, Relaxed);
    }

    /// A piece of the answer is there: the next is asked for when the client has taken this one.
    pub(crate) fn write_waits(&self) {
        self.progress.writing.waits(self.seat.now());
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.progress.writing.moved(bytes, self.seat.now());
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.seat.exchange_ends(self.number);
    }
}

impl Progress {
    /// For how long the client has kept us waiting, in milliseconds.
    pub(crate) fn owed(&self, limits: &Limits, now: u64) -> u64 {
        let reads = if self.arriving.load(Relaxed) { self.reading.owed(&limits.body, now) } else { 0 };
        reads.max(self.writing.now(now))
    }

    pub(crate) fn is_overdue(&self, limits: &Limits, now: u64) -> bool {
        let reads = self.arriving.load(Relaxed) && self.reading.overdue(&limits.body, now);
        reads || self.writing.overdue(&limits.answer, now)
    }
}
