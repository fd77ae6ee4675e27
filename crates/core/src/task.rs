//! A task: one container of a release. What it should be (`TaskSpec`, fixed in the plan) and what was seen of it
//! (`ObservedTask`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::{Health, Resources, Sandbox, Stop, Volume};
use crate::labels::TaskLabels;
use crate::names::{Digest, HostName, ImageName};

/// A container by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct HostTask {
    pub host: HostName,
    pub name: String,
}

/// The image of a release: by digest in a registry, or, without a name, by its id on the host's own engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Image {
    /// Where to pull it from. `None`: the engine has it, since it was built there.
    pub name: Option<ImageName>,
    /// The manifest's digest, or the image's id.
    pub digest: Digest,
}

impl Image {
    /// As Docker takes it: `name@sha256:…` or `sha256:…`.
    #[must_use]
    pub fn reference(&self) -> String {
        match &self.name {
            Some(name) => format!("{name}@{}", self.digest),
            None => self.digest.to_string(),
        }
    }
}

/// Everything that makes a container, but for the values of its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TaskSpec {
    /// The container's name, chosen by the plan so that a second try finds the first one's work.
    pub name: String,
    pub host: HostName,
    /// What it runs.
    pub image: Image,
    /// Replaces the image's own command.
    pub command: Option<Vec<String>>,
    /// Its environment without secrets.
    pub env: BTreeMap<String, String>,
    /// Names of the secrets that it gets as environment; their values are filled in when it is created.
    pub secrets: Vec<String>,
    pub labels: TaskLabels,
    /// The port that it listens on.
    pub port: Option<u16>,
    /// How the engine knows that it is healthy. `None` for one-off tasks.
    pub health: Option<Health>,
    pub resources: Resources,
    pub volumes: Vec<Volume>,
    /// What surrounds its process.
    #[serde(default)]
    pub sandbox: Sandbox,
    /// How it is asked to end.
    pub stop: Stop,
}

impl TaskSpec {
    /// Which container it is.
    #[must_use]
    pub fn place(&self) -> HostTask {
        HostTask { host: self.host.clone(), name: self.name.clone() }
    }
}

crate::spelled! {
    "UPPERCASE",
    /// Where a task is in its life, in the words of container runtimes.
    pub enum TaskStatus {
        /// Planned; nothing on the host yet.
        Provisioning,
        /// Created, not started.
        Pending,
        /// Started; not known to be healthy yet.
        Activating,
        /// Started and healthy as far as is known.
        Running,
        /// Takes no new requests; finishes the ones it has.
        Deactivating,
        /// Asked to stop.
        Stopping,
        /// Being removed.
        Deprovisioning,
        /// Ended.
        Stopped,
    }
}

impl TaskStatus {
    /// Whether its process runs.
    #[must_use]
    pub const fn is_alive(self) -> bool {
        matches!(self, Self::Activating | Self::Running | Self::Deactivating | Self::Stopping)
    }
}

crate::spelled! {
    "UPPERCASE",
    /// Whether a task does its work, as far as is known.
    pub enum TaskHealth {
        /// Its check passes.
        Healthy,
        /// Its check fails.
        Unhealthy,
        /// It has no check, or none has ended yet.
        Unknown,
    }
}

/// A container of ours as a host has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ObservedTask {
    /// Where it was seen.
    pub host: HostName,
    /// Docker's id.
    pub container: String,
    /// Docker's name for it, without the leading slash.
    pub name: String,
    pub labels: TaskLabels,
    /// Where it is in its life.
    pub status: TaskStatus,
    /// Whether it does its work.
    pub health: TaskHealth,
    /// Its address on the installation's network, while it runs.
    #[schema(value_type = Option<String>)]
    pub address: Option<IpAddr>,
    /// When its process started, if it ever did.
    pub started: Option<Timestamp>,
    /// When its process ended, if it has.
    pub stopped: Option<Timestamp>,
    /// How its process ended, if it has.
    pub exit: Option<Exit>,
}

/// How a container's process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exit {
    /// Its exit status; 128 + n after signal n.
    pub code: i64,
    /// Whether the kernel ended it for want of memory.
    pub out_of_memory: bool,
}

impl std::fmt::Display for Exit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "exit status {}", self.code)?;
        if self.out_of_memory { formatter.write_str(", out of memory") } else { Ok(()) }
    }
}

/// One line that a task wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogLine {
    /// When Docker received it.
    pub at: Timestamp,
    /// Where it was written to.
    pub stream: Stream,
    /// The line without its end.
    pub line: String,
}

crate::spelled! {
    "lowercase",
    /// Where a line was written to.
    pub enum Stream {
        /// Standard output.
        Stdout,
        /// Standard error.
        Stderr,
    }
}
