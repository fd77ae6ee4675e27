//! The command line of Windlass.

mod action;
mod arguments;
mod checkout;
mod cli;
mod client;
mod commands;
mod error;
mod follow;
mod image;
#[cfg(feature = "service")]
mod memory;
mod output;
mod pages;
mod recipe;
mod reconnect;
mod style;
mod target;
mod theirs;

use std::process::ExitCode;

use clap::Parser;

use error::{CommandError, Status};

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    #[cfg(feature = "service")]
    if let cli::Command::Serve(_) = cli.command {
        memory::give_back();
    }
    match run(cli) {
        Ok(status) => status.into(),
        Err(error) => {
            output::error(&error);
            error.status().into()
        }
    }
}

fn run(cli: cli::Cli) -> Result<Status, CommandError> {
    let runtime = tokio::runtime::Runtime::new()
        .map_err(|error| CommandError::failed("the system gives no threads").caused_by(&error))?;
    let status = runtime.block_on(cli.command.run());
    // What still reads from the terminal or resolves a name must not keep the process.
    runtime.shutdown_background();
    status
}
