//! How long a client has kept us waiting, in each direction.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::atomic::{AtomicBool, AtomicU64};

use crate::limits::{Limits, Patience};

/// How much the client moved in one direction since the phase began, and how long it was waited for, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    bytes: AtomicU64,
    pub(crate) waited: AtomicU64,
    /// One more than when it began; 0 while nobody waits.
    since: AtomicU64,
}

impl Waiting {
    pub(crate) fn waits(&self, now: u64) {
        if self.since.load(Relaxed) == 0 {
            self.since.store(now + 1, Relaxed);
        }
    }

    pub(crate) fn moved(&self, bytes: usize, now: u64) {
        self.waited.fetch_add(self.now(now), Relaxed);
        self.since.store(0, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn reset(&self) {
        self.since.store(0, Relaxed);
        self.waited.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// From its first millisecond on.
    pub(crate) fn is_waiting(&self) -> bool {
        self.since.load(Relaxed) != 0
    }

    /// How long it was waited for beyond what its bytes are worth, or is waited for now.
    pub(crate) fn owed(&self, patience: &Patience, now: u64) -> u64 {
        self.in_all(now).saturating_sub(self.earned(patience)).max(self.now(now))
    }

    fn earned(&self, patience: &Patience) -> u64 {
        self.bytes.load(Relaxed).saturating_mul(1000) / patience.bytes_per_second.max(1)
    }

    /// How long nothing has moved that is waited for.
    pub(crate) fn now(&self, now: u64) -> u64 {
        match self.since.load(Relaxed) {
            0 => 0,
            since => (now + 1).saturating_sub(since),
        }
    }

    fn in_all(&self, now: u64) -> u64 {
        self.waited.load(Relaxed) + self.now(now)
    }

    pub(crate) fn overdue(&self, patience: &Patience, now: u64) -> bool {
        let earned = self.earned(patience);
        self.now(now) > millis(patience.stall)
            || self.now(now) > 0 && self.in_all(now) > millis(patience.grace).saturating_add(earned)
    }
}

/// How one of several requests at a time gets on, as far as the client is concerned.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    pub(crate) reading: Waiting,
    pub(crate) writing: Waiting,
    arriving: AtomicBool,
}

impl Progress {
    pub(crate) fn new(has_body: bool) -> Self {
        Self { arriving: AtomicBool::new(has_body), ..Self::default() }
    }

    /// The body is whole, or nobody wants the rest.
    pub(crate) fn body_ended(&self) {
        self.arriving.store(false, Relaxed);
    }

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

/// In whole milliseconds.
pub(crate) fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
