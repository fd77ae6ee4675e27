//! The words of Windlass, its two configuration files, the verdict, the plan, the deployment and the messages that
//! its processes exchange. Nothing in here does I/O or asks for the time: callers hand in what was observed and when.

pub mod api;
pub mod compatibility;
pub mod config;
pub mod deployment;
pub mod exec;
pub mod gateway;
pub mod hint;
pub mod labels;
pub mod names;
pub mod notice;
pub mod plain;
pub mod plan;
pub mod platform;
pub mod problem;
pub mod proxies;
pub mod quantity;
pub mod reason;
pub mod report;
mod schema;
pub mod secrets;
pub mod sign_in;
pub mod spelling;
pub mod stage;
pub mod subnet;
pub mod task;
pub mod verdict;
pub mod way_back;

pub use jiff::Timestamp;
