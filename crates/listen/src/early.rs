//! Heads that go out while an answer is still awaited: `103 Early Hints` and their like (RFC 8297). hyper's server writes
//! final answers only, so they go past it, at a moment when nothing of its own is left to be written.

use std::future::poll_fn;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use futures_util::task::AtomicWaker;

use crate::seat::Seat;

/// So much of one request's may wait for its client. What is beyond is left out: it is no more than a hint.
const MOST: usize = 16 * 1024;

/// One connection's, between a request and its answer.
#[derive(Debug, Default)]
pub(crate) struct Unsent {
    heads: Mutex<Heads>,
    /// Whoever waits for them to be out.
    out: AtomicWaker,
}

#[derive(Debug, Default)]
struct Heads {
    bytes: Vec<u8>,
    sent: usize,
}

/// The way past the answer, among a request's extensions. A client of HTTP/1.0 has none.
#[derive(Debug, Clone)]
pub struct Early(Arc<Seat>);

impl Early {
    pub(crate) fn new(seat: Arc<Seat>) -> Self {
        Self(seat)
    }

    /// Sends a whole head, its empty line included, as soon as the client takes it. Only before the answer is given.
    pub fn send(&self, head: &[u8]) {
        let mut heads = self.0.unsent.lock();
        if heads.bytes.len() + head.len() <= MOST {
            heads.bytes.extend_from_slice(head);
            drop(heads);
            self.0.server.wake();
        }
    }

    /// Waits until all are out, so that the answer comes behind them. Only on the connection's own task.
    pub async fn sent(&self) {
        poll_fn(|context| {
            if self.0.unsent.lock().bytes.is_empty() {
                return Poll::Ready(());
            }
            // In time: it is this same task that writes them.
            self.0.unsent.out.register(context.waker());
            Poll::Pending
        })
        .await;
    }
}

impl Unsent {
    /// Writes what is there, and tells whether that was all.
    pub(crate) fn write<E>(&self, mut write: impl FnMut(&[u8]) -> Poll<Result<usize, E>>) -> Poll<Result<(), E>> {
        let mut heads = self.lock();
        while heads.sent < heads.bytes.len() {
            match write(&heads.bytes[heads.sent..]) {
                Poll::Ready(Ok(bytes)) => heads.sent += bytes,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return Poll::Pending,
            }
        }
        if !heads.bytes.is_empty() {
            *heads = Heads::default();
            drop(heads);
            self.out.wake();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether a part of a head is out, and its rest is not.
    pub(crate) fn has_begun(&self) -> bool {
        self.lock().sent > 0
    }

    fn lock(&self) -> MutexGuard<'_, Heads> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
