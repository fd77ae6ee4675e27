//! One file per command: what it takes, and what it does.

pub(crate) mod app;
pub(crate) mod build;
pub(crate) mod cancel;
pub(crate) mod completions;
pub(crate) mod config;
#[cfg(feature = "demo")]
pub(crate) mod demo;
pub(crate) mod deploy;
pub(crate) mod doctor;
mod follow;
#[cfg(feature = "service")]
pub(crate) mod gateway;
pub(crate) mod hold;
pub(crate) mod init;
mod interrupt;
pub(crate) mod lock;
pub(crate) mod plan;
pub(crate) mod release;
pub(crate) mod rollback;
#[cfg(feature = "service")]
pub(crate) mod serve;
#[cfg(feature = "service")]
mod server_file;
pub(crate) mod status;
#[cfg(feature = "service")]
mod stop;
pub(crate) mod task;
#[cfg(feature = "service")]
pub(crate) mod token;
