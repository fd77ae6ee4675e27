//! The planner: what should run and what was seen to run in, an immutable list of steps out.
//!
//! Every name, generation and order is chosen here, so that nothing is left to decide while a plan is executed, and a
//! second try after a crash finds the first one's work. A plan holds no secret, only secrets' names.

mod desired;
mod exchange;
mod one_off;
mod step;
mod steps;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

pub use desired::{
    DesiredApp, DesiredState, GENERATIONS_OF_A_PLAN, GatewayPresence, Generations, PlanHost, PreviousRelease,
    StageSettings, hosts_of, scale_of,
};
pub use exchange::Exchanged;
pub use one_off::one_off;
pub use step::{HostImage, HostService, RetiredTask, Step, StepKind, TaskHealthCheck, UnroutedService};

use crate::hint::Hint;
use crate::names::{
    AppName, CommitSha, DeploymentId, Generation, HostName, ProjectName, ReleaseNumber, RoleName, StageName,
};
use crate::task::{HostTask, ObservedTask, TaskSpec};

/// The immutable list of steps that takes a stage from what runs to what should run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Plan {
    /// The deployment that it carries out.
    pub deployment: DeploymentId,
    pub kind: DeploymentKind,
    pub project: ProjectName,
    pub stage: StageName,
    /// The first that this plan writes; its tasks carry it.
    pub generation: Generation,
    /// What puts the old state back carries this one, the last of the plan's, so that it wins over what it undoes.
    pub revert_generation: Generation,
    /// What becomes active, and what was.
    pub apps: BTreeMap<AppName, AppChange>,
    pub steps: Vec<Step>,
    /// How to go back, should a step fail.
    pub revert: Revert,
}

crate::spelled! {
    "snake_case",
    /// What a deployment is.
    pub enum DeploymentKind {
        /// A release becomes active.
        Deploy,
        /// An older one does again: no migration, no verdict, and a hold after it.
        Rollback,
        /// The active one's tasks are replaced.
        Redeploy,
    }
}

impl DeploymentKind {
    /// Whether its success leaves a hold: nothing is deployed there by itself until somebody lifts it.
    #[must_use]
    pub const fn leaves_hold(self) -> bool {
        matches!(self, Self::Rollback)
    }
}

/// One app's part in a plan. Release, settings and secrets together are what runs: all three are pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AppChange {
    /// Becomes active.
    pub release: ReleaseNumber,
    pub commit: CommitSha,
    /// Was active.
    pub previous: Option<ReleaseNumber>,
    /// The version of the stage's settings.
    pub settings: u64,
    /// The version of the stage's secrets.
    pub secrets: u64,
}

/// The way back. Which parts of it are walked depends on how far the deployment came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Revert {
    /// What the gateways had, under the revert generation.
    pub switch: Vec<HostService>,
    /// Services that were not there before.
    pub unroute: Vec<UnroutedService>,
    /// New containers, to be removed.
    pub remove: Vec<HostTask>,
}

/// Why there can be no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A role selects hosts that the stage does not have.
    #[error("no host of stage {stage} fits role {role} of app {app}")]
    NoHost { stage: StageName, app: AppName, role: RoleName },
    /// An app with URLs would run where no gateway is.
    #[error("app {app} has a URL, but host {host} has no gateway")]
    NoGateway { app: AppName, host: HostName },
}

impl Hint for PlanError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoHost { .. } => {
                "compare the role's `hosts` with the stage's `hosts` and the hosts' `labels` in the server's file"
                    .to_owned()
            }
            Self::NoGateway { host, .. } => {
                format!("give host {host} a `gateway` in the server's file, or keep the role off it with `hosts`")
            }
        })
    }
}

/// Makes the plan. The same input gives the same plan.
///
/// # Errors
///
/// When the hosts cannot carry what is asked for; see [`PlanError`].
pub fn plan(desired: &DesiredState<'_>, observed: &[ObservedTask]) -> Result<Plan, PlanError> {
    steps::plan(desired, observed)
}

impl Plan {
    /// The service tasks that run once it has succeeded.
    pub fn tasks(&self) -> impl Iterator<Item = &TaskSpec> {
        self.steps.iter().flat_map(|step| match step {
            Step::Boot { tasks, .. } => tasks.as_slice(),
            _ => &[],
        })
    }

    /// The index of the switch: from there on a cancellation means the way back.
    #[must_use]
    pub fn switch_index(&self) -> usize {
        self.steps.iter().position(|step| step.kind() == StepKind::Switch).unwrap_or(self.steps.len())
    }

    /// The index of the step that runs in the background after success was said.
    #[must_use]
    pub fn retire_index(&self) -> usize {
        self.steps.iter().position(|step| step.kind() == StepKind::Retire).unwrap_or(self.steps.len())
    }
}
