//! What a role asks for its process: what is a power over the host or its neighbours needs the server's word, what only
//! bounds the process itself does not.

use super::NOT_ALLOWED;
use crate::config::server::USUAL_PIDS;
use crate::config::{Limits, Sandbox};
use crate::quantity::Memory;

/// One thing that is asked for and not allowed.
pub(super) struct Asked {
    pub(super) key: &'static str,
    pub(super) message: String,
    pub(super) remedy: String,
}

impl Limits {
    /// What surrounds a task in the end: what its role asks for, with what the server takes away and bounds.
    #[must_use]
    pub fn confine(&self, asked: &Sandbox) -> Sandbox {
        Sandbox {
            pids: Some(asked.pids.unwrap_or(USUAL_PIDS).min(self.pids)),
            drop_capabilities: self.drop_capabilities.clone(),
            ..asked.clone()
        }
    }
}

pub(super) fn refusals(limits: &Limits, sandbox: &Sandbox) -> Vec<Asked> {
    let mut asked = Vec::new();
    let mut over = |key, setting: &str, asked_for: String, allowed: String| {
        let remedy = format!("raise the project's `limits.{setting}` in windlass-server.toml, or lower it here");
        asked.push(Asked { key, message: format!("is {asked_for}, and the server allows {allowed}"), remedy });
    };
    if let Some(pids) = sandbox.pids.filter(|pids| *pids > limits.pids) {
        over("resources.pids", "pids", pids.to_string(), limits.pids.to_string());
    }
    // What lies in memory counts as the task's own.
    if let (Some(shm), Some(limit)) = (sandbox.shm, limits.memory)
        && shm > limit
    {
        over("shm", "memory", shm.to_string(), limit.to_string());
    }
    let tmpfs = Memory(sandbox.tmpfs.iter().fold(0, |all: u64, tmpfs| all.saturating_add(tmpfs.size.0)));
    if let Some(limit) = limits.memory.filter(|limit| tmpfs > *limit) {
        over("tmpfs", "memory", tmpfs.to_string(), limit.to_string());
    }
    if sandbox.log.whole() > limits.log {
        over("log", "log", format!("{} in all", sandbox.log.whole()), limits.log.to_string());
    }
    for (name, asked_for) in &sandbox.ulimits {
        let said = |bound: i64| if bound == -1 { "no bound".to_owned() } else { bound.to_string() };
        let within = |limit: i64| limit == -1 || (asked_for.hard != -1 && asked_for.hard <= limit);
        match limits.ulimits.get(name) {
            Some(limit) if within(*limit) => {}
            Some(limit) => over("ulimits", "ulimits", format!("{name} = {}", said(asked_for.hard)), said(*limit)),
            None => {
                over("ulimits", "ulimits", format!("{name} = {}", said(asked_for.hard)), "none to be set".to_owned())
            }
        }
    }
    let mut lacking = |key, what: String, setting: &str, value: &str| {
        let remedy = format!("set `{setting} = {value}` in the project's `limits` in windlass-server.toml");
        asked.push(Asked { key, message: format!("{what}{NOT_ALLOWED}"), remedy });
    };
    if sandbox.new_privileges && !limits.new_privileges {
        lacking("new-privileges", "lets programs gain privileges".to_owned(), "new-privileges", "true");
    }
    let mut unknown = |key, asked: &[String], allowed: &[String]| {
        for name in asked.iter().filter(|name| !allowed.contains(name)) {
            lacking(key, format!("asks for {name}"), key, &format!("[\"{name}\"]"));
        }
    };
    unknown("capabilities", &sandbox.capabilities, &limits.capabilities);
    unknown("networks", &sandbox.networks, &limits.networks);
    asked
}
