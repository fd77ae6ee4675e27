//! One request and its answer, where a connection has several at a time.

use std::sync::Arc;

use crate::seat::Seat;
use crate::waiting::Progress;

/// From the request's head to the last of its body and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    seat: Arc<Seat>,
    number: u64,
    progress: Arc<Progress>,
}

/// Keeps a connection from being taken for one that has nothing to do: for who goes on with a request when its answer's
/// body has ended. Among a request's extensions where there are several at a time.
#[derive(Debug, Clone)]
pub struct Stay(#[expect(dead_code, reason = "it is held, not used")] pub(crate) Arc<Exchange>);

impl Exchange {
    pub(crate) fn begin(seat: Arc<Seat>, has_body: bool) -> Arc<Self> {
        let progress = Arc::new(Progress::new(has_body));
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
        self.progress.body_ended();
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
