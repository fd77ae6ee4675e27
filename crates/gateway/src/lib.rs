//! The HTTP front of a host: sends a host name and a path to the tasks of the active release. A process of its own, so
//! that traffic flows whatever becomes of the service; it is told what to do over a Unix socket
//! ([`windlass_core::gateway`]) and remembers it in a snapshot.
//!
//! A request's way: `worker` (a thread with its own runtime, listener and pool) → `proxy` → `router` → `service` →
//! `target` → `pool`. A command's way: `control` → `switchboard`, which alone changes the table that the workers read.

mod access_log;
mod body;
mod certificates;
mod client;
mod control;
mod drain;
mod entry;
mod error;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod handover;
mod headers;
mod health;
mod hold;
mod insist;
mod lineage;
mod maintenance;
mod meters;
mod metrics;
mod options;
mod own_socket;
mod pages;
mod passage;
mod path;
mod patience;
mod pool;
mod proxy;
mod refusal;
mod request_id;
mod router;
mod seen;
mod server;
mod service;
mod serving;
mod snapshot;
mod spec;
mod switchboard;
mod target;
mod tls;
mod tunnel;
mod worker;

pub use error::GatewayError;
pub use options::{GatewayOptions, RequestLimits};
pub use server::{Gateway, run};
pub use windlass_listen::{Limits, Patience};
