//! `windlass task run`

use clap::Args;
use futures_util::StreamExt;
use serde::Serialize;
use windlass_core::api::{LogQuery, NewTask, StartedTask, TaskMessage};
use windlass_core::deployment::Failure;
use windlass_core::names::ReleaseNumber;
use windlass_core::task::Stream;

use crate::arguments::Where;
use crate::client::{Client, ClientError};
use crate::commands::interrupt::unless_interrupted;
use crate::error::{CommandError, Status};
use crate::output::{self, theirs};
use crate::reconnect::Patience;

/// Run a command in a release's image, with its environment
///
/// Prints what it writes and ends with its exit status; 125 says that Windlass itself failed. Ctrl-C leaves it running
/// and ends with 130; `windlass task stop` ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task run -- rake db:version
  windlass task run --release 13 -- bin/check     one that is not active
  windlass task run --detach -- bin/reindex")]
pub(crate) struct TaskRun {
    /// Of which release [default: the active one]
    #[arg(short, long, value_name = "N")]
    release: Option<ReleaseNumber>,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    place: Where,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

pub(super) async fn run(arguments: TaskRun) -> Result<Status, CommandError> {
    let TaskRun { release, detach, place, command } = arguments;
    let target = place.target()?;
    let new = NewTask { app: target.app()?, release, command };
    let task = target.client.run_task(&target.stage, &new).await?;
    if detach {
        if place.json {
            output::json(&task)?;
        } else {
            let StartedTask { id, release } = &task;
            output::result(&format!("task {id} runs on release {release}; `windlass task stop {id}` ends it"))?;
        }
        return Ok(Status::Done);
    }
    let Some(end) = unless_interrupted(follow(&target.client, &task, place.json)).await else {
        output::note(&format!("\nthe task goes on without this command; end it with `windlass task stop {}`", task.id));
        return Ok(Status::Interrupted);
    };
    match end? {
        End::Exit(code) => {
            if place.json {
                output::json(&EndedTask { task: &task, exit_code: code })?;
            }
            Ok(Status::Task(exit_status(code)))
        }
        End::Failed(failure) => Err(failure.into()),
    }
}

/// What `--json` prints.
#[derive(Serialize)]
struct EndedTask<'a> {
    #[serde(flatten)]
    task: &'a StartedTask,
    exit_code: i64,
}

/// How a task ended.
enum End {
    Exit(i64),
    Failed(Failure),
}

/// Prints what the task writes until it ends. Lines go where the task wrote them to; with `--json` all go to standard error.
async fn follow(client: &Client, task: &StartedTask, json: bool) -> Result<End, CommandError> {
    let query = LogQuery { follow: true, ..LogQuery::default() };
    let mut seen = None;
    let mut patience = Patience::new();
    loop {
        let broken = match client.task_log(task.id.as_str(), &query, seen).await {
            Err(error) => error,
            Ok(mut messages) => {
                patience.connected();
                loop {
                    match messages.next().await {
                        Some(Ok(sent)) => {
                            patience.heard();
                            seen = sent.id.or(seen);
                            match sent.message {
                                TaskMessage::Line(line) if line.stream == Stream::Stdout && !json => {
                                    output::line_of_theirs(&line.line)?;
                                }
                                TaskMessage::Line(line) => output::note(&theirs(&line.line)),
                                TaskMessage::Exit { code } => return Ok(End::Exit(code)),
                                TaskMessage::Failed(failure) => return Ok(End::Failed(failure)),
                            }
                        }
                        Some(Err(error)) => break error,
                        None => break ended_early(client),
                    }
                }
            }
        };
        if patience.after(broken).await? {
            output::note("the connection broke off; trying to come back");
        }
    }
}

fn ended_early(client: &Client) -> ClientError {
    ClientError::BrokenOff { server: client.server().clone(), reason: "the log ended before the task did".to_owned() }
}

/// Beyond 255 there is no exit status; one that is not 0 must not become 0 on the way.
fn exit_status(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::exit_status;

    #[test]
    fn a_task_that_failed_never_ends_the_command_with_success() {
        assert_eq!([0, 1, 125, 255].map(exit_status), [0, 1, 125, 255]);
        assert_eq!([256, -1, 512].map(exit_status), [255, 255, 255]);
    }
}
