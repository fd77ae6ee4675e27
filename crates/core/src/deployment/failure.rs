//! Why a deployment ended other than well.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why something did not go well: for people, and by its code for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Failure {
    /// What programs may rely on.
    pub code: FailureCode,
    /// One sentence.
    pub summary: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The last lines of the app's own log.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

impl Failure {
    /// A failure without log or hint.
    #[must_use]
    pub fn new(code: FailureCode, summary: impl Into<String>) -> Self {
        Self { code, summary: summary.into(), hint: None, log: Vec::new() }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Shows what the app said.
    #[must_use]
    pub fn log(mut self, log: Vec<String>) -> Self {
        self.log = log;
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.summary)
    }
}

impl std::error::Error for Failure {}

crate::spelled! {
    "snake_case",
    /// The stable codes of a deployment's end, also the action's output `reason`.
    pub enum FailureCode {
        /// CI is red.
        GateBlocked,
        /// CI said nothing in time.
        GateTimeout,
        /// The server's file does not allow what the release asks for, or the hosts cannot carry it.
        PolicyRefused,
        /// The commit is older than what is active.
        NotNewer,
        /// A newer commit or deployment took its place.
        Superseded,
        /// Somebody asked for its end.
        Cancelled,
        /// The image is neither on the host nor in the registry.
        ImageMissing,
        /// The registry did not give the image.
        PullFailed,
        /// The migration ended with another status than 0.
        MigrationFailed,
        /// The migration took too long.
        MigrationTimeout,
        /// A container could not be created or started.
        BootFailed,
        /// A container ended while it should serve.
        TaskExited,
        /// A container did not become healthy in time.
        Unhealthy,
        /// A gateway did not take the new targets.
        SwitchFailed,
        /// A secret that the release needs has no value on the server.
        SecretMissing,
        /// An engine or a gateway does not answer.
        HostUnreachable,
        /// Windlass itself failed.
        Internal,
    }
}
