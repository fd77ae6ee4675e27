//! The words of GitHub's states.

/// How a commit status stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommitState {
    /// The check itself broke.
    Error,
    /// It found a fault.
    Failure,
    /// It has not said yet.
    Pending,
    /// All is well.
    Success,
}

impl CommitState {
    /// GitHub's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Failure => "failure",
            Self::Pending => "pending",
            Self::Success => "success",
        }
    }
}

/// How a check run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckState {
    /// Not begun.
    Queued,
    /// Under way.
    InProgress,
    /// Ended, and how.
    Completed(Conclusion),
}

impl CheckState {
    pub(super) const fn status(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::InProgress => "in_progress",
            Self::Completed(_) => "completed",
        }
    }

    pub(super) const fn conclusion(self) -> Option<Conclusion> {
        match self {
            Self::Completed(conclusion) => Some(conclusion),
            Self::Queued | Self::InProgress => None,
        }
    }

    pub(super) fn conclusion_str(self) -> Option<&'static str> {
        self.conclusion().map(Conclusion::as_str)
    }
}

/// How a check run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion {
    /// Somebody must do something.
    ActionRequired,
    /// Ended from outside.
    Cancelled,
    /// It found a fault.
    Failure,
    /// It has no opinion.
    Neutral,
    /// There was nothing to do.
    Skipped,
    /// All is well.
    Success,
    /// It took too long.
    TimedOut,
}

impl Conclusion {
    /// GitHub's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ActionRequired => "action_required",
            Self::Cancelled => "cancelled",
            Self::Failure => "failure",
            Self::Neutral => "neutral",
            Self::Skipped => "skipped",
            Self::Success => "success",
            Self::TimedOut => "timed_out",
        }
    }

    /// The worst of them. A suite in which all was skipped, or had no opinion, says so.
    pub(super) fn of_suite(runs: &[Self]) -> Option<Self> {
        const WORST_FIRST: [Conclusion; 7] = [
            Conclusion::ActionRequired,
            Conclusion::Failure,
            Conclusion::TimedOut,
            Conclusion::Cancelled,
            Conclusion::Success,
            Conclusion::Neutral,
            Conclusion::Skipped,
        ];
        WORST_FIRST.into_iter().find(|conclusion| runs.contains(conclusion))
    }
}
