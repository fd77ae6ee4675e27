//! The service: takes GitHub's deliveries, keeps releases and deployments, runs them through their gate and their steps,
//! tells GitHub, and answers people and programs.

mod at_work;
mod back_off;
mod background;
mod certificates;
mod config;
mod data_folder;
mod deploy;
mod doctor;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gate;
pub mod github;
mod http;
mod intake;
mod readiness;
mod release_config;
#[cfg(test)]
mod scene;
mod serve;
mod service;
mod sight;
mod store;
mod tell;
pub mod tokens;
#[cfg(test)]
mod told;
mod wake;
mod work;

pub use config::SettingsError;
pub use data_folder::{Beginning, FolderError, close_to_others};
pub use doctor::{Checked, Finding, doctor};
pub use serve::{Running, ServeError, installation, serve};
pub use store::StoreError;
pub use store::tokens::TokenRequest;
