//! What surrounds a role's process: as whom it runs, what it may do, what it sees, and how much of its log is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Volume;
use crate::config::reader::{ConfigItem, Table, absolute_path, ulimit};
use crate::quantity::Memory;

pub(super) const LOG: &[&str] = &["max-size", "max-file"];

/// What `extra-hosts` calls the host's own address.
pub const HOST_GATEWAY: &str = "host-gateway";

/// What the kernel can take away from root or give back, as Docker names it.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// What surrounds a process. Its default is that of a role which says nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct Sandbox {
    /// `name`, `1000` or `1000:1000`; `None`: the image's own.
    pub user: Option<String>,
    /// Whether a small first process passes signals on and reaps orphans.
    pub init: bool,
    /// Whether the image's files cannot be written.
    pub read_only: bool,
    /// Folders that are in memory.
    pub tmpfs: Vec<Tmpfs>,
    /// The size of `/dev/shm`; `None`: the engine's own.
    pub shm: Option<Memory>,
    /// By name, without `RLIMIT_`, in lower case.
    pub ulimits: BTreeMap<String, Ulimit>,
    /// Names that the process knows beside those of DNS: an IP address, or [`HOST_GATEWAY`].
    pub extra_hosts: BTreeMap<String, String>,
    /// Networks of the host that it is connected to beside its own.
    pub networks: Vec<String>,
    /// How many processes and threads there may be at once; `None`: no bound.
    pub pids: Option<u32>,
    /// Whether setuid programs and file capabilities may give more than the process has.
    pub new_privileges: bool,
    /// Given beyond the engine's own set, or back.
    pub capabilities: Vec<String>,
    /// Taken away; only the server's file says which.
    pub drop_capabilities: Vec<String>,
    /// How much of what it writes the engine keeps.
    pub log: LogBound,
}

/// A folder in memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Tmpfs {
    /// An absolute path in the container.
    pub target: String,
    /// At the most.
    pub size: Memory,
}

/// One of the kernel's bounds of a process; -1 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Ulimit {
    /// What holds at first.
    pub soft: i64,
    /// How far the process may raise it.
    pub hard: i64,
}

/// How much of a container's output the engine keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LogBound {
    /// Of one file.
    pub max_size: Memory,
    /// How many files.
    pub max_file: u32,
}

impl LogBound {
    /// Of all files together.
    #[must_use]
    pub const fn whole(self) -> Memory {
        Memory(self.max_size.0.saturating_mul(self.max_file as u64))
    }
}

impl Default for LogBound {
    fn default() -> Self {
        Self { max_size: Memory(10 << 20), max_file: 3 }
    }
}

pub(super) fn read_sandbox(role: &Table<'_>, pids: Option<u32>, volumes: &[Volume]) -> Sandbox {
    let flag = |key| role.get(key).and_then(|item| item.boolean()).unwrap_or(false);
    Sandbox {
        user: role.get("user").and_then(user),
        init: flag("init"),
        read_only: flag("read-only"),
        tmpfs: role.get("tmpfs").map(|item| read_tmpfs(item, volumes)).unwrap_or_default(),
        shm: role.get("shm").and_then(|item| item.memory("256m", Memory(64 << 10))),
        ulimits: role.get("ulimits").map(read_ulimits).unwrap_or_default(),
        extra_hosts: role.get("extra-hosts").map(read_extra_hosts).unwrap_or_default(),
        networks: role.get("networks").and_then(|item| item.list(network)).map(distinct).unwrap_or_default(),
        pids,
        new_privileges: flag("new-privileges"),
        capabilities: role.get("capabilities").and_then(|item| item.list(capability)).map(distinct).unwrap_or_default(),
        drop_capabilities: Vec::new(),
        log: role.get("log").map_or_else(LogBound::default, read_log),
    }
}

fn distinct(names: Vec<String>) -> Vec<String> {
    names.into_iter().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Whether the image has this user only its engine knows.
fn user(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    let word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
            && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
    };
    let known = |word: &str| match word.chars().all(|c| c.is_ascii_digit()) {
        true => word.parse::<i32>().is_ok(),
        false => true,
    };
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() <= 2 && parts.iter().all(|part| word(part) && known(part)) {
        return Some(text.to_owned());
    }
    item.refuse(
        format!("`{text}` is not a user"),
        "write a name that the image knows, or numbers: \"app\", \"1000\" or \"1000:1000\"",
    );
    None
}

