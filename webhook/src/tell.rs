//! What GitHub is told: deployments with their statuses, and one comment on each merged pull request.

pub(crate) mod comment;
pub(crate) mod comments;
pub(crate) mod outbox;
pub(crate) mod view;
