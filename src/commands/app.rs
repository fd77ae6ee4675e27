//! `windlass app`

mod logs;
mod ps;
mod stale;

use crate::cli::AppCommand;
use crate::error::{CommandError, Status};

pub(crate) async fn run(command: AppCommand) -> Result<Status, CommandError> {
    match command {
        AppCommand::Ps(arguments) => ps::run(arguments).await,
        AppCommand::Logs(arguments) => logs::run(arguments).await,
        AppCommand::Stale(arguments) => stale::run(arguments).await,
    }
}
