//! The planner: what should run and what was seen to run in, an immutable list of steps out.
//!
//! Every name, generation and order is chosen here, so that nothing is left to decide while a plan is executed, and a
//! second try after a crash finds the first one's work. A plan holds no secret, only secrets' names.

mod one_off;
mod steps;
#[cfg(test)]
mod tests;

pub use one_off::one_off;

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::{AppConfig, Health, HostSelector, Limits, RoleConfig, Strategy};
use crate::gateway::{Hold, Probe, Route, ServiceKey};
use crate::hint::Hint;
use crate::names::{
    AppName, CommitSha, DeploymentId, Generation, HostName, InstallationId, ProjectName, ReleaseNumber, RepositoryId,
    RoleName, StageName,
};
use crate::quantity::Duration;
use crate::task::{Image, ObservedTask, TaskSpec};

/// The immutable list of steps that takes a stage from what runs to what should run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The deployment that it carries out.
    pub deployment: DeploymentId,
    /// What that is.
    pub kind: DeploymentKind,
    /// Of which project.
    pub project: ProjectName,
    /// On which stage.
    pub stage: StageName,
    /// Everything that this plan writes carries it.
    pub generation: Generation,
    /// Everything that puts the old state back carries this one, so that it wins over what it undoes.
    pub revert_generation: Generation,
    /// What becomes active, and what was.
    pub apps: BTreeMap<AppName, AppChange>,
    /// In order.
    pub steps: Vec<Step>,
    /// How to go back, should a step fail.
    pub revert: Revert,
}

/// What a deployment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeploymentKind {
    /// A release becomes active.
    Deploy,
    /// An older one does again: no migration, no verdict, and a hold after it.
    Rollback,
    /// The active one's tasks are replaced.
    Redeploy,
}

impl DeploymentKind {
    /// As written in the API and as GitHub's `task`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Redeploy => "redeploy",
        }
    }
}

impl fmt::Display for DeploymentKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// One app's part in a plan. Release, settings and secrets together are what runs: all three are pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppChange {
    /// Becomes active.
    pub release: ReleaseNumber,
    /// Its commit.
    pub commit: CommitSha,
    /// Was active.
    pub previous: Option<ReleaseNumber>,
    /// The version of the stage's settings.
    pub settings: u64,
    /// The version of the stage's secrets.
    pub secrets: u64,
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The images are on their hosts.
    Prepare {
        /// One per host and image.
        images: Vec<HostImage>,
    },
    /// A one-off task on the new release, once per release.
    Migrate {
        /// Of which app.
        app: AppName,
        /// The container.
        task: Box<TaskSpec>,
        /// Then it is stopped and the step has failed.
        timeout: Duration,
    },
    /// New containers, created and started.
    Boot {
        /// In order; hosts work in parallel.
        tasks: Vec<TaskSpec>,
    },
    /// Each new container is healthy, for its engine and for its gateway.
    Verify {
        /// Asked of the engine.
        tasks: Vec<TaskHealthCheck>,
        /// Asked of the gateways.
        services: Vec<HostService>,
    },
    /// Every gateway sends to the new containers.
    Switch {
        /// One per host and app with URLs.
        services: Vec<HostService>,
    },
    /// A container that dies now brings the old release back.
    Watch {
        /// Names of containers by host.
        tasks: Vec<HostTask>,
        /// How long.
        time: Duration,
    },
    /// Old containers drain, stop, and at last go.
    Retire {
        /// What old releases served and this one does not: no longer routed.
        #[serde(default)]
        unroute: Vec<UnroutedService>,
        /// Drained and stopped, then kept for a quick way back.
        stop: Vec<RetiredTask>,
        /// Stopped before; removed now.
        remove: Vec<HostTask>,
    },
}

/// The steps' names, as people read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// Is this commit allowed to run here?
    Gate,
    /// See [`Step::Prepare`].
    Prepare,
    /// See [`Step::Migrate`].
    Migrate,
    /// See [`Step::Boot`].
    Boot,
    /// See [`Step::Verify`].
    Verify,
    /// See [`Step::Switch`].
    Switch,
    /// See [`Step::Watch`].
    Watch,
    /// See [`Step::Retire`].
    Retire,
    /// Everything is put back as it was.
    Revert,
}

