//! `windlass serve`

use super::server_file;
use super::stop::asked_to_stop;
use crate::cli::Serve;
use crate::error::{CommandError, Status};
use crate::output::start_log;

pub(crate) async fn run(arguments: Serve) -> Result<Status, CommandError> {
    let Serve { config, logging } = arguments;
    start_log(&logging)?;
    let config = server_file::read(&config)?;
    // Heard from the beginning: whoever asks while it starts is not overheard.
    let stop = asked_to_stop()?;
    let service = windlass_webhook::serve(config).await?;
    stop.await;
    service.stop().await;
    Ok(Status::Done)
}
