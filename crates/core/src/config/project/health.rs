//! When a task is healthy.

use super::{Health, HealthCheck};
use crate::config::reader::{ConfigItem, Table};
use crate::quantity::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

pub(super) const HEALTH: &[&str] = &["path", "command", "docker", "stable", "interval", "timeout", "deadline"];

/// The keys of which a table has one at the most.
pub(in crate::config) const CHECKS: &[&str] = &["path", "command", "docker", "stable"];

pub(super) fn read_health(role: &Table<'_>, port: Option<u16>) -> Health {
    let health = role.get("health").and_then(|health| health.table(&[HEALTH]));
    let Some(health) = health else {
        return Health {
            check: unsaid(port),
            interval: Duration::from_secs(1),
            timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
        };
    };
    let deadline = lasting(&health, "deadline", Duration::from_secs(60), DAY);
    Health {
        check: read_check(&health, deadline).unwrap_or_else(|| unsaid(port)),
        interval: lasting(&health, "interval", Duration::from_secs(1), HOUR),
        timeout: lasting(&health, "timeout", Duration::from_secs(5), HOUR),
        deadline,
    }
}

/// The check of a role that asks for none.
pub(super) fn unsaid(port: Option<u16>) -> HealthCheck {
    match port {
        Some(_) => HealthCheck::Port,
        None => HealthCheck::Stable(Duration::from_secs(5)),
    }
}

fn read_check(health: &Table<'_>, deadline: Duration) -> Option<HealthCheck> {
    let set = health.present(CHECKS);
    if let [(first, _), (second, item), ..] = set[..] {
        item.contradict(
            format!("`{first}` and `{second}` are both set, but a task has one health check"),
            "keep the one that says most about your app; `path` is best for what answers HTTP",
        );
    }
    let (key, item) = *set.first()?;
    match key {
        "path" => path(item).map(HealthCheck::Path),
        "command" => item.command().map(HealthCheck::Command),
        "docker" => item.boolean()?.then_some(HealthCheck::Docker),
        _ => stable(item, deadline).map(HealthCheck::Stable),
    }
}

fn path(item: ConfigItem<'_>) -> Option<String> {
    let text = item.string()?;
    if text.starts_with('/') && !text.contains(|c: char| c.is_whitespace() || c.is_control() || c == '#') {
        return Some(text.to_owned());
    }
    item.refuse(
        format!("{text:?} is not a path on the app's port"),
        "a path starts with `/` and has no blanks, such as \"/up\"",
    );
    None
}

fn stable(item: ConfigItem<'_>, deadline: Duration) -> Option<Duration> {
    let stable = item.duration("5s", DAY)?;
    if stable > deadline {
        item.contradict(
            format!("no task can stay up for {stable} within its deadline of {deadline}"),
            "raise `deadline` above `stable`, or lower `stable`",
        );
    }
    Some(stable)
}

/// A duration above zero.
fn lasting(health: &Table<'_>, key: &str, default: Duration, most: Duration) -> Duration {
    let duration = health.duration_or(key, default, most);
    if duration.0.is_zero()
        && let Some(item) = health.get(key)
    {
        item.refuse(format!("`{key}` is zero"), format!("write a duration above zero; {default} when left out"));
    }
    duration
}