/// `/path`, or `/path:16m`.
fn read_tmpfs(item: ConfigItem<'_>, volumes: &[Volume]) -> Vec<Tmpfs> {
    let mut targets: BTreeSet<String> = volumes.iter().map(|volume| volume.target.clone()).collect();
    let read = |item: ConfigItem<'_>| {
        let text = item.text()?;
        let (path, size) = text.split_once(':').map_or((text, None), |(path, size)| (path, Some(size)));
        let Some(target) = absolute_path(path).filter(|path| path != "/") else {
            item.refuse(
                format!("`{path}` is no place to mount at"),
                "write an absolute path in the container without `..`, and its size after a colon if 64m are not \
                 enough: \"/tmp:128m\"",
            );
            return None;
        };
        let size = size.map_or(Some(Memory(64 << 20)), |size| item.memory_in(size, Memory(4 << 10)))?;
        if !targets.insert(target.clone()) {
            item.contradict(
                format!("something is mounted at {target} already"),
                "give each mount a path of its own in the container",
            );
        }
        Some(Tmpfs { target, size })
    };
    item.list(read).unwrap_or_default()
}

fn read_ulimits(item: ConfigItem<'_>) -> BTreeMap<String, Ulimit> {
    let read = |(name, item): (&str, ConfigItem<'_>)| {
        if !item.is_list() {
            let both = ulimit(name, item)?;
            return Some((name.to_owned(), Ulimit { soft: both, hard: both }));
        }
        let bounds = item.list(|bound| ulimit(name, bound))?;
        let below = |soft: i64, hard: i64| hard == -1 || (soft != -1 && soft <= hard);
        match bounds[..] {
            [soft, hard] if below(soft, hard) => Some((name.to_owned(), Ulimit { soft, hard })),
            _ => {
                item.refuse(
                    "this is not a soft and a hard bound",
                    "write one number for both, or two of which the first is not above the second: [1024, 65536]",
                );
                None
            }
        }
    };
    item.entries().into_iter().filter_map(read).collect()
}

fn read_extra_hosts(item: ConfigItem<'_>) -> BTreeMap<String, String> {
    let read = |(name, item): (&str, ConfigItem<'_>)| {
        let host = !name.is_empty()
            && name.len() <= 253
            && name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if !host {
            item.refuse_key(
                format!("`{name}` is not the name of a host"),
                Some("a name is letters, digits, `-`, `_` and `.`, such as \"db.internal\"".to_owned()),
            );
        }
        let address = item.text()?;
        if address != HOST_GATEWAY && address.parse::<IpAddr>().is_err() {
            item.refuse(
                format!("`{address}` is not an address"),
                format!("write an IP address, or \"{HOST_GATEWAY}\" for the host that the task runs on"),
            );
            return None;
        }
        Some((name.to_owned(), address.to_owned()))
    };
    item.entries().into_iter().filter_map(read).collect()
}

/// A network that a person made. Those that Docker keeps for itself are none of an app's, and ours are told apart by
/// project.
pub(in crate::config) fn network(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    if matches!(text, "host" | "none" | "bridge" | "default") || text.starts_with("windlass-") {
        let whose = if text.starts_with("windlass-") { "Windlass'" } else { "Docker's" };
        item.refuse(
            format!("the network `{text}` is {whose} own"),
            "name one that was made for this: `docker network create shop-database`",
        );
        return None;
    }
    let sound = text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.len() <= 128
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
    if !sound {
        item.refuse(
            format!("`{text}` is not the name of a network"),
            "a name is letters, digits, `-`, `_` and `.`, as `docker network ls` shows it",
        );
        return None;
    }
    Some(text.to_owned())
}

/// One, by Docker's name for it.
pub(in crate::config) fn capability(item: ConfigItem<'_>) -> Option<String> {
    let names = CAPABILITIES.map(|name| (name, name));
    let name = item.choice("capability", &names)?;
    Some(name.to_owned())
}

fn read_log(item: ConfigItem<'_>) -> LogBound {
    let default = LogBound::default();
    let Some(log) = item.table(&[LOG]) else { return default };
    LogBound {
        max_size: log.get("max-size").and_then(|item| item.memory("10m", Memory(16 << 10))).unwrap_or(default.max_size),
        max_file: log.get("max-file").and_then(|item| item.integer(1..=1000)).unwrap_or(default.max_file),
    }
}
