//! What can be asked for on a stage, with the scope that a person's token needs for it, and whether a job of the stage may.

use std::fmt;

use windlass_core::api::Scope;
use windlass_core::config::JobMay;

/// What somebody asks for on a stage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    /// See how the stage stands: what it serves, its verdicts, its lock, its releases and deployments.
    Look,
    /// See what a deployment would do, what runs, and what containers wrote.
    Inspect,
    /// Register a release.
    Register,
    /// Deploy, roll back, cancel.
    Deploy,
    /// Deploy whatever the gate would say.
    OverrideGate,
    /// Run a one-off task, read what it wrote, stop it.
    RunTask,
    /// Lock the stage, release its lock.
    Lock,
    /// Lift a hold.
    LiftHold,
    /// Keep an app from its clients, let them in again.
    Maintain,
    /// Stop containers that nothing accounts for.
    CleanUp,
}

/// Whether a job may, on the stage that it signed in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ForJobs {
    /// The action needs it.
    Always,
    /// Where the stage's policy names it.
    IfNamed(JobMay),
    /// People only.
    Never,
}

impl Act {
    pub(super) const fn scope(self) -> Scope {
        match self {
            Self::Look | Self::Inspect => Scope::Read,
            Self::Register => Scope::Release,
            Self::Deploy | Self::RunTask | Self::Lock | Self::LiftHold | Self::Maintain | Self::CleanUp => {
                Scope::Deploy
            }
            Self::OverrideGate => Scope::Admin,
        }
    }

    pub(super) const fn for_jobs(self) -> ForJobs {
        match self {
            Self::Look | Self::Register | Self::Deploy => ForJobs::Always,
            Self::RunTask => ForJobs::IfNamed(JobMay::Task),
            Self::Lock => ForJobs::IfNamed(JobMay::Lock),
            Self::LiftHold => ForJobs::IfNamed(JobMay::Hold),
            Self::OverrideGate | Self::Inspect | Self::Maintain | Self::CleanUp => ForJobs::Never,
        }
    }
}

/// After "may not".
impl fmt::Display for Act {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Look => "look at the stage",
            Self::Inspect => "look at plans and containers",
            Self::Register => "register releases",
            Self::Deploy => "deploy",
            Self::OverrideGate => "override the gate",
            Self::RunTask => "run one-off tasks here",
            Self::Lock => "lock this stage or release its lock",
            Self::LiftHold => "lift a hold here",
            Self::Maintain => "keep apps from their clients",
            Self::CleanUp => "stop containers",
        })
    }
}
