//! One container: what it was asked to be, and where it is in its life.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::image::Image;

/// A container as the engine has it.
pub(super) struct Container {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    /// As it was asked for.
    pub(super) body: Value,
    pub(super) image_id: String,
    pub(super) app: App,
    pub(super) command: Option<Vec<String>>,
    pub(super) env: BTreeMap<String, String>,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) check: Option<Check>,
    pub(super) restart: RestartPolicy,
    pub(super) endpoint: Option<Endpoint>,
    pub(super) status: Status,
    /// Somebody asked for its end, so no policy starts it again.
    pub(super) manually_stopped: bool,
    pub(super) exit_code: i64,
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
    /// How often its process was started.
    pub(super) starts: u64,
    /// How often its process ended.
    pub(super) ends: u64,
    /// How often it was started again in a row without having lived for long.
    pub(super) restarts: u32,
    pub(super) health: Option<HealthLog>,
    pub(super) log: Vec<LogEntry>,
    /// How many requests its app was sent, in all its lives.
    pub(super) requests: Arc<AtomicU64>,
    pub(super) process: Option<Process>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Created,
    Running,
    /// Between two lives.
    Restarting,
    Exited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestartPolicy {
    No,
    OnFailure,
    Always,
    UnlessStopped,
}

/// A `HEALTHCHECK`: when it is asked, not what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Check {
    pub(super) interval: Duration,
    pub(super) start_period: Duration,
    pub(super) retries: u64,
}

