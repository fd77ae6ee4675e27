//! `windlass serve`

use windlass_webhook::Beginning;

use super::server_file;
use super::stop::asked_to_stop;
use crate::cli::Serve;
use crate::error::{CommandError, Status};
use crate::output::start_log;

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
