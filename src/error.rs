//! How a command ends: its exit status, and what is said when it did not do what it was asked to.

use std::process::ExitCode;

use windlass_core::config::ConfigError;
use windlass_core::deployment::{DeploymentState, Failure};
use windlass_core::names::InvalidName;
use windlass_core::problem::Problem;

/// The exit status, by meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Done,
    /// Tried, and it did not work.
    Failed,
    /// Wrong use, or a wrong configuration.
    Misused,
    /// Not allowed by the gate, a lock or a policy.
    Refused,
    /// Somebody pressed Ctrl-C.
    Interrupted,
    /// A task's own.
    Task(u8),
    /// `task run` could not run the task.
    NotRun,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Done => 0,
            Status::Failed => 1,
            Status::Misused => 2,
            Status::Refused => 3,
            Status::Interrupted => 130,
            Status::Task(code) => code,
            Status::NotRun => 125,
        })
    }
}

impl From<DeploymentState> for Status {
    /// A deployment that has not said its last word was not waited for: what was asked for is done.
    fn from(state: DeploymentState) -> Self {
        match state {
            DeploymentState::Waiting | DeploymentState::Running | DeploymentState::Succeeded => Self::Done,
            DeploymentState::Failed | DeploymentState::Cancelled => Self::Failed,
            DeploymentState::Refused | DeploymentState::Superseded => Self::Refused,
        }
    }
}

/// Why a command did not do what it was asked to, and what its user can do.
#[derive(Debug)]
pub(crate) struct CommandError(Box<Said>);

/// What there is to say; apart, so that results stay small.
#[derive(Debug)]
struct Said {
    status: Status,
    message: String,
    causes: Vec<String>,
    details: Vec<String>,
    hint: Option<String>,
    silent: bool,
    code: Option<String>,
    places: Vec<Place>,
}

/// Where in a file of the repository something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) file: String,
    /// From 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) message: String,
}

impl CommandError {
    fn new(status: Status, message: impl Into<String>) -> Self {
        let message = message.into();
        Self(Box::new(Said {
            status,
            message,
            causes: Vec::new(),
            details: Vec::new(),
            hint: None,
            silent: false,
            code: None,
            places: Vec::new(),
        }))
    }

    /// It was tried and did not work.
    pub(crate) fn failed(message: impl Into<String>) -> Self {
        Self::new(Status::Failed, message)
    }

    /// It was asked for in the wrong way.
    pub(crate) fn misused(message: impl Into<String>) -> Self {
        Self::new(Status::Misused, message)
    }

    /// Whoever read the output has gone away: nothing is left to say, and nobody to say it to.
    pub(crate) fn reader_gone() -> Self {
        let mut gone = Self::new(Status::Done, "");
        gone.0.silent = true;
        gone
    }

    /// An error and all that lies below it.
    pub(crate) fn from_chain(status: Status, error: &dyn std::error::Error) -> Self {
        let top = Self::new(status, error.to_string());
        match error.source() {
            Some(source) => top.caused_by(source),
            None => top,
        }
    }

