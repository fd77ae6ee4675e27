//! Docker's own words: its filters, its times, its errors.

use std::collections::HashMap;
use std::error::Error as _;
use std::io::{self, ErrorKind};

use bollard::errors::Error;
use windlass_core::{Timestamp, reason};

use crate::engine::Engine;
use crate::error::EngineError;

/// What a list or a stream is narrowed to.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filters(HashMap<String, Vec<String>>);

impl Filters {
    pub(crate) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.0.entry(key.to_owned()).or_default().push(value.into());
        self
    }

    pub(crate) fn build(self) -> Option<HashMap<String, Vec<String>>> {
        Some(self.0)
    }
}

/// Docker writes the year 1 for "never".
pub(crate) fn time(text: Option<&str>) -> Option<Timestamp> {
    let time: Timestamp = text?.parse().ok()?;
    (time > Timestamp::UNIX_EPOCH).then_some(time)
}

/// The error and what lies below it: the outermost alone is often no more than "client error".
pub(crate) fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => return message.clone(),
        Error::IOError { err } => return plain(err),
        Error::SocketNotFoundError(_) => return plain(&ErrorKind::NotFound.into()),
        Error::RequestTimeoutError => return "it gave no answer in time".to_owned(),
        _ => {}
    }
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let text = error.to_string();
        if !words.contains(&text) {
            words = format!("{words}: {}", reason::plain(&text));
        }
        source = error.source();
    }
    words
}

/// Why there is no connection, without the number that the system has for it.
fn plain(error: &io::Error) -> String {
    match error.kind() {
        ErrorKind::NotFound => "there is no such socket".to_owned(),
        ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        ErrorKind::PermissionDenied => "permission denied".to_owned(),
        _ => reason::plain(&error.to_string()),
    }
}

/// Whether nobody answered: what was asked for may have been done or not.
pub(crate) const fn is_unreachable(error: &Error) -> bool {
    matches!(
        error,
        Error::HyperLegacyError { .. }
            | Error::HyperResponseError { .. }
            | Error::IOError { .. }
            | Error::RequestTimeoutError
            | Error::SocketNotFoundError(_)
    )
}

pub(crate) const fn status(error: &Error) -> Option<u16> {
    if let Error::DockerResponseServerError { status_code, .. } = error { Some(*status_code) } else { None }
}

impl Engine {
    /// `action` completes "could not …".
    pub(crate) fn error(&self, action: impl Into<String>, error: &Error) -> EngineError {
        let host = self.host().clone();
        let reason = words(error);
        if is_unreachable(error) {
            return EngineError::Unreachable { host, endpoint: self.endpoint().to_owned(), reason };
        }
        EngineError::Refused { host, action: action.into(), status: status(error), reason }
    }

    /// The same for a request about one container: 404 is a word of its own.
    pub(crate) fn container_error(&self, action: &str, name: &str, error: &Error) -> EngineError {
        match status(error) {
            Some(404) => EngineError::NoContainer { host: self.host().clone(), name: name.to_owned() },
            _ => self.error(format!("{action} {name}"), error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_year_one_is_never() {
        assert_eq!(time(Some("0001-01-01T00:00:00Z")), None);
        assert_eq!(time(None), None);
        assert!(time(Some("2026-11-21T22:00:00.123456789Z")).is_some());
    }
}
