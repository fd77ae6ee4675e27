//! The words for where a deployment stands, and for how it ended.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A deployment's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its releases are active.
    Succeeded,
    /// It tried; what was there before is there again.
    Failed,
    /// Not allowed: CI is red, or policy forbids it. Nothing was touched.
    Refused,
    /// Somebody, or a time-out of its gate, ended it before the switch.
    Cancelled,
    /// A newer one took its place before it ran.
    Superseded,
}

/// Where a deployment stands, in the words of the API and of tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentState {
    /// For its gate, a lock or its turn.
    Waiting,
    /// Its steps, or their undoing.
    Running,
    /// See [`Outcome::Succeeded`].
    Succeeded,
    /// See [`Outcome::Failed`].
    Failed,
    /// See [`Outcome::Refused`].
    Refused,
    /// See [`Outcome::Cancelled`].
    Cancelled,
    /// See [`Outcome::Superseded`].
    Superseded,
}

impl DeploymentState {
    /// As written everywhere.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Cancelled => "cancelled",
            Self::Superseded => "superseded",
        }
    }

    /// Whether its last word is said.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
    }
}

impl fmt::Display for DeploymentState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl From<Outcome> for DeploymentState {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Succeeded => Self::Succeeded,
            Outcome::Failed => Self::Failed,
            Outcome::Refused => Self::Refused,
            Outcome::Cancelled => Self::Cancelled,
            Outcome::Superseded => Self::Superseded,
        }
    }
}
