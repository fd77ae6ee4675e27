//! `windlass.toml`: what the app is. [`ProjectFile`] is the file as parsed; [`ProjectFile::resolve`] lays a stage's
//! overlay over it.

mod app;
mod errors;
mod health;
mod read;
mod role;
mod route;
mod sandbox;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::config::ConfigError;
use crate::gateway::{AppProtocol, Hold, Route};
use crate::names::{AppName, ImageName, RoleName, StageName};
use crate::quantity::{Duration, Memory};

pub use errors::{ErrorPage, LARGEST_PAGE};
pub(super) use health::CHECKS;
#[cfg(test)]
pub(super) use read::SECTIONS;
pub(super) use role::{LEAST_MEMORY, MOST_PIDS};
pub use sandbox::{HOST_GATEWAY, LogBound, Sandbox, Tmpfs, Ulimit};
pub(super) use sandbox::{capability, network};

/// The file, parsed and checked with every stage's overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct ProjectFile {
    plain: ProjectConfig,
    stages: BTreeMap<StageName, ProjectConfig>,
}

impl ProjectFile {
    /// Reads the file's text. `file_name` is what mistakes are shown under.
    ///
    /// # Errors
    /// Every mistake in the file at once, those that only a stage's overlay makes included.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, ConfigError> {
        read::read(file_name, text)
    }

    /// What the file says for a stage; one that it does not name gets the file without any overlay.
    #[must_use]
    pub fn resolve(&self, stage: &StageName) -> ProjectConfig {
        self.stages.get(stage).unwrap_or(&self.plain).clone()
    }

    /// The stages that have an overlay.
    pub fn stages(&self) -> impl Iterator<Item = &StageName> {
        self.stages.keys()
    }
}

/// The apps of a project as one stage has them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProjectConfig {
    /// At least one. A file that names none has [`AppName::unnamed`].
    pub apps: BTreeMap<AppName, AppConfig>,
}

/// One app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppConfig {
    /// Where the image is pushed to and pulled from. `None`: the build's own Docker Engine is the host.
    pub image: Option<ImageName>,
    /// How the image is built.
    pub build: Build,
    /// Where the app is reached; the first that is of one host is the environment's URL on GitHub.
    pub url: Vec<AppUrl>,
    /// Other names of the app, whose requests are sent on to its first address.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redirect: Vec<Route>,
    /// For every role and the migration.
    pub env: BTreeMap<String, String>,
    /// Names of secrets; the values live on the server.
    pub secrets: Vec<String>,
    /// Runs once per release before anything of it serves.
    pub migrate: Option<Migrate>,
    /// How many hosts boot at a time.
    pub boot: Boot,
    /// How long after the switch a task that dies brings the old release back.
    pub watch: Duration,
    /// For so long browsers shall ask for it by https only. `None`: they are not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Duration>,
    /// Its own pages for what the gateway says in its place, by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<u16, ErrorPage>,
    /// At least one; exactly one is primary.
    pub roles: BTreeMap<RoleName, RoleConfig>,
}

impl AppConfig {
    /// The role that the app's URLs lead to.
    #[must_use]
    pub fn primary(&self) -> Option<(&RoleName, &RoleConfig)> {
        self.roles.iter().find(|(_, role)| role.primary)
    }

    /// All that the gateway is to match, each with the key that says so.
    pub fn addresses(&self) -> impl Iterator<Item = (&'static str, &Route)> {
        let urls = self.url.iter().map(|url| ("url", &url.route));
        urls.chain(self.redirect.iter().map(|route| ("redirect", route)))
    }

    /// The address to give to people: the first that is of one host.
    #[must_use]
    pub fn address(&self) -> Option<&AppUrl> {
        self.url.iter().find(|url| url.route.is_exact())
    }
}

/// How the image is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// A folder, from the file's own.
    pub context: String,
    /// From the context.
    pub dockerfile: String,
    /// The stage of the Dockerfile; `None` is the last.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Names of build secrets.
    pub secrets: Vec<String>,
    /// `os/architecture`; empty is the builder's own.
    pub platforms: Vec<String>,
}

/// One address of the app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppUrl {
    /// As written: what GitHub is told.
    pub url: String,
    /// What the gateway matches.
    pub route: Route,
    /// Whether it is `https`.
    pub https: bool,
}

