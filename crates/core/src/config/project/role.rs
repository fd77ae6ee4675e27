//! One role: a process of the app.

use std::collections::{BTreeMap, BTreeSet};

use super::health::read_health;
use super::sandbox::read_sandbox;
use super::{HealthCheck, HostSelector, Resources, RoleConfig, Stop, Strategy, Volume};
use crate::config::reader::{ConfigItem, Table, absolute_path, host_selector};
use crate::gateway::Hold;
use crate::quantity::{Duration, Memory};

/// What may also stand at the app's level, when there is only one role.
pub(super) const ROLE: &[&str] = &[
    "port",
    "protocol",
    "command",
    "scale",
    "strategy",
    "hosts",
    "health",
    "hold",
    "stop",
    "resources",
    "volumes",
    "user",
    "init",
    "read-only",
    "tmpfs",
    "shm",
    "ulimits",
    "extra-hosts",
    "networks",
    "new-privileges",
    "capabilities",
    "log",
];
/// What a role has besides.
pub(super) const ROLE_ONLY: &[&str] = &["primary", "env"];
pub(super) const HOLD: &[&str] = &["requests", "time"];
pub(super) const STOP: &[&str] = &["signal", "grace", "drain"];
pub(super) const RESOURCES: &[&str] = &["memory", "cpu", "pids"];

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Where an app listens that has an address and says nothing else.
pub(super) const DEFAULT_PORT: u16 = 3000;

/// POSIX's that end or tell a process something, and the one that web servers end gracefully on.
const SIGNALS: [&str; 13] = [
    "SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGUSR1", "SIGUSR2", "SIGWINCH", "SIGABRT", "SIGALRM", "SIGCONT",
    "SIGPIPE", "SIGKILL", "SIGURG",
];

/// Reads the role's own keys from the table they stand in. `default_port` is for a role that does not name one.
pub(super) fn read_role(role: &Table<'_>, env: BTreeMap<String, String>, default_port: Option<u16>) -> RoleConfig {
    let port = role.get("port").map_or(default_port, |port| port.integer(1..=65535).or(Some(DEFAULT_PORT)));
    let health = read_health(role, port);
    if let (HealthCheck::Path(_), None) = (&health.check, port)
        && let Some(item) = role.get("health")
    {
        item.contradict(
            "a health check by `path` needs a port to ask, and this role has none",
            "add `port = 3000`, or check it by `command`, `docker = true` or `stable = \"5s\"`",
        );
    }
    let strategy = role.get("strategy").and_then(|item| item.spelled("strategy")).unwrap_or(Strategy::StartFirst);
    let (resources, pids) = read_resources(role);
    let volumes = role.get("volumes").map(read_volumes).unwrap_or_default();
    RoleConfig {
        primary: false,
        command: role.get("command").and_then(|command| command.command()),
        port,
        protocol: role.get("protocol").and_then(|item| item.spelled("protocol")).unwrap_or_default(),
        scale: role.get("scale").and_then(|scale| read_scale(scale, strategy)).unwrap_or(1),
        strategy,
        hosts: role.get("hosts").and_then(read_hosts),
        env,
        health,
        hold: read_hold(role),
        stop: read_stop(role),
        resources,
        sandbox: read_sandbox(role, pids, &volumes),
        volumes,
    }
}

fn read_scale(item: ConfigItem<'_>, strategy: Strategy) -> Option<u32> {
    let scale = item.integer(0..=100)?;
    if strategy == Strategy::Singleton && scale > 1 {
        item.contradict(
            format!("a singleton never runs twice at once, so it cannot have {scale} tasks"),
            "leave `scale` out, or choose another strategy: start-first, stop-first or safe",
        );
    }
    Some(scale)
}

fn read_hosts(item: ConfigItem<'_>) -> Option<Vec<HostSelector>> {
    let hosts = item.list(host_selector)?;
    if item.is_empty_list() {
        item.refuse(
            "the list selects no host",
            "leave `hosts` out for all hosts of the stage; `scale = 0` runs nothing",
        );
    }
    Some(hosts)
}