impl StepKind {
    /// As people read it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Gate => "gate",
            Self::Prepare => "prepare",
            Self::Migrate => "migrate",
            Self::Boot => "boot",
            Self::Verify => "verify",
            Self::Switch => "switch",
            Self::Watch => "watch",
            Self::Retire => "retire",
            Self::Revert => "revert",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// An image that a host needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostImage {
    /// Where.
    pub host: HostName,
    /// What.
    pub image: Image,
}

/// A container by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct HostTask {
    /// Where.
    pub host: HostName,
    /// The container's name.
    pub name: String,
}

/// A container whose health the engine waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskHealthCheck {
    /// Which.
    pub task: HostTask,
    /// When it is healthy.
    pub health: Health,
}

/// A container to retire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RetiredTask {
    /// Which.
    pub task: HostTask,
    /// Whose requests are waited for first. `None`: it gets none.
    pub key: Option<ServiceKey>,
    /// How it is asked to end.
    pub signal: String,
    /// Between the signal and `SIGKILL`.
    pub grace: Duration,
}

/// What one gateway shall know of one app; targets by container name, since addresses are known only once they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostService {
    /// Whose gateway.
    pub host: HostName,
    /// The app.
    pub key: ServiceKey,
    /// Orders it.
    pub generation: Generation,
    /// What the targets run.
    pub release: ReleaseNumber,
    /// What is matched.
    pub routes: Vec<Route>,
    /// Names of containers.
    pub targets: Vec<String>,
    /// Where they all listen.
    pub port: u16,
    /// How their health is asked for.
    pub probe: Probe,
    /// How long they may take to become healthy.
    pub deadline: Duration,
    /// How long replaced targets may finish what they have.
    pub drain: Duration,
    /// What happens to requests meanwhile.
    pub hold: Hold,
}

/// The way back. Which parts of it are walked depends on how far the deployment came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Revert {
    /// What the gateways had, under the revert generation.
    pub switch: Vec<HostService>,
    /// Services that were not there before.
    pub unroute: Vec<UnroutedService>,
    /// New containers, to be removed.
    pub remove: Vec<HostTask>,
}

/// A service to take from a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnroutedService {
    /// Whose gateway.
    pub host: HostName,
    /// The app.
    pub key: ServiceKey,
    /// Orders it.
    pub generation: Generation,
}

/// What should run.
#[derive(Debug, Clone)]
pub struct DesiredState<'a> {
    /// The deployment that asks.
    pub deployment: DeploymentId,
    /// What it is.
    pub kind: DeploymentKind,
    /// Whose containers.
    pub installation: InstallationId,
    /// The project's name now.
    pub project: ProjectName,
    /// GitHub's id of it.
    pub repository: RepositoryId,
    /// On which stage.
    pub stage: StageName,
    /// The stage's next generation; the plan uses it and the one after it.
    pub generation: Generation,
    /// What the installation allows the project.
    pub limits: &'a Limits,
    /// One or several.
    pub apps: BTreeMap<AppName, DesiredApp>,
    /// The stage's hosts, in order.
    pub hosts: Vec<PlanHost>,
}

/// What should run of one app.
#[derive(Debug, Clone)]
pub struct DesiredApp {
    /// The release.
    pub release: ReleaseNumber,
    /// Its commit.
    pub commit: CommitSha,
    /// Its image.
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
}

