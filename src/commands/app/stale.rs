//! `windlass app stale`

use clap::Args;
use windlass_core::Timestamp;
use windlass_core::api::StaleTasks;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};

/// List containers that no deployment accounts for, and stop them
///
/// The tasks that serve, those of a deployment that is under way and the stopped ones of the release before are not
/// among them, nor is anything that another installation, project or stage has made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app stale
  windlass app stale --stop            stop and remove them
  windlass app stale -a api --json")]
pub(crate) struct AppStale {
    /// Stop and remove them
    #[arg(long)]
    stop: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: AppStale) -> Result<Status, CommandError> {
    let AppStale { stop, place } = arguments;
    let target = place.target()?;
    let (client, stage, app) = (&target.client, &target.stage, target.named_app());
    let stale = if stop { client.stop_stale_tasks(stage, app).await? } else { client.stale_tasks(stage, app).await? };
    if place.json {
        output::json(&stale)?;
    } else {
        show(&stale)?;
        output::result(&said(&stale, stop))?;
        for warning in &stale.warnings {
            output::note(&format!("warning: {warning}"));
        }
    }
    // What was to be stopped and was not is a failure; what could not be looked at is none of a list.
    Ok(if stop && !stale.warnings.is_empty() { Status::Failed } else { Status::Done })
}

fn show(stale: &StaleTasks) -> Result<(), CommandError> {
    let now = Timestamp::now();
    let mut table = Table::new(&["HOST", "NAME", "RELEASE", "LAST STATUS", "STARTED"]);
    for task in &stale.tasks {
        table.row([
            task.host.to_string(),
            task.name.clone(),
            task.release.to_string(),
            task.last_status.as_str().to_owned(),
            task.started_at.map(|at| ago(at, now)).unwrap_or_default(),
        ]);
    }
    if table.is_empty() { Ok(()) } else { output::result(&format!("{table}\n")) }
}

fn said(stale: &StaleTasks, stopped: bool) -> String {
    let tasks = match stale.tasks.len() {
        0 => "no task".to_owned(),
        1 => "1 task".to_owned(),
        number => format!("{number} tasks"),
    };
    match (stopped, stale.tasks.is_empty()) {
        (true, _) => format!("{tasks} stopped and removed"),
        (false, true) => "every task is accounted for".to_owned(),
        (false, false) => format!("{tasks} of no deployment; `windlass app stale --stop` stops and removes them"),
    }
}
