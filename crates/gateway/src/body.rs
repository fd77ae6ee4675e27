//! Bodies as they pass: nothing is collected, a piece that arrives is a piece that leaves.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use windlass_listen::Arriving;

use crate::forwarded;
use crate::pool::Connection;
use crate::target::InFlight;

/// What goes to a target.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    Streaming(Arriving<Incoming>),
}

impl From<Arriving<Incoming>> for RequestBody {
    fn from(body: Arriving<Incoming>) -> Self {
        if body.is_end_stream() { Self::Empty } else { Self::Streaming(body) }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(body) => {
                let mut frame = ready!(Pin::new(body).poll_frame(context));
                // Who merges them with the head would take them for what we say ourselves.
                if let Some(trailers) = frame.as_mut().and_then(|it| it.as_mut().ok()).and_then(Frame::trailers_mut) {
                    forwarded::remove_claims(trailers);
                }
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Streaming(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(body) => body.size_hint(),
        }
    }
}

/// What goes back to a client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// Our own words.
    Text(Option<&'static str>),
    /// A target's.
    Upstream(Upstream),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Text(text) => {
                Poll::Ready(text.take().map(|text| Ok(Frame::data(Bytes::from_static(text.as_bytes())))))
            }
            Self::Upstream(upstream) => {
                let frame = ready!(Pin::new(&mut upstream.body).poll_frame(context));
                upstream.ended = frame.is_none();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Upstream(upstream) => upstream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) => SizeHint::with_exact(text.map_or(0, |text| text.len() as u64)),
            Self::Upstream(upstream) => upstream.body.size_hint(),
        }
    }
}

/// Keeps the request counted, and its connection away from others, until the last byte has been taken or the client
/// has gone.
#[derive(Debug)]
pub(crate) struct Upstream {
    body: Incoming,
    ended: bool,
    connection: Option<Connection>,
    _in_flight: InFlight,
}

impl Upstream {
    pub(crate) fn new(body: Incoming, connection: Connection, in_flight: InFlight) -> Self {
        Self { body, ended: false, connection: Some(connection), _in_flight: in_flight }
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take()
            && (self.ended || self.body.is_end_stream())
        {
            connection.give_back();
        }
    }
}
