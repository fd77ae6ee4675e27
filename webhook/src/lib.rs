//! The service: takes GitHub's deliveries, keeps releases and deployments, runs them through their gate and their steps,
//! tells GitHub, and answers people and programs.

mod app;
mod background;
mod config;
mod doctor;
mod event;
mod gate;
pub mod github;
mod oidc;
mod pages;
mod planning;
mod runner;
mod serve;
mod server;
mod signature;
mod stage;
mod store;
pub mod tokens;
mod views;

pub use config::SettingsError;
pub use doctor::{Finding, doctor};
pub use serve::{ServeError, Service, installation, serve};
pub use store::StoreError;
pub use store::tokens::TokenRequest;
