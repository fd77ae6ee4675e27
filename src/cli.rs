//! The list of commands. What each takes and does is in its file of `commands/`.

use clap::{CommandFactory, Parser, Subcommand};

#[cfg(feature = "demo")]
use crate::commands::demo;
use crate::commands::{
    app, build, cancel, completions, config, deploy, doctor, hold, init, lock, plan, release, rollback, status, task,
};
#[cfg(feature = "service")]
use crate::commands::{gateway, serve, token};
use crate::error::{CommandError, Status};

/// Hauls a merged commit into production: releases, zero-downtime activation and rollback for teams on GitHub.
#[derive(Debug, Parser)]
#[command(
    name = "windlass",
    version,
    max_term_width = 100,
    after_help = "Examples:
  windlass status                 what runs on the stage, and what is under way
  windlass deploy --release 12    make release 12 active and wait for it
  windlass rollback               go back to the release before

Exit status: 0 done, 1 failed, 2 wrong use or configuration, 3 refused by gate, lock or policy,
130 interrupted. `task run` ends with the command's own, and with 125 when Windlass itself failed."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Deploy(deploy::Deploy),
    Rollback(rollback::Rollback),
    Cancel(cancel::Cancel),
    Status(status::StatusArguments),
    Plan(plan::Plan),
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    #[command(subcommand)]
    Task(task::TaskCommand),
    #[command(subcommand)]
    App(app::AppCommand),
    #[command(subcommand)]
    Hold(hold::HoldCommand),
    #[command(subcommand)]
    Lock(lock::LockCommand),
    Init(init::Init),
    #[command(subcommand)]
    Build(build::BuildCommand),
    /// Entry point of the container action; reads what a runner of GitHub Actions gives
    #[command(hide = true)]
    Action,
    Config(config::Config),
    Doctor(doctor::Doctor),
    Completions(completions::Completions),
    #[cfg(feature = "service")]
    Serve(serve::Serve),
    #[cfg(feature = "service")]
    Gateway(gateway::Gateway),
    #[cfg(feature = "demo")]
    Demo(demo::DemoArguments),
    #[cfg(feature = "service")]
    #[command(subcommand)]
    Token(token::TokenCommand),
}

impl Command {
    /// Does what was typed.
    pub(crate) async fn run(self) -> Result<Status, CommandError> {
        match self {
            Self::Deploy(arguments) => Box::pin(deploy::run(arguments)).await,
            Self::Rollback(arguments) => Box::pin(rollback::run(arguments)).await,
            Self::Cancel(arguments) => cancel::run(arguments).await,
            Self::Status(arguments) => status::run(arguments).await,
            Self::Plan(arguments) => plan::run(arguments).await,
            Self::Release(command) => Box::pin(release::run(command)).await,
            Self::Task(command) => Box::pin(task::run(command)).await,
            Self::App(command) => Box::pin(app::run(command)).await,
            Self::Hold(command) => hold::run(command).await,
            Self::Lock(command) => Box::pin(lock::run(command)).await,
            Self::Build(command) => Box::pin(build::run(command)).await,
            Self::Action => Ok(Box::pin(crate::action::run()).await),
            Self::Init(arguments) => init::run(&arguments),
            Self::Config(arguments) => config::run(&arguments),
            Self::Doctor(arguments) => Box::pin(doctor::run(arguments)).await,
            Self::Completions(arguments) => completions::run(&arguments, Cli::command()),
            #[cfg(feature = "service")]
            Self::Serve(arguments) => Box::pin(serve::run(arguments)).await,
            #[cfg(feature = "service")]
            Self::Gateway(arguments) => Box::pin(gateway::run(arguments)).await,
            #[cfg(feature = "demo")]
            Self::Demo(arguments) => Box::pin(demo::run(&arguments, &crate::output::Printer))
                .await
                .map_err(|error| CommandError::from_chain(Status::Failed, error.as_ref())),
            #[cfg(feature = "service")]
            Self::Token(command) => Box::pin(token::run(command)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