/// Its place on a network.
#[derive(Debug, Clone)]
pub(super) struct Endpoint {
    /// The network, as it was asked for: an id or a name.
    pub(super) network: String,
    pub(super) asked: Option<Ipv4Addr>,
    pub(super) aliases: Value,
    /// While it runs.
    pub(super) address: Option<Ipv4Addr>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct HealthLog {
    pub(super) status: HealthStatus,
    pub(super) failing: u64,
    pub(super) log: Vec<CheckResult>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum HealthStatus {
    #[default]
    Starting,
    Healthy,
    Unhealthy,
}

#[derive(Debug, Clone)]
pub(super) struct CheckResult {
    pub(super) at: Timestamp,
    pub(super) code: i64,
    pub(super) output: &'static str,
}

#[derive(Debug, Clone)]
pub(super) struct LogEntry {
    pub(super) at: Timestamp,
    pub(super) source: Source,
    pub(super) line: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Stdout = 1,
    Stderr = 2,
}

/// The running process, as seen by whoever has something to tell it.
#[derive(Debug, Clone)]
pub(super) struct Process {
    /// A signal that it may handle.
    pub(super) politely: CancellationToken,
    /// Its end, which is on record already.
    pub(super) now: CancellationToken,
    pub(super) condition: Arc<Condition>,
}

/// How the running process does.
#[derive(Debug, Default)]
pub(super) struct Condition {
    listening: AtomicBool,
    sick: AtomicBool,
}

impl Condition {
    pub(super) fn listens(&self) -> bool {
        self.listening.load(Ordering::Relaxed)
    }

    pub(super) fn set_listening(&self) {
        self.listening.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_sick(&self) -> bool {
        self.sick.load(Ordering::Relaxed)
    }

    pub(super) fn set_sick(&self, sick: bool) {
        self.sick.store(sick, Ordering::Relaxed);
    }
}

impl Container {
    pub(super) fn new(id: String, name: String, created: Timestamp, image: &Image, body: Value) -> Self {
        Self {
            id,
            name,
            created,
            image_id: image.id.clone(),
            command: words(&body["Cmd"]).filter(|words| !words.is_empty()),
            env: environment(&body["Env"]),
            labels: map(&body["Labels"]),
            check: Check::of(&body["Healthcheck"], &image.app),
            restart: RestartPolicy::of(&body["HostConfig"]["RestartPolicy"]),
            endpoint: Endpoint::of(&body),
            app: image.app.clone(),
            body,
            status: Status::Created,
            manually_stopped: false,
            exit_code: 0,
            started: None,
            finished: None,
            starts: 0,
            ends: 0,
            restarts: 0,
            health: None,
            log: Vec::new(),
            requests: Arc::default(),
            process: None,
        }
    }

    /// As Docker counts: one that waits to be started again is one of them.
    pub(super) fn is_running(&self) -> bool {
        matches!(self.status, Status::Running | Status::Restarting)
    }

    pub(super) fn address(&self) -> Option<Ipv4Addr> {
        self.endpoint.as_ref()?.address
    }

    /// Where on this machine a path of the container is, if it is below a mount.
    pub(super) fn mounted(&self, path: &str) -> Option<std::path::PathBuf> {
        let mounts = self.body["HostConfig"]["Mounts"].as_array().into_iter().flatten();
        mounts.filter(|mount| mount["Type"] == "bind").find_map(|mount| {
            let below = std::path::Path::new(path).strip_prefix(mount["Target"].as_str()?).ok()?;
            Some(std::path::Path::new(mount["Source"].as_str()?).join(below))
        })
    }

    /// What the API takes as a reference to it.
    pub(super) fn is(&self, reference: &str) -> bool {
        let reference = reference.trim_start_matches('/');
        self.name == reference || (reference.len() >= 12 && self.id.starts_with(reference))
    }
}

impl RestartPolicy {
    pub(super) fn of(policy: &Value) -> Self {
        match policy["Name"].as_str() {
            Some("always") => Self::Always,
            Some("unless-stopped") => Self::UnlessStopped,
            Some("on-failure") => Self::OnFailure,
            Some(_) | None => Self::No,
        }
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::No => "no",
            Self::OnFailure => "on-failure",
            Self::Always => "always",
            Self::UnlessStopped => "unless-stopped",
        }
    }

    pub(super) const fn starts_again_after(self, code: i64) -> bool {
        match self {
            Self::No => false,
            Self::OnFailure => code != 0,
            Self::Always | Self::UnlessStopped => true,
        }
    }
}

impl Check {
    /// An image's own, which is asked often, since tests wait for it.
    const OWN: Self = Self { interval: Duration::from_millis(50), start_period: Duration::ZERO, retries: 3 };

    fn of(asked: &Value, app: &App) -> Option<Self> {
        let time = |key: &str| asked[key].as_u64().filter(|time| *time > 0).map(Duration::from_nanos);
        match asked["Test"][0].as_str() {
            Some("NONE") => None,
            Some(_) => Some(Self {
                interval: time("Interval").unwrap_or(Duration::from_secs(30)),
                start_period: time("StartPeriod").unwrap_or_default(),
                retries: asked["Retries"].as_u64().filter(|retries| *retries > 0).unwrap_or(3),
            }),
            None => app.has_health_check.then_some(Self::OWN),
        }
    }
}

impl Endpoint {
    fn of(body: &Value) -> Option<Self> {
        let endpoint = body["NetworkingConfig"]["EndpointsConfig"].as_object().and_then(|all| all.iter().next());
        let (network, settings) = match endpoint {
            Some((network, settings)) => (network.as_str(), settings),
            None => (body["HostConfig"]["NetworkMode"].as_str()?, &Value::Null),
        };
        let has_none_of_ours = ["", "default", "bridge", "host", "none"].contains(&network);
        (!has_none_of_ours).then(|| Self::on(network, settings))
    }

    /// With these settings.
    pub(super) fn on(network: &str, settings: &Value) -> Self {
        Self {
            network: network.to_owned(),
            asked: settings["IPAMConfig"]["IPv4Address"].as_str().and_then(|address| address.parse().ok()),
            aliases: settings["Aliases"].clone(),
            address: None,
        }
    }
}

impl Status {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Running => "running",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
        }
    }
}

impl HealthStatus {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy => "unhealthy",
        }
    }
}

pub(super) fn map(value: &Value) -> BTreeMap<String, String> {
    let pairs = value.as_object().into_iter().flatten();
    pairs.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

fn words(value: &Value) -> Option<Vec<String>> {
    value.as_array()?.iter().map(|word| word.as_str().map(str::to_owned)).collect()
}

fn environment(value: &Value) -> BTreeMap<String, String> {
    let all = words(value).unwrap_or_default();
    all.iter().filter_map(|pair| pair.split_once('=')).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}
