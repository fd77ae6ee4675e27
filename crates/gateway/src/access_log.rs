//! The access log: a line for each request whose answer has ended or broken. A thread of its own writes it; when that cannot
//! follow, lines are left out and counted, and no request waits.

mod line;
mod sink;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::config::{AccessLog, AccessLogFormat};
use windlass_listen::Seldom;

pub(crate) use line::{End, Line};
use sink::Sink;

/// What may wait for the disk: so many lines,
const WAITING: usize = 8 * 1024;
/// and so many bytes, since a client chooses how long its line is.
const WAITING_BYTES: usize = 16 << 20;
/// Written at once, where so much waits.
const BATCH: usize = 64 << 10;
/// So long the last lines may hold up the end.
const CLOSING: Duration = Duration::from_secs(2);

/// Where requests hand in their lines.
#[derive(Debug)]
pub(crate) struct RequestLog {
    format: AccessLogFormat,
    lines: SyncSender<Entry>,
    state: Arc<State>,
    ended: CancellationToken,
}

/// What the writer is sent.
#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    /// Something in the state has changed.
    Look,
}

#[derive(Debug, Default)]
struct State {
    waiting_bytes: AtomicUsize,
    lost: AtomicU64,
    reopen: AtomicBool,
    ends: AtomicBool,
}

impl RequestLog {
    /// Opens it, and has it opened anew whenever the process is sent SIGHUP.
    pub(crate) fn start(config: AccessLog, shutdown: CancellationToken) -> io::Result<Arc<Self>> {
        let sink = Sink::open(config.file)?;
        let (lines, entries) = sync_channel(WAITING);
        let (state, ended) = (Arc::new(State::default()), CancellationToken::new());
        let writer = Writer { sink, entries, state: Arc::clone(&state), said: 0, _ended: ended.clone().drop_guard() };
        std::thread::Builder::new().name("access-log".to_owned()).spawn(move || writer.run())?;
        let log = Arc::new(Self { format: config.format, lines, state, ended });
        let mut hangups = signal(SignalKind::hangup())?;
        let reopened = Arc::downgrade(&log);
        tokio::spawn(shutdown.run_until_cancelled_owned(async move {
            while let (Some(()), Some(log)) = (hangups.recv().await, reopened.upgrade()) {
                log.state.reopen.store(true, Ordering::SeqCst);
                log.look();
            }
        }));
        Ok(log)
    }

    pub(crate) fn write(&self, line: &Line<'_>) {
        let line = line.written(self.format);
        let length = line.len();
        let fits = self.state.waiting_bytes.fetch_add(length, Ordering::Relaxed) + length <= WAITING_BYTES;
        if !fits || self.lines.try_send(Entry::Line(line)).is_err() {
            self.state.waiting_bytes.fetch_sub(length, Ordering::Relaxed);
            self.state.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many lines are missing from it.
    pub(crate) fn lost(&self) -> u64 {
        self.state.lost.load(Ordering::Relaxed)
    }

    /// Waits until what was handed in is written.
    pub(crate) async fn close(&self) {
        self.state.ends.store(true, Ordering::SeqCst);
        self.look();
        if tokio::time::timeout(CLOSING, self.ended.cancelled()).await.is_err() {
            tracing::warn!("the last lines of the access log are not written");
        }
    }

    fn look(&self) {
        // Where it is full, the writer is awake and looks by itself.
        if let Err(TrySendError::Disconnected(_)) = self.lines.try_send(Entry::Look) {
            tracing::debug!("the access log has ended");
        }
    }
}

/// The thread's.
struct Writer {
    sink: Sink,
    entries: Receiver<Entry>,
    state: Arc<State>,
    /// Of how many lost lines the log of the gateway tells.
    said: u64,
    _ended: DropGuard,
}

impl Writer {
    fn run(mut self) {
        let (failing, losing) = (Seldom::default(), Seldom::new(Duration::from_secs(10)));
        let mut batch = Vec::new();
        while let Ok(first) = self.entries.recv() {
            // Before looking for more: what comes while this is written is still to be written then.
            let mut ends = self.state.ends.load(Ordering::SeqCst);
            let mut lines = 0;
            let mut next = Ok(first);
            while let Ok(entry) = next {
                match entry {
                    Entry::Line(line) => {
                        self.state.waiting_bytes.fetch_sub(line.len(), Ordering::Relaxed);
                        batch.extend_from_slice(&line);
                        lines += 1;
                    }
                    Entry::Look => ends = self.state.ends.load(Ordering::SeqCst),
                }
                next = if batch.len() < BATCH { self.entries.try_recv() } else { break };
            }
            let is_all = batch.len() < BATCH;
            if let Err(error) = self.sink.write(&batch) {
                self.state.lost.fetch_add(lines, Ordering::Relaxed);
                if let Some(times) = failing.count() {
                    tracing::error!(%error, times, access_log.path = %self.sink, "the access log cannot be written; it is tried again with each line");
                }
            }
            batch.clear();
            if self.state.reopen.swap(false, Ordering::SeqCst) {
                self.reopen();
            }
            let lost = self.state.lost.load(Ordering::Relaxed);
            if lost > self.said && losing.count().is_some() {
                tracing::warn!(lines = lost - self.said, access_log.path = %self.sink, "requests are missing from the access log");
                self.said = lost;
            }
            if ends && is_all {
                return;
            }
        }
    }

    fn reopen(&mut self) {
        match self.sink.reopen() {
            Ok(()) => tracing::info!(access_log.path = %self.sink, "access log opened anew"),
            Err(error) => {
                tracing::error!(%error, access_log.path = %self.sink, "the access log cannot be opened anew; it goes on in the file that is open");
            }
        }
    }
}
