//! What can be typed. Types only: what each command does is in `commands/`.

mod arguments;
mod build;
#[cfg(feature = "demo")]
mod demo;
mod init;
mod operate;
#[cfg(feature = "service")]
mod server;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub(crate) use arguments::{ReleaseChoice, Since, Where};
pub(crate) use build::{BuildCheck, BuildCommand};
#[cfg(feature = "demo")]
pub(crate) use demo::DemoArguments;
pub(crate) use init::Init;
pub(crate) use operate::{
    AppCommand, AppLogs, AppPs, AppStale, Cancel, Deploy, HoldCommand, HoldLift, LockAcquire, LockCommand, LockRelease,
    LockStatus, Plan, ReleaseActivate, ReleaseCommand, ReleaseCreate, ReleaseList, Rollback, StatusArguments,
    TaskCommand, TaskList, TaskRun, TaskStop,
};
#[cfg(feature = "service")]
pub(crate) use server::{Gateway, LogFormat, Logging, Serve, TokenCommand, TokenCreate, TokenList, TokenRevoke};

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
    Deploy(Deploy),
    Rollback(Rollback),
    Cancel(Cancel),
    Status(StatusArguments),
    Plan(Plan),
    /// Register releases, list them, make one active
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Run a command in a release's image; list and stop such tasks
    #[command(subcommand)]
    Task(TaskCommand),
    /// Look at what runs
    #[command(subcommand)]
    App(AppCommand),
    /// What a rollback leaves against automatic deployments
    #[command(subcommand)]
    Hold(HoldCommand),
    /// Keep a stage as it is for a while: a person's claim on it, with a reason
    #[command(subcommand)]
    Lock(LockCommand),
    Init(Init),
    /// Make images
    #[command(subcommand)]
    Build(BuildCommand),
    /// Entry point of the container action; reads what a runner of GitHub Actions gives
    #[command(hide = true)]
    Action,
    Config(Config),
    Doctor(Doctor),
    Completions(Completions),
    #[cfg(feature = "service")]
    Serve(Serve),
    #[cfg(feature = "service")]
    Gateway(Gateway),
    #[cfg(feature = "demo")]
    Demo(DemoArguments),
    /// Make, list and end tokens; on the server, beside the running service
    #[cfg(feature = "service")]
    #[command(subcommand)]
    Token(TokenCommand),
}

/// Check a configuration file, show what it means, or print its annotated reference
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass config                              check ./windlass.toml
  windlass config --stage staging              show what it means for a stage
  windlass config --server windlass-server.toml
  windlass config --reference > windlass.toml  every key, annotated")]
pub(crate) struct Config {
    /// The file [default: windlass.toml, or windlass-server.toml with --server]
    pub(crate) file: Option<PathBuf>,
    /// It is a server's file
    #[arg(long)]
    pub(crate) server: bool,
    /// Print every key of the file, annotated
    #[arg(long, conflicts_with_all = ["file", "stage", "json"])]
    pub(crate) reference: bool,
    /// Print what the file says for this stage
    #[arg(short, long, conflicts_with = "server")]
    pub(crate) stage: Option<windlass_core::names::StageName>,
    /// As JSON
    #[arg(long, requires = "stage")]
    pub(crate) json: bool,
}

/// Check what Windlass needs: Docker, the files, the server, GitHub
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass doctor                                 from a developer's machine
  windlass doctor --config windlass-server.toml   on the server")]
pub(crate) struct Doctor {
    #[command(flatten)]
    pub(crate) place: Where,
    /// Check this server's file too, and what it names
    #[cfg(feature = "service")]
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// The Docker Engine of this machine
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = "unix:///var/run/docker.sock")]
    pub(crate) docker: String,
}

/// Print the completions of a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass completions bash > ~/.local/share/bash-completion/completions/windlass
  windlass completions zsh > ~/.zfunc/_windlass")]
pub(crate) struct Completions {
    /// Which
    pub(crate) shell: clap_complete::Shell,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
