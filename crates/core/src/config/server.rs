//! `windlass-server.toml`: what this installation allows. A repository's file can never grant itself anything that is
//! not allowed here.

mod acme;
mod gateway;
mod github;
mod host;
mod keep;
mod project;
mod read;
mod secret;
mod stages;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use url::Url;

use crate::config::{ConfigError, HostSelector};
use crate::names::{HostName, ProjectName, RepositoryId, StageName};
use crate::quantity::{Duration, Memory};
use crate::subnet::Subnet;

pub use acme::{AcmeChallenge, AcmeConfig, DnsCommand, ExternalAccount};
pub use gateway::{AccessLog, AccessLogFormat, CertificateFiles, GatewayLimits, GatewayListen, GatewayTls};
#[cfg(test)]
pub(super) use read::SECTIONS;

/// The whole file. Secrets are still sources here: reading them is the service's work.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerConfig {
    /// Where the service listens.
    pub listen: SocketAddr,
    /// In GitHub's links; the audience of OIDC tokens. Without a trailing slash in its rendering.
    pub public_url: Url,
    /// Where the store lives.
    pub data: PathBuf,
    /// How GitHub is reached.
    pub github: GitHubConfig,
    /// By host name of the registry.
    pub registries: BTreeMap<String, RegistryCredentials>,
    /// At least one.
    pub hosts: BTreeMap<HostName, HostConfig>,
    /// At least one.
    pub projects: BTreeMap<ProjectName, ServerProject>,
    /// How long the store remembers what has ended.
    pub keep: Keep,
    /// `None`: certificates come from files only.
    pub acme: Option<AcmeConfig>,
}

/// How long the store remembers what has ended. What is served, under way or a way back stays longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// What containers wrote: of deployments and of one-off tasks. No longer than those themselves.
    pub logs: Duration,
    /// Deployments, with their events, their plans, and what GitHub was told.
    pub deployments: Duration,
    /// One-off tasks.
    pub tasks: Duration,
    /// Who did what.
    pub audit: Duration,
    /// What was heard of commits.
    pub commits: Duration,
}

impl ServerConfig {
    /// Reads the file's text. `file_name` is what mistakes are shown under.
    ///
    /// # Errors
    /// Every mistake in the file at once.
    pub fn parse(file_name: &str, text: &str) -> Result<Self, ConfigError> {
        read::read(file_name, text)
    }

    /// Every folder and file of hosts that any project may mount.
    #[must_use]
    pub fn mountable(&self) -> Vec<String> {
        let sources = self.projects.values().flat_map(|project| &project.limits.volumes);
        sources.filter(|source| source.starts_with('/')).cloned().collect()
    }

    /// What is valid and will not do what it seems to: said wherever the file is read by people.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.hosts.iter().flat_map(|(name, host)| host.warnings(name)).collect()
    }
}

impl HostConfig {
    fn warnings(&self, name: &HostName) -> Vec<String> {
        let upstream = |gateway: &GatewayListen| gateway.https.is_some() && gateway.tls == GatewayTls::Upstream;
        let https = self.gateway.as_ref().is_some_and(upstream).then(|| {
            format!("`https` of [hosts.{name}.gateway] is passed over: `tls = \"upstream\"` says that another proxy ends TLS")
        });
        let far = match &self.docker {
            DockerEndpoint::Unix(_) => None,
            DockerEndpoint::Ssh { url, .. } | DockerEndpoint::Tcp { url, .. } => Some(format!(
                "this version reaches engines by a Unix socket only: `serve` does not start with {url} of [hosts.{name}]"
            )),
        };
        let unix = self.gateway.as_ref().is_some_and(|gateway| gateway.trusted_proxies.trust_unix());
        let unix = unix.then(|| {
            format!("this version's gateway listens at addresses only: `unix` in `trusted-proxies` of [hosts.{name}.gateway] is nobody")
        });
        https.into_iter().chain(unix).chain(far).collect()
    }
}

/// Where a secret's value comes from; never the value itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A file's content, less one trailing line end.
    File(PathBuf),
    /// An environment variable of the service.
    Env(String),
    /// A command's standard output, less one trailing line end.
    Command(Vec<String>),
}

/// How GitHub is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitHubConfig {
    /// `GITHUB_API_URL` in the environment wins.
    pub api_url: Url,
    /// As what.
    pub auth: GitHubAuth,
    /// At least one: a delivery signed with any of them is accepted, so that they can be rotated.
    pub webhook_secrets: Vec<SecretSource>,
    /// Who signs the tokens of jobs.
    pub oidc_issuer: Url,
}

/// As what the service speaks to GitHub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GitHubAuth {
    /// A GitHub App.
    App {
        id: u64,
        /// In PEM, as GitHub gives it.
        private_key: SecretSource,
    },
    /// A fine-grained personal access token.
    Token(SecretSource),
}

/// How a registry is logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryCredentials {
    pub username: String,
    /// Its password or token.
    pub password: SecretSource,
}

/// One Docker Engine and its gateway.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// How the engine is reached.
    pub docker: DockerEndpoint,
    /// What selects it.
    pub labels: Vec<String>,
    /// `None`: nothing on it has a URL.
    pub gateway: Option<GatewayListen>,
    /// What the networks of its stages are cut from.
    pub networks: Subnet,
}