    /// Adds a cause, with all that lies below it. What a line above says already is not said again.
    pub(crate) fn caused_by(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            let text = error.to_string();
            let said = std::iter::once(&self.0.message).chain(&self.0.causes).any(|line| line.contains(&text));
            if !said {
                self.0.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Adds a cause that is no error of its own.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Adds lines that belong to the message: several mistakes, the app's own log.
    pub(crate) fn details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.0.details.extend(details);
        self
    }

    /// The same with another first line.
    pub(crate) fn retitled(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// Says what to do.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same, where there is something to say.
    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.0.hint = hint.or(self.0.hint);
        self
    }

    /// The same error with another exit status.
    pub(crate) fn with_status(mut self, status: Status) -> Self {
        self.0.status = status;
        self
    }

    /// Gives it a stable code for programs.
    pub(crate) fn coded(mut self, code: impl Into<String>) -> Self {
        self.0.code = Some(code.into());
        self
    }

    /// Says where in a file it is.
    pub(crate) fn at(mut self, places: impl IntoIterator<Item = Place>) -> Self {
        self.0.places.extend(places);
        self
    }

    /// The same with paths as seen from this folder.
    pub(crate) fn seen_from(mut self, folder: &std::path::Path) -> Self {
        let prefix = format!("{}/", folder.display());
        let places = self.0.places.iter_mut().flat_map(|place| [&mut place.file, &mut place.message]);
        for text in std::iter::once(&mut self.0.message).chain(&mut self.0.causes).chain(places) {
            *text = text.replace(&prefix, "");
        }
        self
    }

    pub(crate) fn status(&self) -> Status {
        self.0.status
    }

    /// Stable, for programs; `None` where nobody asked for one yet.
    pub(crate) fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    pub(crate) fn places(&self) -> &[Place] {
        &self.0.places
    }

    /// What belongs to the message: several mistakes, the app's own log.
    pub(crate) fn lines(&self) -> &[String] {
        &self.0.details
    }

    /// In one line, for lists.
    pub(crate) fn summary(&self) -> String {
        std::iter::once(&self.0.message).chain(&self.0.causes).map(String::as_str).collect::<Vec<_>>().join(": ")
    }

    /// What to do.
    pub(crate) fn advice(&self) -> Option<String> {
        self.0.hint.clone()
    }

    /// As it is shown; nothing where nobody looks.
    pub(crate) fn render(&self) -> Option<String> {
        use crate::style::{BOLD_RED, BOLD_YELLOW};
        use crate::theirs::theirs;
        if self.0.silent {
            return None;
        }
        // An app, a build or a server may have said any of it.
        let mut lines = vec![format!("{BOLD_RED}error:{BOLD_RED:#} {}", theirs(&self.0.message))];
        lines.extend(self.0.causes.iter().map(|cause| format!("caused by: {}", theirs(cause))));
        lines.extend(self.0.details.iter().map(|line| theirs(line).into_owned()));
        if let Some(hint) = &self.0.hint {
            lines.push(format!("\n{BOLD_YELLOW}hint:{BOLD_YELLOW:#} {}", theirs(hint)));
        }
        Some(lines.join("\n"))
    }
}

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let mistakes = match error.diagnostics.len() + error.more {
            1 => "a mistake".to_owned(),
            number => format!("{number} mistakes"),
        };
        let places = error.diagnostics.iter().map(|mistake| {
            let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
            let hint = mistake.hint.as_ref().map(|hint| format!("\nhint: {hint}")).unwrap_or_default();
            let message = format!("{key}{}{hint}", mistake.message);
            Place { file: error.file.clone(), line: mistake.line, message }
        });
        Self::misused(format!("{} has {mistakes}", error.file))
            .coded("config_invalid")
            .at(places)
            .details([error.to_string()])
    }
}

impl From<InvalidName> for CommandError {
    fn from(error: InvalidName) -> Self {
        Self::misused(error.to_string())
    }
}

/// Codes with which the service says that something is not allowed, rather than that it failed.
const REFUSALS: [&str; 7] =
    ["gate_blocked", "gate_timeout", "policy_refused", "not_newer", "superseded", "locked", "held"];

impl From<Problem> for CommandError {
    fn from(problem: Problem) -> Self {
        let status = match problem.code.as_str() {
            "config_invalid" => Status::Misused,
            code if REFUSALS.contains(&code) => Status::Refused,
            _ => Status::Failed,
        };
        let error = Self::new(status, problem.title).coded(problem.code).details(indented(&problem.errors));
        let error = error.maybe_hint(problem.hint);
        match problem.detail {
            Some(detail) => error.because(detail),
            None => error,
        }
    }
}

impl From<Failure> for CommandError {
    fn from(failure: Failure) -> Self {
        Self::failed(failure.summary)
            .coded(failure.code.as_str())
            .details(indented(&failure.log))
            .maybe_hint(failure.hint)
    }
}

/// Below the message, so that what others wrote is not taken for ours.
fn indented(texts: &[String]) -> Vec<String> {
    texts.iter().flat_map(|text| text.lines()).map(|line| format!("  {line}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(error: &CommandError) -> String {
        anstream::adapter::strip_str(&error.render().unwrap()).to_string()
    }

    #[test]
    fn a_problem_is_shown_with_its_detail_its_errors_and_its_hint() {
        let problem = Problem::new(409, "digest_conflict", "commit abc is registered already, with another image")
            .detail("release 3 has sha256:12")
            .errors(vec!["one".to_owned(), "two\nlines".to_owned()])
            .hint("deploy that release");
        let error = CommandError::from(problem);
        assert_eq!(error.status(), Status::Failed);
        assert_eq!(
            plain(&error),
            "error: commit abc is registered already, with another image\ncaused by: release 3 has sha256:12\n  one\n  \
             two\n  lines\n\nhint: deploy that release"
        );
    }

    #[test]
    fn what_is_not_allowed_ends_with_another_status_than_what_failed() {
        let status = |code| CommandError::from(Problem::new(422, code, "no")).status();
        assert_eq!(status("policy_refused"), Status::Refused);
        assert_eq!(status("config_invalid"), Status::Misused);
        assert_eq!(status("release_unknown"), Status::Failed);
        assert_eq!(Status::from(DeploymentState::Superseded), Status::Refused);
        assert_eq!(Status::from(DeploymentState::Cancelled), Status::Failed);
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_again() {
        let inner = std::io::Error::other("disk full");
        let error = CommandError::failed("cannot write: disk full").caused_by(&inner);
        assert_eq!(plain(&error), "error: cannot write: disk full");
    }
}
