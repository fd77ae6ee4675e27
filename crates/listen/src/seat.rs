//! What is known of one connection: what it does, and for how long it has kept us waiting.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering::Relaxed};
use std::task::Context;
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::early::Unsent;
use crate::limits::{Limits, Patience};

/// Part of a head has come, or nothing yet of a connection's first.
const HEAD: u8 = 0;
/// The last answer has ended.
const IDLE: u8 = 1;
/// A request is answered whose body comes.
const BODY: u8 = 2;
/// A request is answered, or something else than HTTP is spoken.
const BUSY: u8 = 3;

/// One connection's. Written by it with every change, read when seats become scarce and once a while.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) address: IpAddr,
    begun: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    pub(crate) reading: Waiting,
    pub(crate) writing: Waiting,
    gone: AtomicBool,
    /// Whoever polls the connection, for whatever reason.
    pub(crate) reader: AtomicWaker,
    pub(crate) writer: AtomicWaker,
    pub(crate) server: AtomicWaker,
    pub(crate) unsent: Unsent,
}

/// How much the client moved in one direction since the phase began, and how long it was waited for, in milliseconds.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    bytes: AtomicU64,
    waited: AtomicU64,
    /// One more than when it began; 0 while nobody waits.
    since: AtomicU64,
}

impl Seat {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self {
            address,
            begun: Instant::now(),
            phase: AtomicU8::new(HEAD),
            since: AtomicU64::new(0),
            reading: Waiting::default(),
            writing: Waiting::default(),
            gone: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            server: AtomicWaker::new(),
            unsent: Unsent::default(),
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.reading.moved(bytes, self.now());
        if bytes > 0 && self.phase.load(Relaxed) == IDLE {
            self.enter(HEAD);
        }
    }

    pub(crate) fn read_waits(&self) {
        self.reading.waits(self.now());
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.writing.moved(bytes, self.now());
        if self.phase.load(Relaxed) == IDLE {
            self.since.store(self.now(), Relaxed);
        }
    }

    pub(crate) fn write_waits(&self) {
        self.writing.waits(self.now());
    }

    /// A head is whole.
    pub(crate) fn asked(&self, has_body: bool) {
        self.reading.reset();
        self.writing.reset();
        self.enter(if has_body { BODY } else { BUSY });
    }

    /// The request's body is whole, or nobody wants the rest.
    pub(crate) fn body_ended(&self) {
        let _ = self.phase.compare_exchange(BODY, BUSY, Relaxed, Relaxed);
    }

    /// The answer has ended.
    pub(crate) fn answered(&self) {
        self.enter(IDLE);
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Relaxed);
        self.phase.store(phase, Relaxed);
    }

    /// For how long the client has kept us waiting, in milliseconds; 0 while it is we who are at work.
    pub(crate) fn kept_waiting(&self) -> u64 {
        let now = self.now();
        let writes = self.writing.now(now);
        match self.phase.load(Relaxed) {
            HEAD | IDLE if writes == 0 => (now - self.since.load(Relaxed).min(now)).max(1),
            BODY => self.reading.in_all(now).max(writes),
            _ => writes,
        }
    }

    /// Whether patience with it is over, and with what.
    pub(crate) fn overdue(&self, limits: &Limits) -> Option<&'static str> {
        let now = self.now();
        if self.writing.overdue(&limits.answer, now) {
            return Some("reading its answer");
        }
        let waited = now - self.since.load(Relaxed).min(now);
        let writes = self.writing.now(now) > 0;
        match self.phase.load(Relaxed) {
            HEAD if !writes && waited > millis(limits.head) => Some("its request's head"),
            IDLE if !writes && waited > millis(limits.idle) => Some("its next request"),
            BODY if self.reading.overdue(&limits.body, now) => Some("its request's body"),
            _ => None,
        }
    }

    /// Part of a head, or nothing, has come.
    pub(crate) fn has_no_head(&self) -> bool {
        matches!(self.phase.load(Relaxed), HEAD | IDLE) && self.writing.now(self.now()) == 0
    }

    /// Ends the connection, whatever it does.
    pub(crate) fn send_away(&self) {
        self.gone.store(true, std::sync::atomic::Ordering::Release);
        for waker in [&self.reader, &self.writer, &self.server] {
            waker.wake();
        }
    }

    pub(crate) fn is_sent_away(&self) -> bool {
        self.gone.load(std::sync::atomic::Ordering::Acquire)
    }

    /// The same, for whoever would hear of it.
    pub(crate) fn sent_away(&self, waker: &AtomicWaker, context: &Context<'_>) -> bool {
        waker.register(context.waker());
        self.is_sent_away()
    }

    fn now(&self) -> u64 {
        millis(self.begun.elapsed())
    }
}

impl Waiting {
    fn waits(&self, now: u64) {
        if self.since.load(Relaxed) == 0 {
            self.since.store(now + 1, Relaxed);
        }
    }

    fn moved(&self, bytes: usize, now: u64) {
        self.waited.fetch_add(self.now(now), Relaxed);
        self.since.store(0, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    fn reset(&self) {
        self.since.store(0, Relaxed);
        self.waited.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
    }

    /// How long nothing has moved that is waited for.
    fn now(&self, now: u64) -> u64 {
        match self.since.load(Relaxed) {
            0 => 0,
            since => (now + 1).saturating_sub(since),
        }
    }

    fn in_all(&self, now: u64) -> u64 {
        self.waited.load(Relaxed) + self.now(now)
    }

    fn overdue(&self, patience: &Patience, now: u64) -> bool {
        let earned = self.bytes.load(Relaxed).saturating_mul(1000) / patience.bytes_per_second.max(1);
        self.now(now) > millis(patience.stall)
            || self.now(now) > 0 && self.in_all(now) > millis(patience.grace).saturating_add(earned)
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
