//! How long the store remembers what has ended.

use super::Keep;
use crate::config::reader::ConfigItem;
use crate::quantity::Duration;

pub(super) const KEEP: &[&str] = &["logs", "deployments", "tasks", "audit", "commits"];

const DAY: u64 = 24 * 60 * 60;
/// Ten years: nobody means more.
const MOST: Duration = Duration::from_secs(3650 * DAY);

impl Default for Keep {
    fn default() -> Self {
        let days = |days| Duration::from_secs(days * DAY);
        Self { logs: days(90), deployments: days(365), tasks: days(90), audit: days(730), commits: days(365) }
    }
}

pub(super) fn read_keep(item: Option<ConfigItem<'_>>) -> Keep {
    let default = Keep::default();
    let Some(keep) = item.and_then(|item| item.table(&[KEEP])) else { return default };
    Keep {
        logs: keep.duration_or("logs", default.logs, MOST),
        deployments: keep.duration_or("deployments", default.deployments, MOST),
        tasks: keep.duration_or("tasks", default.tasks, MOST),
        audit: keep.duration_or("audit", default.audit, MOST),
        commits: keep.duration_or("commits", default.commits, MOST),
    }
}