fn read_hold(role: &Table<'_>) -> Hold {
    let hold = role.get("hold").and_then(|hold| hold.table(&[HOLD]));
    Hold {
        requests: hold
            .as_ref()
            .and_then(|hold| hold.get("requests"))
            .and_then(|requests| requests.integer(0..=10_000))
            .unwrap_or(100),
        time: hold.map_or(Duration::from_secs(10), |hold| hold.duration_or("time", Duration::from_secs(10), HOUR)),
    }
}

fn read_stop(role: &Table<'_>) -> Stop {
    let default = Stop { signal: "SIGTERM".to_owned(), grace: Duration::from_secs(30), drain: Duration::from_secs(30) };
    let Some(stop) = role.get("stop").and_then(|stop| stop.table(&[STOP])) else { return default };
    let signals = SIGNALS.map(|name| (name, name));
    Stop {
        signal: stop
            .get("signal")
            .and_then(|signal| signal.choice("signal", &signals))
            .map_or(default.signal, str::to_owned),
        grace: stop.duration_or("grace", default.grace, DAY),
        drain: stop.duration_or("drain", default.drain, DAY),
    }
}

/// The engine takes no less memory than that.
pub(in crate::config) const LEAST_MEMORY: Memory = Memory(6 << 20);

/// How many processes Linux can have.
pub(in crate::config) const MOST_PIDS: i64 = 1 << 22;

fn read_resources(role: &Table<'_>) -> (Resources, Option<u32>) {
    let Some(resources) = role.get("resources").and_then(|resources| resources.table(&[RESOURCES])) else {
        return (Resources::default(), None);
    };
    let pids = resources.get("pids").and_then(|pids| pids.integer(1..=MOST_PIDS));
    let resources = Resources {
        memory: resources.get("memory").and_then(|memory| memory.memory("512m", LEAST_MEMORY)),
        cpu: resources.get("cpu").and_then(|cpu| cpu.cores()),
    };
    (resources, pids)
}

fn read_volumes(item: ConfigItem<'_>) -> Vec<Volume> {
    let mut targets = BTreeSet::new();
    let mut seen: Vec<Volume> = Vec::new();
    let volumes = item.list(|item| {
        let volume = read_volume(item)?;
        let exchanged = seen.iter().find_map(|other| {
            let (above, below) = if other.can_exchange(&volume) { (other, &volume) } else { (&volume, other) };
            above.can_exchange(below).then(|| (above.source.clone(), below.source.clone()))
        });
        if let Some((above, below)) = exchanged {
            item.contradict(
                format!("{above} is mounted writable, and so whoever can write there could exchange {below}"),
                format!("mount one of the two, or {above} read-only: `{above}:/path:ro`"),
            );
        }
        seen.push(volume.clone());
        if !targets.insert(volume.target.clone()) {
            item.contradict(
                format!("something is mounted at {} already", volume.target),
                "give each mount a path of its own in the container",
            );
        }
        Some(volume)
    });
    volumes.unwrap_or_default()
}

fn read_volume(item: ConfigItem<'_>) -> Option<Volume> {
    let text = item.string()?;
    let parts: Vec<&str> = text.split(':').collect();
    let (source, target, read_only) = match parts[..] {
        [source, target] => (source, target, false),
        [source, target, "ro"] => (source, target, true),
        _ => {
            item.refuse(
                format!("`{text}` is not a mount"),
                "write `name:/path` or `/path/on/host:/path`, and `:ro` after it for read-only",
            );
            return None;
        }
    };
    let name = source.starts_with(|c: char| c.is_ascii_alphanumeric())
        && source.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    let Some(source) = absolute_path(source).or_else(|| name.then(|| source.to_owned())) else {
        let hint = "a source is a volume's name, such as data, or an absolute path on the host without `..`";
        item.refuse(format!("`{source}` cannot be mounted"), hint);
        return None;
    };
    let Some(target) = absolute_path(target).filter(|target| target != "/") else {
        item.refuse(
            format!("`{target}` is no place to mount at"),
            "write an absolute path in the container without `..`, such as /data",
        );
        return None;
    };
    Some(Volume { source, target, read_only })
}
