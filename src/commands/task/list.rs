//! `windlass task list`

use clap::Args;
use windlass_core::Timestamp;
use windlass_core::labels::Kind;

use super::note_silent;
use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago};

/// List the tasks that run once and end: those that run, and those that ended not long ago
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task list
  windlass task list --json")]
pub(crate) struct TaskList {
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: TaskList) -> Result<Status, CommandError> {
    let TaskList { place } = arguments;
    let target = place.target()?;
    let (mut tasks, silent) = target.client.tasks(&target.stage).await?;
    tasks.retain(|task| task.kind == Kind::Task && target.named_app().is_none_or(|app| *app == task.app));
    note_silent(&silent);
    if place.json {
        output::json(&tasks)?;
        return Ok(Status::Done);
    }
    let now = Timestamp::now();
    let mut table = Table::new(&["ID", "APP", "RELEASE", "LAST STATUS", "EXIT", "STARTED", "STOPPED"]);
    for task in tasks {
        let when = |at: Option<Timestamp>| at.map(|at| ago(at, now)).unwrap_or_default();
        table.row([
            task.id,
            task.app.to_string(),
            task.release.to_string(),
            task.last_status.as_str().to_owned(),
            task.exit_code.map(|code| code.to_string()).unwrap_or_default(),
            when(task.started_at),
            when(task.stopped_at),
        ]);
    }
    if table.is_empty() {
        output::note(&format!("no task runs on {}, and none ended not long ago", target.stage.spoken()));
    } else {
        output::result(&table.to_string())?;
    }
    Ok(Status::Done)
}
