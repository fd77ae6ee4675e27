//! A client's connection in its seat. It may be taken over for another protocol and keeps its seat then.

use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;

use crate::intake::{Intake, Source};
use crate::line::Line;
use crate::proxy_protocol;
use crate::seat::Seat;
use crate::seats::{Seats, Taking};

/// How a connection that speaks HTTP/2 without TLS begins (RFC 9113, section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// After a refusal so much is still read, so that the answer is not lost by what nobody read.
const MOST_UNREAD: usize = 1 << 20;
const PIECE: usize = 4096;

/// What a client speaks over.
#[derive(Debug)]
pub struct Connection {
    line: Line,
    taking: Taking,
    speaks: Speaks,
    /// Has come, and was not read yet.
    first: Vec<u8>,
    unread: usize,
}

#[derive(Debug)]
enum Speaks {
    Http1(Intake),
    Http2,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream, taking: Taking) -> Self {
        let limits = &taking.seats().limits;
        let intake = Intake::new(limits.head_bytes, limits.fields);
        Self { line: Line::Plain(stream), taking, speaks: Speaks::Http1(intake), first: Vec::new(), unread: 0 }
    }

    pub(crate) fn seat(&self) -> Arc<Seat> {
        Arc::clone(&self.taking.seat)
    }

    pub(crate) fn seats(&self) -> Arc<Seats> {
        self.taking.seats()
    }

    /// Whether requests come side by side.
    #[must_use]
    pub fn speaks_http2(&self) -> bool {
        matches!(self.speaks, Speaks::Http2)
    }

    /// Reads what a proxy says before the client's first byte: whom the connection is from (the PROXY protocol, 1 or 2).
    /// `None`: from the proxy itself.
    ///
    /// # Errors
    ///
    /// When it says nothing of the kind, has gone, or kept us waiting for too long.
    pub async fn introduced(mut self) -> io::Result<(Self, Option<SocketAddr>)> {
        let seat = self.seat();
        let client = or_sent_away(&seat, proxy_protocol::read(&mut self.line)).await?;
        Ok((self, client))
    }

    /// Waits for the first bytes, which say whether it is HTTP/2 with prior knowledge.
    ///
    /// # Errors
    ///
    /// When the client has gone, or kept us waiting for too long.
    pub async fn recognized(mut self) -> io::Result<Self> {
        while !self.first.starts_with(PREFACE) && PREFACE.starts_with(&self.first) {
            let mut piece = [0; PREFACE.len()];
            let wanted = PREFACE.len() - self.first.len();
            let seat = self.seat();
            let read = or_sent_away(&seat, self.line.read(&mut piece[..wanted])).await?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            seat.read(read);
            self.first.extend_from_slice(&piece[..read]);
        }
        if self.first.starts_with(PREFACE) {
            self.speaks = Speaks::Http2;
        } else if let Speaks::Http1(intake) = &mut self.speaks {
            let seat = Arc::clone(&self.taking.seat);
            intake.read_beside(&std::mem::take(&mut self.first), &seat);
        }
        Ok(self)
    }

    /// Waits until there is something to serve, with next to nothing of its own meanwhile. `false`: nothing will come.
    pub(crate) async fn has_head(&mut self) -> io::Result<bool> {
        let Self { line, taking, speaks: Speaks::Http1(intake), .. } = self else { return Ok(true) };
        let seat = &taking.seat;
        while !intake.is_ready() {
            let read = poll_fn(|context| {
                // Not a part of what waits.
                let mut piece = [0; PIECE];
                let mut piece = ReadBuf::new(&mut piece);
                ready!(poll_read(line, seat, context, &mut piece))?;
                intake.read_beside(piece.filled(), seat);
                Poll::Ready(Ok::<_, io::Error>(piece.filled().len()))
            });
            if read.await? == 0 {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Shakes hands. The client says then whether it wants HTTP/2.
    ///
    /// # Errors
    ///
    /// When there is no certificate for the client, it has gone, or it kept us waiting for too long.
    pub async fn secured(self, acceptor: &TlsAcceptor) -> io::Result<Self> {
        let Self { line, taking, mut speaks, first, unread } = self;
        let Line::Plain(stream) = line else { return Err(io::Error::other("it is secured already")) };
        let stream = or_sent_away(&taking.seat, acceptor.accept(stream)).await?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            speaks = Speaks::Http2;
        }
        Ok(Self { line: Line::Tls(Box::new(stream)), taking, speaks, first, unread })
    }

    /// What was agreed on in the handshake.
    #[must_use]
    pub fn agreed(&self) -> Option<&[u8]> {
        match &self.line {
            Line::Plain(_) => None,
            Line::Tls(stream) => stream.get_ref().1.alpn_protocol(),
        }
    }

    /// What hyper writes. An early head of which a part is out comes first.
    fn poll_write_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut Line>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let Self { line, taking, .. } = self;
        let seat = &taking.seat;
        if seat.unsent.has_begun() {
            ready!(write_early(line, seat, context))?;
        }
        poll_write(line, seat, context, write)
    }

    /// Heads are handed on whole, and only those that are good.
    fn poll_heads(&mut self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Self { line, taking, speaks, .. } = self;
        let Speaks::Http1(intake) = speaks else { return poll_read(line, &taking.seat, context, buffer) };
        let seat = &taking.seat;
        let before = buffer.filled().len();
        loop {
            match intake.give(buffer, seat)? {
                Source::Given => return Poll::Ready(Ok(())),
                // Its answer ends the connection; until then there is nothing to say.
                Source::Over => {
                    return if seat.sent_away(&seat.reader, context) {
                        Poll::Ready(Err(gone()))
                    } else {
                        Poll::Pending
                    };
                }
                Source::ReadThrough => {
                    ready!(poll_read(line, seat, context, buffer))?;
                    if buffer.filled().len() == before {
                        return Poll::Ready(Ok(()));
                    }
                    intake.read_through(buffer, before, seat);
                    if buffer.filled().len() > before {
                        return Poll::Ready(Ok(()));
                    }
                }
                Source::ReadBeside => {
                    if intake.is_full(2 * taking.seats().limits.head_bytes) {
                        return Poll::Pending;
                    }
                    let mut piece = [0; PIECE];
                    let mut piece = ReadBuf::new(&mut piece);
                    ready!(poll_read(line, seat, context, &mut piece))?;
                    if piece.filled().is_empty() {
                        return Poll::Ready(Ok(()));
                    }
                    intake.read_beside(piece.filled(), seat);
                }
            }
        }
    }
}

