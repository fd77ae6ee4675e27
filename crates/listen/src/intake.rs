//! What comes in of HTTP/1.1 and was not handed on yet: parts of heads, until they are whole and known to be good.

use std::io::{self, ErrorKind};

use tokio::io::ReadBuf;

use crate::framing::{Framing, Rest};
use crate::head::Fault;
use crate::seat::Seat;

/// What hyper gets in the place of a head that is refused: a request that ends the connection, and whose answer is known
/// before it is asked. So the answers before it go out first.
const STAND_IN: &[u8] = b"GET / HTTP/1.1\r\nhost: -\r\nconnection: close\r\n\r\n";

/// One connection's.
#[derive(Debug)]
pub(crate) struct Intake {
    framing: Framing,
    held: Vec<u8>,
    /// So many of the bytes held are good.
    good: usize,
    next: Next,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    More,
    /// Nothing that comes is looked at any more.
    Nothing,
    /// The body that comes is none.
    Broken,
}

/// Whether more has to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Something was handed on.
    Given,
    /// Into the reader's own buffer,
    ReadThrough,
    /// or beside what is held.
    ReadBeside,
    /// Nothing will come any more.
    Over,
}

impl Intake {
    pub(crate) fn new(head_bytes: usize, fields: usize) -> Self {
        Self { framing: Framing::new(head_bytes, fields), held: Vec::new(), good: 0, next: Next::More }
    }

    /// Hands on what is held and good. Says otherwise what is to be done.
    pub(crate) fn give(&mut self, buffer: &mut ReadBuf<'_>, seat: &Seat) -> io::Result<Source> {
        if self.framing.is_undecided()
            && let Some(tunnel) = seat.decided(self.framing.next_head() - 1)
        {
            self.framing.decide(tunnel);
            self.look(seat);
        }
        if self.good > 0 {
            let count = self.good.min(buffer.remaining());
            buffer.put_slice(&self.held[..count]);
            self.held.drain(..count);
            self.good -= count;
            if self.held.is_empty() {
                // Most connections never need it again.
                self.held = Vec::new();
            }
            return Ok(Source::Given);
        }
        match self.next {
            Next::Nothing => Ok(Source::Over),
            Next::Broken => Err(io::Error::new(ErrorKind::InvalidData, "the request's body is broken")),
            Next::More if self.held.is_empty() => Ok(Source::ReadThrough),
            Next::More => Ok(Source::ReadBeside),
        }
    }

    /// Looks at what was read into the reader's own buffer, from `before` on, and takes back what is not good yet.
    pub(crate) fn read_through(&mut self, buffer: &mut ReadBuf<'_>, before: usize, seat: &Seat) {
        let come = &buffer.filled()[before..];
        let passage = self.framing.pass(come);
        self.held.extend_from_slice(&come[passage.good..]);
        buffer.set_filled(before + passage.good);
        self.follow(passage.rest, seat);
    }

    /// Looks at what was read beside what is held.
    pub(crate) fn read_beside(&mut self, come: &[u8], seat: &Seat) {
        self.held.extend_from_slice(come);
        self.look(seat);
    }

    fn look(&mut self, seat: &Seat) {
        let passage = self.framing.pass(&self.held[self.good..]);
        self.good += passage.good;
        self.follow(passage.rest, seat);
    }

    fn follow(&mut self, rest: Rest, seat: &Seat) {
        match rest {
            Rest::Waits => {}
            Rest::Refused(fault) => self.refuse(fault, seat),
            Rest::Broken => {
                self.held.truncate(self.good);
                self.next = Next::Broken;
            }
        }
    }

    fn refuse(&mut self, fault: Fault, seat: &Seat) {
        seat.refuse(self.framing.next_head(), fault);
        self.held.truncate(self.good);
        self.held.extend_from_slice(STAND_IN);
        self.good = self.held.len();
        self.next = Next::Nothing;
    }

    /// Whether the connection ends because of what came.
    pub(crate) fn is_over(&self) -> bool {
        self.next != Next::More
    }

    /// Whether there is something to hand on, or nothing more to wait for.
    pub(crate) fn is_ready(&self) -> bool {
        self.good > 0 || self.next != Next::More
    }

    /// So much may be held behind a request whose answer decides what it is.
    pub(crate) fn is_full(&self, most: usize) -> bool {
        self.held.len() >= most
    }
}
