//! `windlass app ps`

use clap::Args;
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{AppView, SilentHost, TaskView};
use windlass_core::labels::Kind;
use windlass_core::names::AppName;
use windlass_core::task::TaskStatus;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};

/// List an app's service tasks
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app ps
  windlass app ps -a api --json")]
pub(crate) struct AppPs {
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: AppPs) -> Result<Status, CommandError> {
    let AppPs { place } = arguments;
    let target = place.target()?;
    let app = target.app()?;
    let mut stage = target.client.stage(&target.stage).await?;
    let view = stage.apps.remove(&app).ok_or_else(|| unknown(&app, stage.apps.keys(), &target.stage))?;
    let listed = Listed { silent_hosts: stage.silent_hosts, ..Listed::new(app, view) };
    if place.json {
        output::json(&listed)?;
    } else {
        show(&listed)?;
        for warning in &stage.warnings {
            output::note(&format!("warning: {warning}"));
        }
    }
    Ok(Status::Done)
}

fn unknown<'a>(
    app: &AppName,
    known: impl Iterator<Item = &'a AppName>,
    stage: &windlass_core::stage::Stage,
) -> CommandError {
    let known: Vec<&str> = known.map(AppName::as_str).collect();
    let error = CommandError::failed(format!("{} has no app {app}", stage.spoken()));
    if known.is_empty() {
        error.hint("register a release of it first: `windlass release create`")
    } else {
        error.hint(format!("it has {}; say which with --app", known.join(", ")))
    }
}

/// What `--json` prints. Counts are of tasks; `active_release` is a release's number.
#[derive(Serialize)]
struct Listed {
    app: AppName,
    active_release: Option<windlass_core::names::ReleaseNumber>,
    active: usize,
    desired: u32,
    pending: usize,
    tasks: Vec<TaskView>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    silent_hosts: Vec<SilentHost>,
}

impl Listed {
    fn new(app: AppName, view: AppView) -> Self {
        let AppView { active: active_release, desired_tasks: desired, mut tasks, .. } = view;
        tasks.retain(|task| task.kind == Kind::Service);
        let count = |is: fn(TaskStatus) -> bool| tasks.iter().filter(|task| is(task.last_status)).count();
        let active = count(|status| status == TaskStatus::Running);
        let pending =
            count(|status| matches!(status, TaskStatus::Provisioning | TaskStatus::Pending | TaskStatus::Activating));
        Self { app, active_release, active, desired, pending, tasks, silent_hosts: Vec::new() }
    }
}

fn show(listed: &Listed) -> Result<(), CommandError> {
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "ROLE", "RELEASE", "LAST STATUS", "HEALTH", "STARTED", "STOPPED"]);
    for task in &listed.tasks {
        let when = |at: Option<Timestamp>| at.map(|at| ago(at, now)).unwrap_or_default();
        table.row([
            task.id.clone(),
            task.role.to_string(),
            task.release.to_string(),
            last_status(task),
            task.health.as_str().to_owned(),
            when(task.started_at),
            when(task.stopped_at),
        ]);
    }
    output::result(&table.to_string())?;
    let release = listed.active_release.map_or_else(|| "no release".to_owned(), |number| format!("release {number}"));
    let Listed { active, desired, pending, .. } = listed;
    output::result(&format!("\n{release} · active: {active} · desired: {desired} · pending: {pending}"))
}

/// Of a host that does not answer: what it was, and when.
fn last_status(task: &TaskView) -> String {
    let status = task.last_status.as_str();
    match task.as_of {
        Some(at) => format!("{status} as of {}", at.strftime("%H:%M:%S UTC")),
        None => status.to_owned(),
    }
}
