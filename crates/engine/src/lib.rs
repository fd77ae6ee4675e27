//! Observes Docker hosts, executes one step of a plan at a time, and speaks to gateways. It decides nothing: every
//! name, order and generation comes from the plan.
//!
//! What another process might have done meanwhile is always looked at again: each call may be repeated after a crash
//! and ends in the same place. Nothing is touched that does not carry this installation's label.

mod boot;
mod cleanup;
mod docker;
mod engine;
mod error;
mod events;
mod execute;
mod exit;
mod gateway;
mod health;
mod images;
mod join;
mod logs;
mod mounts;
mod network;
mod observe;
mod one_off;
mod program;
mod revive;
mod sandbox;
mod stop;

pub use boot::BootOutcome;
pub use engine::Engine;
pub use error::{EngineError, GatewayError};
pub use events::{HostEvent, TaskChange, TaskEvent};
pub use execute::{Host, Hosts, Progress, ServicePages, StepContext};
pub use gateway::GatewayClient;
pub use images::{HealthTimes, ImageFacts, NoFile, Prepared, Removal};
pub use join::Identities;
pub use logs::LogOptions;
pub use one_off::TimeLimit;
pub use revive::FoundContainer;
pub use sandbox::bounds_logs;
