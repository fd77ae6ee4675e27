//! Doors to what strangers' bytes meet first, for the targets in `fuzz/`. They exist only where cargo-fuzz builds.

use std::net::SocketAddr;

use futures_util::FutureExt as _;

use crate::framing::{Framing, Rest};
use crate::proxy_protocol;

/// What became of some bytes of HTTP/1.1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Passed {
    /// So many from the first were handed on; more is waited for.
    Good(usize),
    /// The same, and then came what is no head.
    Refused(usize, u16),
    /// There came a body that is none.
    Broken,
}

/// A head's size and fields, as small as can be read yet.
const MOST_BYTES: usize = 1024;
const MOST_FIELDS: usize = 16;

/// Reads as a connection does that gets its bytes in these pieces. No request's answer opens a tunnel.
#[must_use]
pub fn read_requests<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Passed {
    let mut framing = Framing::new(MOST_BYTES, MOST_FIELDS);
    let (mut held, mut good) = (Vec::new(), 0);
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let passage = framing.pass(&held);
            good += passage.good;
            held.drain(..passage.good);
            match passage.rest {
                Rest::Waits => {}
                Rest::Refused(fault) => return Passed::Refused(good, fault.status().as_u16()),
                Rest::Broken => return Passed::Broken,
            }
            if !framing.is_undecided() {
                break;
            }
            framing.decide(false);
            if held.is_empty() {
                break;
            }
        }
    }
    Passed::Good(good)
}

/// What a proxy says of a connection's client, and how much of what has come is the client's.
///
/// # Errors
///
/// When it says nothing that can be understood, or not all of it.
pub fn read_introduction(bytes: &[u8]) -> Result<(Option<SocketAddr>, usize), String> {
    let mut rest = bytes;
    let read = proxy_protocol::read(&mut rest).now_or_never().ok_or("it waits for what will not come")?;
    read.map(|client| (client, rest.len())).map_err(|error| error.to_string())
}
