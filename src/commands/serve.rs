//! `windlass serve`

use std::path::PathBuf;

use clap::Args;
use windlass_webhook::Beginning;

use super::server_file;
use super::stop::asked_to_stop;
use crate::arguments::Logging;
use crate::error::{CommandError, Status};
use crate::output::start_log;

/// Run the service: takes GitHub's deliveries, deploys, answers people and programs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass serve --config /etc/windlass/windlass-server.toml
  windlass doctor --config windlass-server.toml      check first what it needs")]
pub(crate) struct Serve {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    config: PathBuf,
    /// Begin a new installation, although something is left of an earlier one whose store is lost
    #[arg(long)]
    new: bool,
    #[command(flatten)]
    logging: Logging,
}

pub(crate) async fn run(arguments: Serve) -> Result<Status, CommandError> {
    let Serve { config, new, logging } = arguments;
    let beginning = if new { Beginning::Anew } else { Beginning::AsFound };
    start_log(&logging)?;
    let config = server_file::read(&config)?;
    server_file::warn(&config);
    // Heard from the beginning: whoever asks while it starts is not overheard.
    let stop = asked_to_stop()?;
    let service = windlass_webhook::serve(config, beginning).await?;
    stop.await;
    service.stop().await;
    Ok(Status::Done)
}
