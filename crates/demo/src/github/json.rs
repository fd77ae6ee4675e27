//! How the model looks from outside: GitHub's JSON, valid for its published descriptions and no longer than that asks.

pub(super) mod actions;
pub(super) mod app;
pub(super) mod checks;
pub(super) mod comments;
pub(super) mod commits;
pub(super) mod deployments;
pub(super) mod hooks;
pub(super) mod pull_requests;
pub(super) mod repositories;

use jiff::Timestamp;
use serde_json::Value;

/// Where people look at things. The API's own address is the model's.
pub(super) const HTML: &str = "https://github.com";

/// As GitHub writes times: whole seconds, UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// An object with more members.
pub(super) fn with(mut object: Value, more: Value) -> Value {
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}
