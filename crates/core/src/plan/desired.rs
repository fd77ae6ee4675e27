//! What should run: all that the planner is told, beside what was observed.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::config::{AppConfig, HostSelector, Limits, RoleConfig};
use crate::names::{
    AppName, CommitSha, DeploymentId, Generation, HostName, InstallationId, ProjectName, ReleaseNumber, RepositoryId,
    RoleName, StageName,
};
use crate::plan::DeploymentKind;
use crate::task::{HostTask, Image, TaskSpec};

/// What should run.
#[derive(Debug, Clone)]
pub struct DesiredState<'a> {
    /// The deployment that asks.
    pub deployment: DeploymentId,
    pub kind: DeploymentKind,
    /// Whose the containers are.
    pub installation: InstallationId,
    /// The project's name now.
    pub project: ProjectName,
    /// GitHub's id of it.
    pub repository: RepositoryId,
    pub stage: StageName,
    /// The stage's next generation; the plan uses it and those after it, [`GENERATIONS_OF_A_PLAN`] in all.
    pub generation: Generation,
    /// What the installation allows the project.
    pub limits: &'a Limits,
    /// One or several.
    pub apps: BTreeMap<AppName, DesiredApp>,
    /// Whether the tag `latest` of each app's image follows.
    pub latest: bool,
    /// The stage's hosts, in order.
    pub hosts: Vec<PlanHost>,
}

/// What should run of one app.
#[derive(Debug, Clone)]
pub struct DesiredApp {
    pub release: ReleaseNumber,
    pub commit: CommitSha,
    pub image: Image,
    /// Its configuration on this stage.
    pub config: AppConfig,
    /// The stage's own settings for it.
    pub settings: StageSettings,
    /// The version of the stage's secrets.
    pub secrets: u64,
    /// Whether this release's migration has succeeded here before.
    pub migrated: bool,
    /// What is active now.
    pub previous: Option<PreviousRelease>,
    /// What containers were made from earlier for this release with these secrets, newest first: one that only stopped
    /// and is what would be made now is started again.
    pub warm: Vec<TaskSpec>,
}

/// What is active now.
#[derive(Debug, Clone)]
pub struct PreviousRelease {
    pub release: ReleaseNumber,
    /// The deployment that made it active.
    pub deployment: DeploymentId,
    /// Its tasks. A warm one among them is labelled with an earlier deployment.
    pub tasks: BTreeSet<HostTask>,
    pub config: AppConfig,
}

/// How many generations a plan uses.
pub const GENERATIONS_OF_A_PLAN: u64 = 4;

/// What a plan writes to gateways, in the order in which it may come to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Generations {
    /// Nobody to send to: the old tasks stop before the new ones start.
    pub hold: Generation,
    /// The new targets.
    pub switch: Generation,
    /// Nobody to send to: the new tasks stop before the old ones start again.
    pub hold_back: Generation,
    /// The old targets.
    pub revert: Generation,
}

impl DesiredState<'_> {
    /// What each write of the plan carries.
    #[must_use]
    pub const fn generations(&self) -> Generations {
        let Generation(first) = self.generation;
        Generations {
            hold: self.generation,
            switch: Generation(first + 1),
            hold_back: Generation(first + 2),
            revert: Generation(first + 3),
        }
    }
}

/// What a stage sets for itself, over the release's configuration. Changesets change it; every change is a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageSettings {
    /// Counted up with every change; 0 is "nothing was ever set".
    pub version: u64,
    /// Tasks per host, by role.
    #[serde(default)]
    pub scale: BTreeMap<RoleName, u32>,
    /// Laid over the release's environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
}

/// A host as the planner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanHost {
    pub name: HostName,
    /// What selects it.
    pub labels: Vec<String>,
    /// Whether requests can reach it.
    pub gateway: GatewayPresence,
}

/// Whether a host has a gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GatewayPresence {
    /// Requests can reach it.
    Present,
    /// Nothing on it has a URL.
    Absent,
}

/// The stage's hosts that a role runs on.
#[must_use]
pub fn hosts_of<'a>(selectors: Option<&[HostSelector]>, hosts: &'a [PlanHost]) -> Vec<&'a PlanHost> {
    hosts
        .iter()
        .filter(|host| {
            selectors.is_none_or(|selectors| {
                selectors.iter().any(|selector| match selector {
                    HostSelector::Name(name) => *name == host.name,
                    HostSelector::Label(label) => host.labels.contains(label),
                })
            })
        })
        .collect()
}

/// How many tasks of a role a host gets: the stage's own word wins over the release's.
#[must_use]
pub fn scale_of(name: &RoleName, role: &RoleConfig, settings: &StageSettings) -> u32 {
    settings.scale.get(name).copied().unwrap_or(role.scale)
}
