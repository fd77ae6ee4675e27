//! `windlass task stop`

use clap::Args;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output;

/// Stop a task
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task stop 0123456789abcdef")]
pub(crate) struct TaskStop {
    /// Its id, as `task list` and `app ps` show it
    id: String,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: TaskStop) -> Result<Status, CommandError> {
    let TaskStop { id, place } = arguments;
    place.client()?.stop_task(&id).await?;
    if place.json {
        output::json(&serde_json::json!({ "id": id }))?;
    } else {
        output::result(&format!("asked task {id} to stop"))?;
    }
    Ok(Status::Done)
}