/// The one-off task before a release serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migrate {
    /// Run in the release's own image.
    pub command: Vec<String>,
    /// Then it is stopped and the deployment fails.
    pub timeout: Duration,
}

/// How many hosts boot at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// At a time.
    pub limit: BootLimit,
    /// Between two batches.
    pub wait: Duration,
}

/// A share of the hosts, or a number of them; at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BootLimit {
    /// 1 to 100.
    Percent(u8),
    /// 1 or more.
    Hosts(u32),
}

/// A process of the app.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RoleConfig {
    /// The role that the app's URLs lead to. A lone role is primary without saying so.
    pub primary: bool,
    /// `None`: the image's own.
    pub command: Option<Vec<String>>,
    pub port: Option<u16>,
    /// What it speaks there.
    #[serde(default)]
    pub protocol: AppProtocol,
    /// Tasks per host.
    pub scale: u32,
    /// How new tasks replace old ones.
    pub strategy: Strategy,
    /// `None`: all hosts of the stage.
    pub hosts: Option<Vec<HostSelector>>,
    /// Laid over the app's.
    pub env: BTreeMap<String, String>,
    /// When a task is healthy.
    pub health: Health,
    /// Requests while no task may take them.
    pub hold: Hold,
    /// How a task ends.
    pub stop: Stop,
    /// What it may use.
    pub resources: Resources,
    /// What is mounted.
    pub volumes: Vec<Volume>,
    /// What surrounds its process.
    #[serde(default)]
    pub sandbox: Sandbox,
}

crate::spelled! {
    "kebab-case",
    /// How new tasks replace old ones.
    pub enum Strategy {
        /// New beside old, then switch.
        StartFirst,
        /// Old out, then new.
        StopFirst,
        /// Never two at once.
        Singleton,
        /// All old out before the first new.
        Safe,
    }
}

/// A host by name, or all with a label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostSelector {
    /// Written `a`.
    Name(crate::names::HostName),
    /// Written `label:web`.
    Label(String),
}

/// When a task is healthy, and how often that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Health {
    /// What is asked.
    pub check: HealthCheck,
    /// How often.
    pub interval: Duration,
    /// How long one answer may take.
    pub timeout: Duration,
    /// How long a new task may take to become healthy.
    pub deadline: Duration,
}

/// What is asked of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthCheck {
    /// A 2xx answer to `GET` of this path, through the gateway.
    Path(String),
    /// A command in the container that ends with 0.
    Command(Vec<String>),
    /// The image's own `HEALTHCHECK`.
    Docker,
    /// Its port accepts a connection: the default of a role with a port.
    Port,
    /// It stays up this long: the default of a role without a port, 5 s.
    Stable(Duration),
}

/// How a task ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Stop {
    /// `SIGTERM` and its like.
    pub signal: String,
    /// Between the signal and `SIGKILL`.
    pub grace: Duration,
    /// How long its requests may go on before it gets the signal.
    pub drain: Duration,
}

/// What a task may use; `None` is no limit but the host's.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Resources {
    /// At the most.
    pub memory: Option<Memory>,
    /// In cores.
    pub cpu: Option<f64>,
}

/// A mount, `name:/path` or `/host/path:/path`, with `:ro` where it is read-only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Volume {
    /// A volume's name, or an absolute path on the host.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

impl Volume {
    /// Whether who writes to this one could put something else where the other one is on the host: a link, say. Who
    /// can write everywhere needs no such detour.
    #[must_use]
    pub fn can_exchange(&self, other: &Self) -> bool {
        let is_below = other.source.strip_prefix(&self.source).is_some_and(|rest| rest.starts_with('/'));
        !self.read_only && self.source.starts_with('/') && is_below
    }
}

impl BootLimit {
    /// How many of so many hosts boot at a time; at least one.
    #[must_use]
    pub fn of(self, hosts: usize) -> usize {
        match self {
            Self::Percent(percent) => (hosts * usize::from(percent) / 100).max(1),
            Self::Hosts(number) => usize::try_from(number).unwrap_or(usize::MAX).max(1),
        }
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: "SIGTERM".to_owned(), grace: Duration::from_secs(30), drain: Duration::from_secs(30) }
    }
}
