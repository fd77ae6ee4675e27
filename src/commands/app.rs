//! `windlass app`

mod logs;
mod maintenance;
mod ps;
mod stale;

use clap::Subcommand;

use crate::error::{CommandError, Status};

/// Look at what runs, keep it from its clients
#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    Ps(ps::AppPs),
    Logs(logs::AppLogs),
    Stale(stale::AppStale),
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
}

pub(crate) async fn run(command: AppCommand) -> Result<Status, CommandError> {
    match command {
        AppCommand::Ps(arguments) => ps::run(arguments).await,
        AppCommand::Logs(arguments) => logs::run(arguments).await,
        AppCommand::Stale(arguments) => stale::run(arguments).await,
        AppCommand::Maintenance(command) => maintenance::run(command).await,
    }
}
