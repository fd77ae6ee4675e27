//! The words for where a deployment stands, and for how it ended.

crate::spelled! {
    "snake_case",
    /// A deployment's last word.
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
}

crate::spelled! {
    "snake_case",
    /// Where a deployment stands, in the words of the API and of tables.
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
}

impl DeploymentState {
    /// Whether its last word is said.
    #[must_use]
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::Waiting | Self::Running)
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
