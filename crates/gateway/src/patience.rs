//! How long an app may take, and what of a request it has been sent by then.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Mutex, PoisonError};
use std::task::Context;
use std::time::Duration;

use futures_util::task::AtomicWaker;
use tokio::time::Instant;

/// A client that waits for the app's word before it sends does not wait for ever, and neither do we: an app that reads
/// without a word has said enough.
const EXPECTING: Duration = Duration::from_secs(1);

/// How a request's body goes out.
#[derive(Debug)]
pub(crate) struct Sending {
    wanted: AtomicBool,
    waker: AtomicWaker,
    ended: Mutex<Option<Instant>>,
}

/// The app's first byte did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoAnswer;

impl Sending {
    pub(crate) fn new(wanted: bool) -> Self {
        Self { wanted: AtomicBool::new(wanted), waker: AtomicWaker::new(), ended: Mutex::new(None) }
    }

    /// The app wants it.
    pub(crate) fn want(&self) {
        self.wanted.store(true, Release);
        self.waker.wake();
    }

    pub(crate) fn is_wanted(&self, context: &Context<'_>) -> bool {
        self.waker.register(context.waker());
        self.wanted.load(Acquire)
    }

    pub(crate) fn ended(&self) {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(Instant::now);
    }

    fn ended_at(&self) -> Option<Instant> {
        *self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Waits for an app's answer, but no longer than `first_byte` from the request's end, nor than `until`.
pub(crate) async fn answer_in_time<T>(
    answer: impl Future<Output = T>,
    sending: Option<&Sending>,
    first_byte: Duration,
    until: Option<Instant>,
) -> Result<T, NoAnswer> {
    let mut answer = std::pin::pin!(answer);
    let begun = Instant::now();
    if let Some(sending) = sending.filter(|sending| !sending.wanted.load(Acquire)) {
        if let Ok(answer) = tokio::time::timeout(EXPECTING, answer.as_mut()).await {
            return Ok(answer);
        }
        sending.want();
    }
    let mut deadline = begun + first_byte;
    loop {
        let next = until.map_or(deadline, |until| until.min(deadline));
        match tokio::time::timeout_at(next, answer.as_mut()).await {
            Ok(answer) => return Ok(answer),
            Err(_) if until.is_some_and(|until| until <= Instant::now()) => return Err(NoAnswer),
            Err(_) => match sending {
                None => return Err(NoAnswer),
                // The request is still on its way.
                Some(sending) => match sending.ended_at() {
                    None => deadline = Instant::now() + first_byte,
                    Some(ended) if ended + first_byte > Instant::now() => deadline = ended + first_byte,
                    Some(_) => return Err(NoAnswer),
                },
            },
        }
    }
}
