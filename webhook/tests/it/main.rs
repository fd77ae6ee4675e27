//! The service from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deliveries;
mod doctor;
mod github;
mod renamed;
mod service;
mod strangers;
