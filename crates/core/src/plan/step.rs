//! The lines of a plan's journal, and what each is about.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::Health;
use crate::deployment::FailureCode;
use crate::gateway::{AppProtocol, Hold, Probe, Route, ServiceKey, ServiceSpec, Target};
use crate::names::{AppName, Generation, HostName, ReleaseNumber, RoleName};
use crate::quantity::Duration;
use crate::task::{HostTask, Image, TaskSpec};

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Step {
    /// The images are on their hosts.
    Prepare {
        /// One per host and image.
        images: Vec<HostImage>,
    },
    /// A one-off task on the new release, once per release.
    Migrate {
        app: AppName,
        task: Box<TaskSpec>,
        /// Then it is stopped and the step has failed.
        timeout: Duration,
    },
    /// New containers, created and started; before them, what may not run beside them stops.
    Boot {
        /// After the batch of hosts before this one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wait: Option<Duration>,
        /// Gateways whose requests wait, or are refused, until the switch.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        hold: Vec<HostService>,
        /// Old containers that drain and stop first. They are kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        replaces: Vec<RetiredTask>,
        /// Those of the tasks that ran before and only stopped: started again, not made.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warm: Vec<HostTask>,
        /// On all hosts at once, and several on each.
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
    /// A container that dies or sickens now brings the old release back.
    Watch {
        /// Names of containers by host.
        tasks: Vec<HostTask>,
        /// Those of them whose health the gateways know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        services: Vec<HostService>,
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
        /// Images that their registry shall call `latest` from now on.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        latest: Vec<Image>,
    },
}

crate::spelled! {
    "snake_case",
    /// The steps' names, as people read them.
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
}

/// An image that a host needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostImage {
    pub host: HostName,
    pub image: Image,
    /// Where its own HEALTHCHECK decides: how long a task may take to become healthy, the shortest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_deadline: Option<Duration>,
}

/// A container whose health the engine waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskHealthCheck {
    pub task: HostTask,
    /// When it is healthy.
    pub health: Health,
}

/// A container to retire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RetiredTask {
    pub task: HostTask,
    /// Whose requests are waited for first. `None`: it gets none.
    pub key: Option<ServiceKey>,
    /// How it is asked to end.
    pub signal: String,
    /// Between the signal and `SIGKILL`.
    pub grace: Duration,
    /// Whether it should run if the deployment is undone: it is of the active release, not left over from another.
    #[serde(default = "should_run")]
    pub returns: bool,
}

const fn should_run() -> bool {
    true
}

/// What one gateway shall know of one app; targets by container name, since addresses are known only once they run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostService {
    pub host: HostName,
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
    /// Whether all its addresses are `https`.
    #[serde(default)]
    pub https: bool,
    /// What its targets speak.
    #[serde(default)]
    pub protocol: AppProtocol,
    /// For so long browsers shall ask for it by https only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Duration>,
}

impl HostService {
    /// What its gateway is told, with the addresses that its targets have.
    #[must_use]
    pub fn spec(&self, generation: Generation, targets: Vec<Target>) -> ServiceSpec {
        ServiceSpec {
            key: self.key.clone(),
            generation,
            release: self.release,
            routes: self.routes.clone(),
            targets,
            probe: self.probe.clone(),
            drain: self.drain,
            hold: self.hold,
            https: self.https,
            protocol: self.protocol,
            hsts: self.hsts,
            pages: BTreeMap::new(),
        }
    }
}

/// A service to take from a gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct UnroutedService {
    pub host: HostName,
    pub key: ServiceKey,
    /// Orders it.
    pub generation: Generation,
}

/// The longest drain.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// A pull over a slow line.
const PULL: Duration = Duration::from_secs(30 * 60);
/// What an engine or a gateway may take beyond what the configuration allows the app.
const MACHINES: Duration = Duration::from_secs(5 * 60);