/// The same, but no longer than the client's patience with us lasts.
async fn or_sent_away<T>(seat: &Seat, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::select! {
        biased;
        done = work => done,
        () = poll_fn(|context| {
            if seat.sent_away(&seat.server, context) { Poll::Ready(()) } else { Poll::Pending }
        }) => Err(gone()),
    }
}

fn poll_read(
    line: &mut Line,
    seat: &Seat,
    context: &mut Context<'_>,
    buffer: &mut ReadBuf<'_>,
) -> Poll<io::Result<()>> {
    let before = buffer.filled().len();
    match Pin::new(line).poll_read(context, buffer) {
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

fn write_early(line: &mut Line, seat: &Seat, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    seat.unsent.write(|head| poll_write(line, seat, context, |line, context| line.poll_write(context, head)))
}

fn poll_write(
    line: &mut Line,
    seat: &Seat,
    context: &mut Context<'_>,
    write: impl FnOnce(Pin<&mut Line>, &mut Context<'_>) -> Poll<io::Result<usize>>,
) -> Poll<io::Result<usize>> {
    match write(Pin::new(line), context) {
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
        let this = self.get_mut();
        if !this.first.is_empty() {
            let count = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..count]);
            this.first.drain(..count);
            return Poll::Ready(Ok(()));
        }
        this.poll_heads(context, buffer)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(context, |line, context| line.poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.get_mut().poll_write_with(context, |line, context| line.poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.line.is_write_vectored()
    }

    /// Where hyper flushes, nothing of its own is left to be written: the one place where early heads cannot come
    /// between an answer's bytes.
    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { line, taking, .. } = self.get_mut();
        ready!(write_early(line, &taking.seat, context))?;
        Pin::new(line).poll_flush(context)
    }

    /// What a client sends behind a head that was refused is thrown away before the connection is closed: otherwise the
    /// system would take the answer back.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { line, taking, speaks, unread, .. } = self.get_mut();
        ready!(Pin::new(&mut *line).poll_shutdown(context))?;
        if !matches!(speaks, Speaks::Http1(intake) if intake.is_over()) {
            return Poll::Ready(Ok(()));
        }
        while *unread < MOST_UNREAD {
            let mut piece = [0; PIECE];
            let mut piece = ReadBuf::new(&mut piece);
            match ready!(poll_read(line, &taking.seat, context, &mut piece)) {
                Ok(()) if !piece.filled().is_empty() => *unread += piece.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}

fn gone() -> io::Error {
    io::Error::new(ErrorKind::TimedOut, "the client kept us waiting")
}
