//! What a repository's file asks for and the server's does not allow.

mod asked;
mod hosts;
mod place;
mod sandbox;

pub use asked::AskedHosts;
pub use hosts::{Claim, Claims};

use std::fmt;
use std::path::Path;

use super::diagnostic::MOST;
use super::{AppConfig, Limits, ProjectConfig, Resources, RoleConfig, ServerProject, Volume};
use crate::hint::Hint;
use crate::names::{AppName, RoleName};

pub use place::located;

/// How a sentence about something that is named ends.
const NOT_ALLOWED: &str = ", which the server does not allow";

/// One thing that was asked for and is not allowed. Its `Display` is one sentence without a full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub app: AppName,
    /// `None`: the app's own.
    pub role: Option<RoleName>,
    /// As `windlass.toml` calls it, from the app or the role on: `url`, `resources.memory`.
    pub key: &'static str,
    /// What was asked for and what is allowed.
    pub message: String,
    /// What would allow it.
    pub remedy: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "app `{}`", self.app)?;
        if let Some(role) = &self.role {
            write!(formatter, ", role `{role}`")?;
        }
        write!(formatter, ": `{}` {}", self.key, self.message)
    }
}

impl Hint for Refusal {
    fn hint(&self) -> Option<String> {
        Some(self.remedy.clone())
    }
}

impl ServerProject {
    /// All that the project's file asks for and this installation does not allow; empty when it may be deployed.
    #[must_use]
    pub fn permits(&self, config: &ProjectConfig) -> Vec<Refusal> {
        let limits = config.apps.iter().flat_map(|(name, app)| self.limits.refusals(name, app));
        limits.chain(exchanges(config)).collect()
    }
}

/// What one role could exchange on the host while another mounts it. As many as are told, and one more.
fn exchanges(config: &ProjectConfig) -> Vec<Refusal> {
    type Mount<'a> = (&'a AppName, &'a RoleName, &'a Volume);
    let roles = || config.apps.iter().flat_map(|(name, app)| app.roles.iter().map(move |role| (name, role)));
    let volumes = || roles().flat_map(|(app, (role, config))| config.volumes.iter().map(move |it| (app, role, it)));
    // In this order, what lies below a path comes right behind it.
    let mut sorted: Vec<Mount<'_>> = volumes().collect();
    sorted.sort_by_key(|(_, _, volume)| &volume.source);
    let pairs = volumes().flat_map(|above| {
        let folder = format!("{}/", above.2.source);
        let from = sorted.partition_point(|(_, _, volume)| volume.source < folder);
        let below = sorted[from..].iter().take_while(move |(_, _, volume)| volume.source.starts_with(&folder));
        below.map(move |below| (above, *below))
    });
    let pairs = pairs.filter(|((app, role, above), (other_app, other_role, below))| {
        (app, role) != (other_app, other_role) && above.can_exchange(below)
    });
    let refusal = |((app, role, above), (other_app, other_role, below)): (Mount<'_>, Mount<'_>)| Refusal {
        app: app.clone(),
        role: Some(role.clone()),
        key: "volumes",
        message: format!(
            "mounts {} writable, from where it could exchange {}, which app `{other_app}`, role `{other_role}` mounts",
            above.source, below.source
        ),
        remedy: format!("mount {} read-only (`:ro`), or the same folder in both", above.source),
    };
    pairs.map(refusal).take(MOST + 1).collect()
}

impl Limits {
    /// What a task may use in the end: what its role asks for, or else as much as is allowed.
    #[must_use]
    pub fn cap(&self, resources: &Resources) -> Resources {
        Resources {
            memory: resources.memory.into_iter().chain(self.memory).min(),
            cpu: resources.cpu.into_iter().chain(self.cpu).reduce(f64::min),
        }
    }

    fn refusals(&self, name: &AppName, app: &AppConfig) -> Vec<Refusal> {
        let urls = app.addresses().filter(|(_, route)| self.claim(route).is_none()).map(|(key, route)| {
            let path = self.allows_part_of(&route.host);
            let what = if path { route.address() } else { format!("the host {}", route.host) };
            Refusal {
                app: name.clone(),
                role: None,
                key,
                message: format!("has {what}{NOT_ALLOWED}"),
                remedy: format!(
                    "add \"{}\" to the project's `limits.urls` in windlass-server.toml",
                    if path { route.address() } else { route.host.clone() }
                ),
            }
        });
        urls.chain(app.roles.iter().flat_map(|(role, config)| self.role_refusals(name, role, config))).collect()
    }

    fn role_refusals(&self, app: &AppName, role: &RoleName, config: &RoleConfig) -> Vec<Refusal> {
        let refusal =
            |key, message, remedy| Refusal { app: app.clone(), role: Some(role.clone()), key, message, remedy };
        let over = |key, asked: String, limit: String, setting: &str| {
            let remedy = format!("raise the project's `limits.{setting}` in windlass-server.toml, or lower it here");
            refusal(key, format!("is {asked}, and the server allows {limit}"), remedy)
        };
        let mut refusals = Vec::new();
        if config.scale > self.scale {
            refusals.push(over("scale", config.scale.to_string(), self.scale.to_string(), "scale"));
        }
        if let (Some(asked), Some(limit)) = (config.resources.memory, self.memory)
            && asked > limit
        {
            refusals.push(over("resources.memory", asked.to_string(), limit.to_string(), "memory"));
        }
        if let (Some(asked), Some(limit)) = (config.resources.cpu, self.cpu)
            && asked > limit
        {
            refusals.push(over("resources.cpu", asked.to_string(), limit.to_string(), "cpu"));
        }
        refusals.extend(
            sandbox::refusals(self, &config.sandbox)
                .into_iter()
                .map(|sandbox::Asked { key, message, remedy }| refusal(key, message, remedy)),
        );
        let sources =
            config.volumes.iter().map(|volume| volume.source.as_str()).filter(|source| !self.allow_source(source));
        refusals.extend(sources.map(|source| {
            let remedy = format!("add \"{source}\" to the project's `limits.volumes` in windlass-server.toml");
            refusal("volumes", format!("mounts {source}{NOT_ALLOWED}"), remedy)
        }));
        refusals
    }

    /// Paths compare by whole segments, and one that climbs is never below anything.
    fn allow_source(&self, source: &str) -> bool {
        let climbs = source.split('/').any(|part| part == "..");
        self.volumes.iter().any(|allowed| match allowed.starts_with('/') {
            true => !climbs && Path::new(source).starts_with(allowed),
            false => source == allowed,
        })
    }
}
