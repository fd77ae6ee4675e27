//! What each endpoint does to the model and answers.

pub(super) mod actions;
pub(super) mod app;
pub(super) mod checks;
pub(super) mod comments;
pub(super) mod commits;
pub(super) mod deployments;
pub(super) mod hooks;
pub(super) mod repositories;
