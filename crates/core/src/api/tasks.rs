//! Tasks: `S/tasks`, `S/stale` and `/tasks/{id}`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::deployment::Failure;
use crate::names::{AppName, HostName, ReleaseNumber, RoleName, TaskId};
use crate::task::{LogLine, TaskHealth, TaskStatus};

/// The header of a list of tasks that names a host which did not answer; once for each.
pub const SILENT_HOSTS: &str = "windlass-silent-hosts";

/// A task as tables show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskView {
    /// Docker's id of a service task, short; a one-off task's own id.
    pub id: String,
    pub name: String,
    pub app: AppName,
    /// What it plays.
    pub role: RoleName,
    /// Whether it serves or ends by itself.
    pub kind: crate::labels::Kind,
    /// What it runs.
    pub release: ReleaseNumber,
    pub host: HostName,
    /// Where it is in its life.
    pub last_status: TaskStatus,
    /// Whether it does its work.
    pub health: TaskHealth,
    /// When its process started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    #[serde(default)]
    pub stopped_at: Option<Timestamp>,
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// When this was seen, where its host has not answered since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// `GET S/stale`: service tasks that no deployment accounts for. `DELETE` of the same answers those that it has stopped
/// and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StaleTasks {
    pub tasks: Vec<TaskView>,
    /// What could not be looked at or removed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST S/tasks`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    #[serde(default = "AppName::unnamed")]
    pub app: AppName,
    /// Of which release. `None`: the active one.
    #[serde(default)]
    pub release: Option<ReleaseNumber>,
    /// What it runs.
    pub command: Vec<String>,
}

/// A one-off task that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StartedTask {
    pub id: TaskId,
    /// What it runs.
    pub release: ReleaseNumber,
}

/// One message of `GET /tasks/{id}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskMessage {
    /// It wrote a line.
    Line(LogLine),
    /// It ended.
    Exit { code: i64 },
    /// It could not be run.
    Failed(Failure),
}

/// The query of `GET /tasks/{id}/log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct LogQuery {
    /// Keep the stream open for what is still to come.
    #[serde(default)]
    pub follow: bool,
    /// Only the last so many lines of what there is.
    #[serde(default)]
    #[param(nullable = false)]
    pub lines: Option<u32>,
    /// Only what was written since.
    #[serde(default)]
    #[param(nullable = false)]
    pub since: Option<Timestamp>,
}