/// What is active now.
#[derive(Debug, Clone)]
pub struct PreviousRelease {
    /// Its number.
    pub release: ReleaseNumber,
    /// The deployment that made it active: its tasks carry this.
    pub deployment: DeploymentId,
    /// Its configuration.
    pub config: AppConfig,
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
    /// Its name.
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

/// Why there can be no plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// A role selects hosts that the stage does not have.
    #[error("no host of stage {stage} fits role {role} of app {app}")]
    NoHost {
        /// The stage.
        stage: StageName,
        /// The app.
        app: AppName,
        /// Its role.
        role: RoleName,
    },
    /// An app with URLs would run where no gateway is.
    #[error("app {app} has a URL, but host {host} has no gateway")]
    NoGateway {
        /// The app.
        app: AppName,
        /// The host.
        host: HostName,
    },
    /// This version cannot do it yet.
    #[error("role {role} of app {app} asks for strategy {strategy}, which this version cannot do yet")]
    Strategy {
        /// The app.
        app: AppName,
        /// Its role.
        role: RoleName,
        /// What it asks for.
        strategy: Strategy,
    },
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
            Self::Strategy { .. } => "use `start-first`".to_owned(),
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
    /// The index of the switch: from there on a cancellation comes too late.
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

impl Step {
    /// Its name.
    #[must_use]
    pub const fn kind(&self) -> StepKind {
        match self {
            Self::Prepare { .. } => StepKind::Prepare,
            Self::Migrate { .. } => StepKind::Migrate,
            Self::Boot { .. } => StepKind::Boot,
            Self::Verify { .. } => StepKind::Verify,
            Self::Switch { .. } => StepKind::Switch,
            Self::Watch { .. } => StepKind::Watch,
            Self::Retire { .. } => StepKind::Retire,
        }
    }
}

impl fmt::Display for Step {
    /// What it will do, in the words that are shown everywhere.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare { images } => {
                for (index, HostImage { host, image }) in images.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    write!(formatter, "{separator}have {} on {host}", image.reference())?;
                }
                Ok(())
            }
            Self::Migrate { app, task, timeout } => {
                let command = task.command.as_deref().unwrap_or_default().join(" ");
                write!(formatter, "run `{command}` of app {app} once on {}, for {timeout} at the most", task.host)
            }
            Self::Boot { tasks } => write_counted(formatter, "start", tasks),
            Self::Verify { tasks, services } => {
                let verb = if tasks.len() == 1 { "is" } else { "are" };
                write!(formatter, "wait until {} {verb} healthy", counted(tasks.len(), "task"))?;
                if services.is_empty() { Ok(()) } else { formatter.write_str(", through the gateway too") }
            }
            Self::Switch { services } if services.is_empty() => formatter.write_str("nothing to route: make it active"),
            Self::Switch { services } => {
                for (index, service) in services.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    let routes: Vec<String> =
                        service.routes.iter().map(|route| format!("{}{}", route.host, route.path)).collect();
                    write!(
                        formatter,
                        "{separator}send {} on {} to release {}",
                        routes.join(" "),
                        service.host,
                        service.release
                    )?;
                }
                Ok(())
            }
            Self::Watch { tasks, time } => {
                write!(formatter, "watch {} for {time}", counted(tasks.len(), "task"))
            }
            Self::Retire { unroute, stop, remove } => {
                for service in unroute {
                    write!(formatter, "route {} on {} no longer, ", service.key, service.host)?;
                }
                write!(formatter, "drain and stop {}", counted(stop.len(), "old task"))?;
                if remove.is_empty() {
                    Ok(())
                } else {
                    write!(formatter, ", remove {}", counted(remove.len(), "older one"))
                }
            }
        }
    }
}

fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

/// `start 2 tasks of default/web on a, 1 task of default/worker on a`
fn write_counted(formatter: &mut fmt::Formatter<'_>, verb: &str, tasks: &[TaskSpec]) -> fmt::Result {
    let mut counts: BTreeMap<(&AppName, &RoleName, &HostName), usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry((&task.labels.app, &task.labels.role, &task.host)).or_default() += 1;
    }
    write!(formatter, "{verb} ")?;
    for (index, ((app, role, host), count)) in counts.into_iter().enumerate() {
        let separator = if index > 0 { ", " } else { "" };
        write!(formatter, "{separator}{} of {app}/{role} on {host}", counted(count, "task"))?;
    }
    Ok(())
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
