//! `windlass task`

mod list;
mod run;
mod stop;

use clap::Subcommand;

use crate::error::{CommandError, Status};
use crate::output;

/// Run a command in a release's image; list and stop such tasks
#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    Run(run::TaskRun),
    List(list::TaskList),
    Stop(stop::TaskStop),
}

pub(crate) async fn run(command: TaskCommand) -> Result<Status, CommandError> {
    match command {
        // What is wrong with the command line is wrong use here too; all else is not the task's doing.
        TaskCommand::Run(arguments) => run::run(arguments).await.map_err(|error| match error.status() {
            Status::Failed | Status::Refused => error.with_status(Status::NotRun),
            Status::Done | Status::Misused | Status::Interrupted | Status::Task(_) | Status::NotRun => error,
        }),
        TaskCommand::List(arguments) => list::run(arguments).await,
        TaskCommand::Stop(arguments) => stop::run(arguments).await,
    }
}

/// Which hosts are missing in a list of tasks.
pub(super) fn note_silent(hosts: &[String]) {
    for host in hosts {
        output::note(&format!(
            "warning: host {host} does not answer: its tasks are shown as they were last; `windlass status` says since when"
        ));
    }
}
