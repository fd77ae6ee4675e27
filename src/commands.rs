//! One file per command.

mod app;
mod build;
mod cancel;
mod completions;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod deploy;
mod doctor;
mod follow;
#[cfg(feature = "service")]
mod gateway;
mod hold;
mod init;
mod interrupt;
mod lock;
mod plan;
mod release;
mod rollback;
#[cfg(feature = "service")]
mod serve;
#[cfg(feature = "service")]
mod server_file;
mod status;
#[cfg(feature = "service")]
mod stop;
mod task;
#[cfg(feature = "service")]
mod token;

use crate::cli::Command;
use crate::error::{CommandError, Status};

pub(crate) async fn run(command: Command) -> Result<Status, CommandError> {
    match command {
        Command::Deploy(arguments) => Box::pin(deploy::run(arguments)).await,
        Command::Rollback(arguments) => Box::pin(rollback::run(arguments)).await,
        Command::Cancel(arguments) => cancel::run(arguments).await,
        Command::Status(arguments) => status::run(arguments).await,
        Command::Plan(arguments) => plan::run(arguments).await,
        Command::Release(command) => Box::pin(release::run(command)).await,
        Command::Task(command) => Box::pin(task::run(command)).await,
        Command::App(command) => Box::pin(app::run(command)).await,
        Command::Hold(command) => hold::run(command).await,
        Command::Lock(command) => Box::pin(lock::run(command)).await,
        Command::Build(command) => Box::pin(build::run(command)).await,
        Command::Action => Ok(Box::pin(crate::action::run()).await),
        Command::Init(arguments) => init::run(&arguments),
        Command::Config(arguments) => config::run(&arguments),
        Command::Doctor(arguments) => Box::pin(doctor::run(arguments)).await,
        Command::Completions(arguments) => completions::run(&arguments),
        #[cfg(feature = "service")]
        Command::Serve(arguments) => Box::pin(serve::run(arguments)).await,
        #[cfg(feature = "service")]
        Command::Gateway(arguments) => Box::pin(gateway::run(arguments)).await,
        #[cfg(feature = "demo")]
        Command::Demo(arguments) => Box::pin(demo::run(&arguments, &crate::output::Printer))
            .await
            .map_err(|error| CommandError::from_chain(Status::Failed, error.as_ref())),
        #[cfg(feature = "service")]
        Command::Token(command) => Box::pin(token::run(command)).await,
    }
}
