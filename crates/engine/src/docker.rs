//! Docker's own words: its filters, its times, and its errors as an [`EngineError`].

use std::collections::HashMap;

use bollard::errors::Error;
use windlass_core::Timestamp;
use windlass_docker::{is_unreachable, status, words};

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
