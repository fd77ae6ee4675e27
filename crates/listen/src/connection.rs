//! A client's connection in its seat. It may be taken over for another protocol and keeps its seat then.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::seat::Seat;
use crate::seats::{Seats, Taking};

/// What a client speaks over.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    taking: Taking,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, taking: Taking) -> Self {
        Self { stream, taking }
    }

    pub(crate) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.taking.seat)
    }

    pub(crate) fn seats(&self) -> Arc<Seats> {
        self.taking.seats()
    }

    /// What hyper writes. An early head of which a part is out comes first.
    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Self { stream, taking } = self;
        let seat = &taking.seat;
        if seat.unsent.has_begun() {
            ready!(write_early(stream, seat, context))?;
        }
        poll_write(stream, seat, context, write)
    }
}

fn write_early(stream: &mut TcpStream, seat: &Seat, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    seat.unsent.write(|head| poll_write(stream, seat, context, |stream, context| stream.poll_write(context, head)))
}

fn poll_write(
    stream: &mut TcpStream,
    seat: &Seat,
    context: &mut Context<'_>,
    write: impl FnOnce(Pin<&mut TcpStream>, &mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    match write(Pin::new(stream), context) {
        Poll::Ready(Ok(bytes)) => {
            seat.wrote(bytes);
            Poll::Ready(Ok(bytes))
        }
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
        Poll::Pending => {
            seat.write_waits();
            if seat.sent_away(&seat.writer, context) { Poll::Ready(Err(gone())) } else { Poll::Pending }
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { stream, taking } = self.get_mut();
        let seat = &taking.seat;
        let before = buffer.filled().len();
        match Pin::new(stream).poll_read(context, buffer) {
            Poll::Ready(Ok(())) => {
                seat.read(buffer.filled().len() - before);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                seat.read_waits();
                if seat.sent_away(&seat.reader, context) { Poll::Ready(Err(gone())) } else { Poll::Pending }
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(context, |stream, context| stream.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(context, |stream, context| stream.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    /// Where hyper flushes, nothing of its own is left to be written: the one place where early heads cannot come
    /// between an answer's bytes.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, taking } = self.get_mut();
        ready!(write_early(stream, &taking.seat, context))?;
        Pin::new(stream).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(context)
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client kept us waiting")
}