impl Step {
    /// When it has failed, whatever it still waits for: the times of the configuration, and some for the machines.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        let longest = |times: &mut dyn Iterator<Item = Duration>| times.max().unwrap_or(Duration::from_secs(0));
        let stops = |tasks: &[RetiredTask]| longest(&mut tasks.iter().map(|task| task.grace));
        let configured = match self {
            Self::Prepare { .. } => return PULL,
            Self::Migrate { timeout, task, .. } => Duration(timeout.0 + task.stop.grace.0),
            Self::Boot { wait, hold, replaces, .. } => {
                let drain = longest(&mut hold.iter().map(|service| service.drain));
                Duration(wait.map_or(drain.0, |wait| wait.0 + drain.0) + stops(replaces).0)
            }
            Self::Verify { tasks, services } => {
                let tasks = tasks.iter().map(|check| check.health.deadline);
                longest(&mut tasks.chain(services.iter().map(|service| service.deadline)))
            }
            Self::Switch { services } => longest(&mut services.iter().map(|service| service.deadline)),
            Self::Watch { time, .. } => *time,
            // The gateways know how long their drains may take; a day is for tunnels that nobody closes.
            Self::Retire { stop, .. } => Duration(stops(stop).0 + DAY.0),
        };
        Duration(configured.0 + MACHINES.0)
    }

    /// What it is called when that is over.
    #[must_use]
    pub const fn deadline_code(&self) -> FailureCode {
        match self {
            Self::Prepare { .. } => FailureCode::PullFailed,
            Self::Migrate { .. } => FailureCode::MigrationTimeout,
            Self::Boot { .. } => FailureCode::BootFailed,
            Self::Verify { .. } => FailureCode::Unhealthy,
            Self::Switch { .. } => FailureCode::SwitchFailed,
            Self::Watch { .. } => FailureCode::TaskExited,
            Self::Retire { .. } => FailureCode::Internal,
        }
    }

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
                for (index, HostImage { host, image, .. }) in images.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    write!(formatter, "{separator}have {} on {host}", image.reference())?;
                }
                Ok(())
            }
            Self::Migrate { app, task, timeout } => {
                let command = task.command.as_deref().unwrap_or_default().join(" ");
                write!(formatter, "run `{command}` of app {app} once on {}, for {timeout} at the most", task.host)
            }
            Self::Boot { wait, hold, replaces, warm, tasks } => {
                if let Some(wait) = wait {
                    write!(formatter, "after {wait}: ")?;
                }
                for service in hold {
                    let verb = if service.hold.requests == 0 { "refuse" } else { "hold" };
                    write!(formatter, "{verb} requests for {} on {}, ", routes(service), service.host)?;
                }
                if !replaces.is_empty() {
                    let separator = if tasks.is_empty() { "" } else { ", then " };
                    write!(formatter, "drain and stop {}{separator}", counted(replaces.len(), "old task"))?;
                }
                write_booted(formatter, warm, tasks)
            }
            Self::Verify { tasks, services } => {
                let verb = if tasks.len() == 1 { "is" } else { "are" };
                write!(formatter, "wait until {} {verb} healthy", counted(tasks.len(), "task"))?;
                if services.is_empty() { Ok(()) } else { formatter.write_str(", through the gateway too") }
            }
            Self::Switch { services } if services.is_empty() => formatter.write_str("nothing to route: make it active"),
            Self::Switch { services } => {
                for (index, service) in services.iter().enumerate() {
                    let separator = if index > 0 { ", " } else { "" };
                    let HostService { host, release, .. } = service;
                    write!(formatter, "{separator}send {} on {host} to release {release}", routes(service))?;
                }
                Ok(())
            }
            Self::Watch { tasks, time, .. } => {
                write!(formatter, "watch {} for {time}", counted(tasks.len(), "task"))
            }
            Self::Retire { unroute, stop, remove, latest } => {
                for service in unroute {
                    write!(formatter, "route {} on {} no longer, ", service.key, service.host)?;
                }
                write!(formatter, "drain and stop {}", counted(stop.len(), "old task"))?;
                if !remove.is_empty() {
                    write!(formatter, ", remove {}", counted(remove.len(), "older one"))?;
                }
                for image in latest {
                    write!(formatter, ", call {} latest", image.reference())?;
                }
                Ok(())
            }
        }
    }
}

fn counted(number: usize, word: &str) -> String {
    if number == 1 { format!("1 {word}") } else { format!("{number} {word}s") }
}

fn routes(service: &HostService) -> String {
    let routes: Vec<String> = service.routes.iter().map(ToString::to_string).collect();
    routes.join(" ")
}

/// `start 2 tasks of default/web on a, 1 task of default/worker on a`, and `start again` what is warm.
fn write_booted(formatter: &mut fmt::Formatter<'_>, warm: &[HostTask], tasks: &[TaskSpec]) -> fmt::Result {
    let is_warm = |task: &TaskSpec| warm.iter().any(|known| known.host == task.host && known.name == task.name);
    let mut counts: BTreeMap<(bool, &AppName, &RoleName, &HostName), usize> = BTreeMap::new();
    for task in tasks {
        *counts.entry((is_warm(task), &task.labels.app, &task.labels.role, &task.host)).or_default() += 1;
    }
    let mut last = None;
    for ((is_warm, app, role, host), count) in counts {
        match (last, is_warm) {
            (None, false) => formatter.write_str("start ")?,
            (None, true) => formatter.write_str("start again ")?,
            (Some(false), true) => formatter.write_str(", start again ")?,
            (Some(_), _) => formatter.write_str(", ")?,
        }
        last = Some(is_warm);
        write!(formatter, "{} of {app}/{role} on {host}", counted(count, "task"))?;
    }
    Ok(())
}
