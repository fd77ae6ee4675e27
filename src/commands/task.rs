//! `windlass task`

use futures_util::StreamExt;
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{LogQuery, NewTask, StartedTask, TaskMessage};
use windlass_core::deployment::Failure;
use windlass_core::labels::Kind;
use windlass_core::task::Stream;

use super::interrupt::unless_interrupted;
use crate::cli::{TaskCommand, TaskList, TaskRun, TaskStop};
use crate::client::{Client, ClientError};
use crate::error::{CommandError, Status};
use crate::output::{self, Table, ago, theirs};
use crate::reconnect::Patience;

pub(crate) async fn run(command: TaskCommand) -> Result<Status, CommandError> {
    match command {
        // What is wrong with the command line is wrong use here too; all else is not the task's doing.
        TaskCommand::Run(arguments) => start(arguments).await.map_err(|error| match error.status() {
            Status::Failed | Status::Refused => error.with_status(Status::NotRun),
            Status::Done | Status::Misused | Status::Interrupted | Status::Task(_) | Status::NotRun => error,
        }),
        TaskCommand::List(arguments) => list(arguments).await,
        TaskCommand::Stop(arguments) => stop(arguments).await,
    }
}

async fn start(arguments: TaskRun) -> Result<Status, CommandError> {
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

async fn list(arguments: TaskList) -> Result<Status, CommandError> {
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

/// Which hosts are missing in a list of tasks.
pub(super) fn note_silent(hosts: &[String]) {
    for host in hosts {
        output::note(&format!(
            "warning: host {host} does not answer: its tasks are shown as they were last; `windlass status` says since when"
        ));
    }
}

async fn stop(arguments: TaskStop) -> Result<Status, CommandError> {
    let TaskStop { id, place } = arguments;
    place.client()?.stop_task(&id).await?;
    if place.json {
        output::json(&serde_json::json!({ "id": id }))?;
    } else {
        output::result(&format!("asked task {id} to stop"))?;
    }
    Ok(Status::Done)
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
