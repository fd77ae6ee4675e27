//! `windlass release`

mod activate;
mod create;
mod list;

use clap::Subcommand;

use crate::error::{CommandError, Status};

/// Register releases, list them, make one active
#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    List(list::ReleaseList),
    Create(create::ReleaseCreate),
    Activate(activate::ReleaseActivate),
}

pub(crate) async fn run(command: ReleaseCommand) -> Result<Status, CommandError> {
    match command {
        ReleaseCommand::List(arguments) => list::run(arguments).await,
        ReleaseCommand::Create(arguments) => create::run(arguments).await,
        ReleaseCommand::Activate(arguments) => activate::run(arguments).await,
    }
}
