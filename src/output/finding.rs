//! A list of what was looked at, with what is wrong and what to do.

use serde::Serialize;

#[cfg(feature = "service")]
use super::YELLOW;
use super::{DIM, GREEN, RED};
use crate::error::{CommandError, Status};

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(crate) struct Finding {
    pub(crate) name: String,
    state: State,
    /// What was found, or what is wrong.
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    /// It works without, but not as well.
    #[cfg(feature = "service")]
    Warning,
    Failed,
    /// There was nothing to look at, which need not be wrong.
    Skipped,
}

impl Finding {
    /// Shows all of them; the command has failed if any has.
    pub(crate) fn report(findings: &[Self], json: bool) -> Result<Status, CommandError> {
        if json {
            super::json(&findings)?;
        } else {
            findings.iter().try_for_each(Self::show)?;
        }
        let sick = findings.iter().any(|finding| finding.state == State::Failed);
        Ok(if sick { Status::Failed } else { Status::Done })
    }

    /// What came of a check that either holds or says why not.
    pub(crate) fn of(name: &str, checked: Result<String, CommandError>) -> Self {
        match checked {
            Ok(found) => Self::ok(name, found),
            Err(error) => Self::failed(name, error.summary(), error.advice()),
        }
    }

    pub(crate) fn ok(name: &str, found: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Ok, found: found.into(), hint: None }
    }

    pub(crate) fn failed(name: &str, wrong: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { name: name.to_owned(), state: State::Failed, found: wrong.into(), hint: hint.into() }
    }

    #[cfg(feature = "service")]
    pub(crate) fn warning(name: &str, wrong: impl Into<String>, hint: impl Into<Option<String>>) -> Self {
        Self { name: name.to_owned(), state: State::Warning, found: wrong.into(), hint: hint.into() }
    }

    pub(crate) fn skipped(name: &str, why: impl Into<String>) -> Self {
        Self { name: name.to_owned(), state: State::Skipped, found: why.into(), hint: None }
    }

    fn show(&self) -> Result<(), CommandError> {
        let (word, style) = match self.state {
            State::Ok => ("ok     ", GREEN),
            #[cfg(feature = "service")]
            State::Warning => ("warning", YELLOW),
            State::Failed => ("failed ", RED),
            State::Skipped => ("skipped", DIM),
        };
        super::result(&format!("{style}{word}{style:#}  {}: {}", self.name, self.found))?;
        match &self.hint {
            Some(hint) => super::result(&format!("         hint: {hint}")),
            None => Ok(()),
        }
    }
}