/// How an engine is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DockerEndpoint {
    /// `unix:///var/run/docker.sock`
    Unix(PathBuf),
    /// `ssh://user@host`
    Ssh {
        url: Url,
        /// The private key's file.
        key: PathBuf,
        /// The file of known hosts.
        known_hosts: PathBuf,
    },
    /// `tcp://host:2376`
    Tcp {
        url: Url,
        /// Who signed the engine's certificate.
        ca: PathBuf,
        /// What we show it.
        cert: PathBuf,
        /// Our key's file.
        key: PathBuf,
    },
}

/// One project: its limits and its stages.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerProject {
    /// Learnt from GitHub on first contact when left out.
    pub id: Option<RepositoryId>,
    /// What its file may ask for.
    pub limits: Limits,
    /// At least one.
    pub stages: BTreeMap<StageName, StagePolicy>,
}

/// What a repository's file may ask for.
#[derive(Debug, Clone, PartialEq)]
pub struct Limits {
    /// Host names, `*.example.com` for any one name below it, `*` for any; with a path behind it, that path and all below.
    /// Empty: none.
    pub urls: Vec<String>,
    /// Sources of mounts: names of volumes, or absolute paths on the host and all below. Empty: none.
    pub volumes: Vec<String>,
    /// Ports of the host. Empty: none.
    pub ports: Vec<u16>,
    /// Per task; `None`: no limit.
    pub memory: Option<Memory>,
    /// Per task, in cores; `None`: no limit.
    pub cpu: Option<f64>,
    /// Tasks per role and host.
    pub scale: u32,
    /// Processes and threads per task.
    pub pids: u32,
    /// Whether a role may ask for programs that gain privileges.
    pub new_privileges: bool,
    /// What a role may ask for.
    pub capabilities: Vec<String>,
    /// What every task loses; a role may have it back if it is among `capabilities`.
    pub drop_capabilities: Vec<String>,
    /// The highest that a role may ask for, by name. What is not here may not be asked for.
    pub ulimits: BTreeMap<String, i64>,
    /// Networks of the host. Empty: none.
    pub networks: Vec<String>,
    /// How much of a task's log its host may keep.
    pub log: Memory,
}

/// So many processes and threads has a task that asks for no other number: more than an app needs, and less than a host
/// can have.
pub const USUAL_PIDS: u32 = 4096;

impl Default for Limits {
    fn default() -> Self {
        Self {
            urls: Vec::new(),
            volumes: Vec::new(),
            ports: Vec::new(),
            memory: None,
            cpu: None,
            scale: 10,
            pids: USUAL_PIDS,
            new_privileges: false,
            capabilities: Vec::new(),
            drop_capabilities: Vec::new(),
            ulimits: BTreeMap::new(),
            networks: Vec::new(),
            log: Memory(100 << 20),
        }
    }
}

/// What may happen on a stage, and by itself.
#[derive(Debug, Clone, PartialEq)]
pub struct StagePolicy {
    /// The branch whose commits are deployed.
    pub branch: String,
    /// What starts a deployment by itself; empty: only people do.
    pub deploy_on: Vec<TriggerKind>,
    /// Empty: all.
    pub hosts: Vec<HostSelector>,
    /// What the verdict asks for.
    pub checks: Checks,
    /// Names of checks and statuses that do not count.
    pub ignore_checks: Vec<String>,
    /// When a commit has no CI at all.
    pub no_ci: NoCi,
    /// How long a deployment may wait for its gate.
    pub gate_timeout: Duration,
    /// Which jobs may sign in.
    pub oidc: OidcPolicy,
    /// GitHub's `production_environment`.
    pub production: bool,
    /// GitHub's `transient_environment`.
    pub transient: bool,
    /// Values for the names in the repository's file.
    pub secrets: BTreeMap<String, SecretSource>,
    /// How many releases keep their images.
    pub keep: u32,
    /// Whether the registry's tag `latest` follows what is active.
    pub latest: bool,
    /// Whether the merged pull request gets a comment on what became of it.
    pub comment: bool,
}

crate::spelled! {
    "snake_case",
    /// What starts a deployment by itself.
    pub enum TriggerKind {
        /// A pull request merged into the branch.
        Merge,
        /// Any push to the branch.
        Push,
    }
}

/// What the verdict asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checks {
    /// What the branch's rules require; all where they require nothing.
    Required,
    /// Everything that reports on the commit.
    All,
    /// These names.
    Named(Vec<String>),
}

/// When a commit has no CI at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoCi {
    /// How long to wait for one to appear; also the grace for suites without runs.
    pub wait: Duration,
    /// And after that.
    pub then: NoCiThen,
    /// Whether checks of a commit with the same tree count.
    pub same_tree: bool,
}

/// What happens to a commit without CI.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoCiThen {
    /// It is deployed.
    Allow,
    /// It is refused.
    Deny,
}

/// Which jobs may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OidcPolicy {
    /// `push`, `workflow_dispatch`, …
    pub events: Vec<String>,
    /// Full refs, such as `refs/heads/main`.
    pub refs: Vec<String>,
    /// `job_workflow_ref`s; empty: any.
    pub workflows: Vec<String>,
    /// What its jobs may do beyond what deploying needs.
    pub may: Vec<JobMay>,
}

crate::spelled! {
    "snake_case",
    /// What people do, and jobs where their stage's policy names it.
    pub enum JobMay {
        /// Run one-off tasks.
        Task,
        /// Lock the stage, and release that lock.
        Lock,
        /// Lift a hold.
        Hold,
    }
}
