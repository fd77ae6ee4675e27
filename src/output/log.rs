//! The log of the commands that run for long.

use tracing_subscriber::EnvFilter;

use crate::cli::{LogFormat, Logging};
use crate::error::CommandError;

/// From here on, what happens is logged to standard error.
pub(crate) fn start_log(logging: &Logging) -> Result<(), CommandError> {
    let filter = EnvFilter::try_new(&logging.log).map_err(|error| {
        CommandError::misused(format!("`{}` does not say what to log", logging.log))
            .caused_by(&error)
            .hint("give a level (error, warn, info, debug, trace), or levels by module: info,windlass_webhook=debug")
    })?;
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match logging.log_format {
        LogFormat::Text => log.with_ansi(super::colours_on_stderr()).init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
    Ok(())
}
