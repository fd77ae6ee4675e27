//! Both servers' way in: connections are taken within bounds that hold whoever is outside.
//!
//! HTTP/1.1 is read strictly: `framing` follows each connection's requests, and hyper gets no head that was not looked at
//! whole. [`Limits`] says how many connections there may be, how long a client may keep us waiting and how much memory it may
//! hold. [`Seats`] knows all connections of a process: when all seats are taken, whoever has kept us waiting longest gives
//! way, so that clients who say nothing keep out nobody who has something to say. [`Door`] accepts, and [`serve_client`]
//! serves one connection on any runtime; [`serve()`] is both for a whole server.

mod bodies;
mod chunks;
mod connection;
mod door;
mod early;
mod exchange;
mod framing;
#[cfg(fuzzing)]
pub mod fuzzing;
mod head;
mod intake;
mod lent;
mod limits;
mod line;
mod proxy_protocol;
mod seat;
mod seats;
mod seldom;
mod serve;
mod waiting;

pub use bodies::{Arriving, Leaving};
pub use connection::Connection;
pub use door::Door;
pub use early::Early;
pub use exchange::Stay;
pub use head::is_host;
pub use limits::{Limits, Patience, open_files};
pub use seats::{Seats, Share, group};
pub use seldom::Seldom;
pub use serve::{Peer, serve, serve_client};
