//! Bodies on their way through a connection: they tell its seat how they get on, and when they end.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use http_body::{Body, Frame, SizeHint};

use crate::exchange::Exchange;
use crate::seat::Seat;

/// A request's body.
pub struct Arriving<B> {
    body: B,
    told: Told,
}

/// Who is told of a request's body.
pub(crate) enum Told {
    /// The seat, of the only request that there is.
    Seat(Arc<Seat>, u64),
    /// One of several.
    Exchange(Arc<Exchange>),
}

/// An answer's body.
pub struct Leaving<B> {
    body: Source<B>,
    seat: Teller,
}

enum Source<B> {
    /// The server's own words.
    Text(Option<&'static str>),
    Of(B),
}

/// Who is told of an answer's body.
pub(crate) enum Teller {
    /// Nobody, where the connection is taken over for another protocol.
    Nobody,
    Seat(Arc<Seat>),
    /// One of several, with the length of the piece that the client is taking.
    Exchange(Arc<Exchange>, usize),
}

impl<B> Arriving<B> {
    pub(crate) fn new(body: B, told: Told) -> Self {
        Self { body, told }
    }

    fn ended(&self) {
        match &self.told {
            Told::Seat(seat, request) => seat.body_ended(*request),
            Told::Exchange(exchange) => exchange.body_ended(),
        }
    }
}

impl<B> Leaving<B> {
    pub(crate) fn new(body: B, seat: Teller) -> Self {
        Self { body: Source::Of(body), seat }
    }

    pub(crate) fn text(text: &'static str, seat: Teller) -> Self {
        Self { body: Source::Text(Some(text)), seat }
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
        let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) else {
            if let Told::Exchange(exchange) = &this.told {
                exchange.read_waits();
            }
            return Poll::Pending;
        };
        if let (Told::Exchange(exchange), Some(Ok(frame))) = (&this.told, &frame) {
            exchange.read(frame.data_ref().map_or(0, Buf::remaining));
        }
        if frame.is_none() || this.body.is_end_stream() {
            this.ended();
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
        self.ended();
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Leaving<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        if let Teller::Exchange(exchange, taken) = &mut this.seat {
            exchange.wrote(std::mem::take(taken));
        }
        let frame = match &mut this.body {
            Source::Text(text) => text.take().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))),
            Source::Of(body) => ready!(Pin::new(body).poll_frame(context)),
        };
        if let (Teller::Exchange(exchange, taken), Some(Ok(frame))) = (&mut this.seat, &frame) {
            *taken = frame.data_ref().map_or(0, Bytes::len);
            exchange.write_waits();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Source::Text(text) => text.is_none(),
            Source::Of(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Source::Text(text) => SizeHint::with_exact(text.map_or(0, |text| text.len() as u64)),
            Source::Of(body) => body.size_hint(),
        }
    }
}

impl<B> Drop for Leaving<B> {
    fn drop(&mut self) {
        match &self.seat {
            Teller::Seat(seat) => seat.answered(),
            // The exchange ends when nobody has it any more.
            Teller::Exchange(..) | Teller::Nobody => {}
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
