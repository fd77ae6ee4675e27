//! Bodies on their way through a connection: they tell its seat when they end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use http_body::{Body, Frame, SizeHint};

use crate::seat::Seat;

/// A request's body.
pub struct Arriving<B> {
    body: B,
    seat: Arc<Seat>,
    request: u64,
}

/// An answer's body.
pub struct Leaving<B> {
    body: B,
    /// `None` where the connection is taken over for another protocol.
    seat: Option<Arc<Seat>>,
}

impl<B> Arriving<B> {
    pub(crate) fn new(body: B, seat: Arc<Seat>, request: u64) -> Self {
        Self { body, seat, request }
    }
}

impl<B> Leaving<B> {
    pub(crate) fn new(body: B, seat: Option<Arc<Seat>>) -> Self {
        Self { body, seat }
    }
}

impl<B: Body + Unpin> Body for Arriving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = self.get_mut();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        if frame.is_none() || this.body.is_end_stream() {
            this.seat.body_ended(this.request);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Arriving<B> {
    fn drop(&mut self) {
        self.seat.body_ended(self.request);
    }
}

impl<B: Body + Unpin> Body for Leaving<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        if let Some(seat) = &self.seat {
            seat.answered();
        }
    }
}

impl<B> fmt::Debug for Arriving<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Arriving").finish_non_exhaustive()
    }
}

impl<B> fmt::Debug for Leaving<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Leaving").finish_non_exhaustive()
    }
}
