//! The service: deliveries, gate, runner, API and pages.

mod event;
pub mod github;
mod signature;
