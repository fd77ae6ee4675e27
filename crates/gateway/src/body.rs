//! Bodies as they pass: nothing is collected, a piece that arrives is a piece that leaves.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use tokio::time::{Instant, Sleep};
use windlass_listen::Arriving;

use crate::forwarded;
use crate::patience::Sending;
use crate::pool::Connection;
use crate::target::InFlight;

/// What goes to a target.
#[derive(Debug)]
pub(crate) enum RequestBody {
    Empty,
    Streaming(Box<Streaming>),
}

/// A client's body on its way.
#[derive(Debug)]
pub(crate) struct Streaming {
    body: Arriving<Incoming>,
    /// So many bytes of it may still come.
    left: Option<u64>,
    sending: Arc<Sending>,
    /// The client waits for the app's word before it sends (RFC 9110, section 10.1.1).
    expects: bool,
}

impl RequestBody {
    /// `expects`: not a byte of it is asked for before the app has said so.
    pub(crate) fn new(body: Arriving<Incoming>, most: Option<u64>, expects: bool) -> Self {
        if body.is_end_stream() {
            return Self::Empty;
        }
        let sending = Arc::new(Sending::new(!expects));
        Self::Streaming(Box::new(Streaming { body, left: most, sending, expects }))
    }

    /// How its sending goes.
    pub(crate) fn sending(&self) -> Option<Arc<Sending>> {
        match self {
            Self::Empty => None,
            Self::Streaming(streaming) => Some(Arc::clone(&streaming.sending)),
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Streaming(streaming) => {
                let Streaming { body, left, sending, expects } = &mut **streaming;
                if *expects && !sending.is_wanted(context) {
                    return Poll::Pending;
                }
                let mut frame =
                    ready!(Pin::new(&mut *body).poll_frame(context)).map(|frame| frame.map_err(BodyError::Broken));
                if let (Some(left), Some(Ok(frame))) = (left, &frame) {
                    let come = frame.data_ref().map_or(0, |data| data.len() as u64);
                    match left.checked_sub(come) {
                        Some(rest) => *left = rest,
                        None => return Poll::Ready(Some(Err(BodyError::TooLarge))),
                    }
                }
                if frame.is_none() || body.is_end_stream() {
                    sending.ended();
                }
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
            Self::Streaming(streaming) => streaming.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Streaming(streaming) => streaming.body.size_hint(),
        }
    }
}

/// Why a client's body comes to no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the client's body broke: {0}")]
    Broken(hyper::Error),
    #[error("the client's body is larger than it may be")]
    TooLarge,
}

/// Why an app's answer comes to no end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AnswerError {
    #[error("the app's answer broke: {0}")]
    Broken(hyper::Error),
    #[error("the request took longer than it may")]
    TimeOver,
}

/// What goes back to a client.
#[derive(Debug)]
pub(crate) enum ResponseBody {
    /// Our own words.
    Text(Option<Bytes>),
    /// What is for programs, made for this answer.
    Made(Option<Bytes>),
    /// A target's.
    Upstream(Upstream),
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = AnswerError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, AnswerError>>> {
        match self.get_mut() {
            Self::Text(text) | Self::Made(text) => Poll::Ready(text.take().map(|text| Ok(Frame::data(text)))),
            Self::Upstream(upstream) => {
                let over = upstream.time.as_mut().is_some_and(|time| time.as_mut().poll(context).is_ready());
                if over {
                    return Poll::Ready(Some(Err(AnswerError::TimeOver)));
                }
                let frame = ready!(Pin::new(&mut upstream.body).poll_frame(context));
                let frame = frame.map(|frame| frame.map_err(AnswerError::Broken));
                upstream.ended = frame.is_none();
                Poll::Ready(frame)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Text(text) => text.is_none(),
            Self::Made(text) => text.is_none(),
            Self::Upstream(upstream) => upstream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Text(text) | Self::Made(text) => {
                SizeHint::with_exact(text.as_ref().map_or(0, |text| text.len() as u64))
            }
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
    /// When the whole request's time is over.
    time: Option<Pin<Box<Sleep>>>,
}

impl Upstream {
    pub(crate) fn new(body: Incoming, connection: Connection, in_flight: InFlight, until: Option<Instant>) -> Self {
        let time = until.map(|until| Box::pin(tokio::time::sleep_until(until)));
        Self { body, ended: false, connection: Some(connection), _in_flight: in_flight, time }
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
