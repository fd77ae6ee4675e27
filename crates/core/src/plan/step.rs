//! The lines of a plan's journal, and what each is about.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::config::Health;
use crate::gateway::{Hold, Probe, Route, ServiceKey};
use crate::names::{AppName, Generation, HostName, ReleaseNumber, RoleName};
use crate::quantity::Duration;
use crate::task::{Image, TaskSpec};

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
