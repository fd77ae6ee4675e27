//! Locks of people: `S/lock`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT S/lock`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewLock {
    /// Why: shown to everybody who waits for it.
    pub reason: String,
}

/// A person's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LockView {
    pub by: String,
    pub reason: String,
    pub since: Timestamp,
}

/// `GET S/lock`, and what taking it answers. Its ETag is the mark by which only this lock is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ShownLock {
    #[serde(flatten)]
    pub lock: LockView,
    /// Whether whoever asks has locked.
    #[serde(default)]
    pub yours: bool,
}
