//! The service: takes GitHub's deliveries, keeps releases and deployments, runs them through their gate and their steps,
//! tells GitHub, and answers people and programs.

mod app;
mod audience;
mod background;
mod bounded_log;
mod catch_up;
mod claims;
mod comment;
mod config;
mod data_folder;
mod doctor;
mod event;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
pub mod github;
mod intake;
mod oidc;
mod pages;
mod planning;
mod readiness;
mod relevance;
mod runner;
#[cfg(test)]
mod scene;
mod serve;
mod server;
mod sight;
mod signature;
mod spool;
mod stage;
mod stale;
mod store;
pub mod tokens;
mod views;
mod wanting;

pub use config::SettingsError;
pub use data_folder::{Beginning, close_to_others};
pub use doctor::{Finding, Found, doctor};
pub use serve::{ServeError, Service, installation, serve};
pub use store::StoreError;
pub use store::tokens::TokenRequest;
