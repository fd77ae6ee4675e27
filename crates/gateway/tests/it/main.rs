//! A gateway from outside: real sockets, real backends, and its control socket.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod abuse;
mod access_log;
mod backend;
mod bounds;
mod client;
mod clients;
mod control;
mod corpus;
mod drain;
mod early;
mod forward;
mod handover;
mod harness;
mod health;
mod hold;
mod http2_frames;
mod limits;
mod maintenance;
mod metrics;
mod one_reading;
mod pages;
mod proxies;
mod request_id;
mod retry;
mod routing;
mod secure;
mod side_by_side;
mod snapshot;
mod streams;
mod succession;
mod switch;
