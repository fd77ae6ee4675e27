//! What is known of one connection: what it does, and for how long it has kept us waiting.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::Context;
use std::time::Instant;

use futures_util::task::AtomicWaker;

use crate::early::Unsent;
use crate::head::Fault;
use crate::limits::Limits;
use crate::waiting::{Progress, Waiting, millis};

/// Part of a head has come, or nothing yet of a connection's first.
const HEAD: u8 = 0;
/// The last answer has ended.
const IDLE: u8 = 1;
/// A request is answered whose body comes.
const BODY: u8 = 2;
/// A request is answered, or something else than HTTP is spoken.
const BUSY: u8 = 3;

/// In milliseconds. Busy connections' pauses are shorter.
const UNTIL_REST: u64 = 1000;

/// One connection's. Written by it with every change, read when seats become scarce and once a while.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) address: IpAddr,
    begun: Instant,
    phase: AtomicU8,
    since: AtomicU64,
    pub(crate) reading: Waiting,
    pub(crate) writing: Waiting,
    /// How many requests there were; what is told of an earlier one counts no more.
    request: AtomicU64,
    /// Whether the last one's body is under way,
    arriving: AtomicBool,
    /// and whether its answer has ended.
    answered: AtomicBool,
    gone: AtomicBool,
    /// Whoever polls the connection, for whatever reason.
    pub(crate) reader: AtomicWaker,
    pub(crate) writer: AtomicWaker,
    pub(crate) server: AtomicWaker,
    pub(crate) unsent: Unsent,
    /// The last request that was answered, twice its number, and one more where the answer opened a tunnel.
    decided: AtomicU64,
    /// The request that is none, and why.
    refused: OnceLock<(u64, Fault)>,
    /// Nothing of it is kept but itself.
    rests: AtomicBool,
    /// Where there may be several requests at a time: those under way, by number.
    exchanges: OnceLock<Mutex<HashMap<u64, Arc<Progress>>>>,
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
            request: AtomicU64::new(0),
            arriving: AtomicBool::new(false),
            answered: AtomicBool::new(false),
            gone: AtomicBool::new(false),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            server: AtomicWaker::new(),
            unsent: Unsent::default(),
            decided: AtomicU64::new(0),
            refused: OnceLock::new(),
            rests: AtomicBool::new(false),
            exchanges: OnceLock::new(),
        }
    }

    pub(crate) fn read(&self, bytes: usize) {
        self.reading.moved(bytes, self.now());
        // Where requests come side by side, there is more than heads between them.
        if bytes > 0 && self.phase.load(Relaxed) == IDLE && self.exchanges.get().is_none() {
            self.enter(HEAD);
        }
    }

    pub(crate) fn read_waits(&self) {
        self.reading.waits(self.now());
    }

    pub(crate) fn wrote(&self, bytes: usize) {
        self.writing.moved(bytes, self.now());
        // Where requests come side by side, what is written between them is no answer.
        if self.phase.load(Relaxed) == IDLE && self.exchanges.get().is_none() {
            self.since.store(self.now(), Relaxed);
        }
    }

    pub(crate) fn write_waits(&self) {
        self.writing.waits(self.now());
    }

    /// A head is whole. Gives the request's number on this connection.
    pub(crate) fn asked(&self, has_body: bool) -> u64 {
        self.reading.reset();
        self.writing.reset();
        self.answered.store(false, SeqCst);
        self.arriving.store(has_body, SeqCst);
        let number = self.request.fetch_add(1, SeqCst) + 1;
        self.enter(if has_body { BODY } else { BUSY });
        number
    }

    /// The body of this request is whole, or nobody wants the rest.
    pub(crate) fn body_ended(&self, request: u64) {
        // An earlier one's may be dropped late.
        if self.request.load(SeqCst) != request || !self.arriving.swap(false, SeqCst) {
            return;
        }
        if self.answered.load(SeqCst) {
            self.enter(IDLE);
        } else {
            let _ = self.phase.compare_exchange(BODY, BUSY, Release, Relaxed);
        }
    }

    /// The answer has ended; maybe before the request's body has, which then is what is waited for.
    pub(crate) fn answered(&self) {
        self.answered.store(true, SeqCst);
        self.enter(if self.arriving.load(SeqCst) { BODY } else { IDLE });
    }

    /// A request is answered now, by a tunnel perhaps: then what comes is not HTTP any more.
    pub(crate) fn decide(&self, request: u64, tunnel: bool) {
        self.decided.store(2 * request + u64::from(tunnel), Release);
    }

    /// Whether a request's answer opened a tunnel. `None`: it is not answered yet.
    pub(crate) fn decided(&self, request: u64) -> Option<bool> {
        let decided = self.decided.load(Acquire);
        (decided / 2 == request).then_some(decided % 2 == 1)
    }

    /// What comes as this request must not be acted on.
    pub(crate) fn refuse(&self, request: u64, fault: Fault) {
        // There is one at the most: nothing is read behind it.
        let _ = self.refused.set((request, fault));
    }

    pub(crate) fn refused(&self, request: u64) -> Option<Fault> {
        self.refused.get().filter(|(number, _)| *number == request).map(|(_, fault)| *fault)
    }

    /// One of several requests at a time. Gives its number.
    pub(crate) fn exchange_begins(&self, progress: Arc<Progress>) -> u64 {
        let number = self.request.fetch_add(1, SeqCst) + 1;
        self.exchanges().insert(number, progress);
        self.enter(BUSY);
        number
    }

    pub(crate) fn exchange_ends(&self, number: u64) {
        let mut exchanges = self.exchanges();
        exchanges.remove(&number);
        if exchanges.is_empty() {
            self.enter(IDLE);
        }
    }

    fn exchanges(&self) -> MutexGuard<'_, HashMap<u64, Arc<Progress>>> {
        self.exchanges.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The most that any of the requests at a time says.
    fn of_exchanges(&self, said: impl Fn(&Progress) -> Option<u64>) -> Option<u64> {
        self.exchanges.get()?;
        self.exchanges().values().filter_map(|progress| said(progress)).max()
    }

    fn enter(&self, phase: u8) {
        self.since.store(self.now(), Relaxed);
        self.phase.store(phase, Release);
    }

    /// Where it stands, and since when at the earliest: who sees the phase sees the time that was written before it.
    fn stands(&self) -> (u8, u64) {
        let phase = self.phase.load(Acquire);
        (phase, self.since.load(Relaxed))
    }

    /// For how long the client has kept us waiting, in milliseconds; 0 while it is we who are at work. Who sends a body as
    /// fast as it has to keeps nobody waiting by its length.
    pub(crate) fn kept_waiting(&self, limits: &Limits) -> u64 {
        let now = self.now();
        let writes = self.writing.now(now);
        match self.stands() {
            (HEAD | IDLE, since) if !self.writing.is_waiting() => now.saturating_sub(since).max(1),
            (BODY, _) => self.reading.owed(&limits.body, now).max(writes),
            _ => self.of_exchanges(|progress| Some(progress.owed(limits, now))).unwrap_or_default().max(writes),
        }
    }

    /// Whether patience with it is over, and with what.
    pub(crate) fn overdue(&self, limits: &Limits) -> Option<&'static str> {
        let now = self.now();
        if self.writing.overdue(&limits.answer, now) {
            return Some("reading its answer");
        }
        let writes = self.writing.is_waiting();
        let (phase, since) = self.stands();
        let waited = now.saturating_sub(since);
        match phase {
            HEAD if !writes && waited > millis(limits.head) => Some("its request's head"),
            IDLE if !writes && waited > millis(limits.idle) => Some("its next request"),
            BODY if self.reading.overdue(&limits.body, now) => Some("its request's body"),
            BUSY => self
                .of_exchanges(|progress| progress.is_overdue(limits, now).then_some(1))
                .map(|_| "one of its requests"),
            _ => None,
        }
    }

    /// Part of a head, or nothing, has come.
    pub(crate) fn has_no_head(&self) -> bool {
        matches!(self.stands().0, HEAD | IDLE) && !self.writing.is_waiting()
    }

    /// Whether it has had nothing to do for so long that it is better kept without what the next request needs. In this
    /// phase nothing is left to be written, unless that waits, and a byte that comes ends it.
    pub(crate) fn should_rest(&self) -> bool {
        let (phase, since) = self.stands();
        let idle = phase == IDLE && !self.writing.is_waiting() && self.exchanges.get().is_none();
        idle && self.now().saturating_sub(since) > UNTIL_REST
    }

    pub(crate) fn set_rests(&self, rests: bool) {
        self.rests.store(rests, Relaxed);
    }

    /// Tells the connection that it should rest, once.
    pub(crate) fn lay_down(&self) {
        if self.should_rest() && !self.rests.load(Relaxed) {
            self.server.wake();
        }
    }

    /// Ends the connection, whatever it does.
    pub(crate) fn send_away(&self) {
        self.gone.store(true, Release);
        for waker in [&self.reader, &self.writer, &self.server] {
            waker.wake();
        }
    }

    pub(crate) fn is_sent_away(&self) -> bool {
        self.gone.load(Acquire)
    }

    /// The same, for whoever would hear of it.
    pub(crate) fn sent_away(&self, waker: &AtomicWaker, context: &Context<'_>) -> bool {
        waker.register(context.waker());
        self.is_sent_away()
    }

    pub(crate) fn now(&self) -> u64 {
        millis(self.begun.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat() -> Seat {
        Seat::new("192.0.2.1".parse().unwrap())
    }

    #[test]
    fn a_body_that_outlasts_its_answer_is_waited_for_as_a_body() {
        let seat = seat();
        let first = seat.asked(true);
        seat.answered();
        seat.read(1000);
        assert_eq!(seat.stands().0, BODY);
        assert!(!seat.has_no_head(), "a server that stops does not cut it");
        seat.body_ended(first);
        assert_eq!(seat.stands().0, IDLE);
    }

    #[test]
    fn what_is_told_late_of_an_earlier_request_counts_no_more() {
        let seat = seat();
        let first = seat.asked(true);
        seat.answered();
        seat.asked(true);
        seat.body_ended(first);
        assert_eq!(seat.stands().0, BODY);
    }

    #[test]
    fn a_body_that_comes_as_fast_as_it_has_to_owes_nothing() {
        let limits = Limits::service();
        let seat = seat();
        seat.asked(true);
        seat.reading.waited.store(600_000, Relaxed);
        assert!(seat.kept_waiting(&limits) > 500_000);
        seat.read(600 * 1024 * 1024);
        assert_eq!(seat.kept_waiting(&limits), 0);
    }
}
