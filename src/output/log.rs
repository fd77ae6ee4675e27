//! The log of the commands that run for long.

use tracing::Level;
use tracing_subscriber::filter::{ParseError, filter_fn};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

use crate::arguments::{LogFormat, Logging};
use crate::error::CommandError;

/// From here on, what happens is logged to standard error.
pub(crate) fn start_log(logging: &Logging) -> Result<(), CommandError> {
    let filter = filter(&logging.log).map_err(|error| {
        CommandError::misused(format!("`{}` does not say what to log", logging.log))
            .caused_by(&error)
            .hint("give a level (error, warn, info, debug, trace), or levels by module: info,windlass_webhook=debug")
    })?;
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let lines = match logging.log_format {
        LogFormat::Text => lines.with_ansi(super::colours_on_stderr()).boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let harmless = filter_fn(|metadata| may_be_logged(metadata.target(), *metadata.level()));
    tracing_subscriber::registry().with(lines.with_filter(harmless)).with(filter).init();
    Ok(())
}

/// What is asked for by name comes after what is left out by itself, and so counts.
fn filter(asked: &str) -> Result<EnvFilter, ParseError> {
    EnvFilter::try_new(SILENT.map(|library| format!("{library}=off,")).concat() + asked)
}

/// What these libraries take for an error is told by us, in our words and where it matters. `--log bollard=error` has them
/// speak too.
const SILENT: [&str; 7] = ["bollard", "hyper", "hyper_util", "reqwest", "oci_client", "tonic", "tower_http"];

/// Below info these libraries log what they send and receive: containers' environments, tokens.
const TALKATIVE: [&str; 3] = ["bollard", "hyper", "reqwest"];

fn may_be_logged(target: &str, level: Level) -> bool {
    let library = target.split("::").next().unwrap_or_default();
    level <= Level::INFO || !TALKATIVE.iter().any(|name| library.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libraries_take_for_an_error_is_silent_unless_it_is_asked_for() {
        let levels = |asked: &str| filter(asked).unwrap().to_string();
        assert!(levels("info").contains("bollard=off") && levels("info").contains("info"));
        let asked = levels("info,bollard=error");
        assert!(asked.contains("bollard=error") && !asked.contains("bollard=off"), "{asked}");
        assert!(filter("bollard=loud").is_err());
    }

    #[test]
    fn what_libraries_send_is_never_logged_whatever_was_asked_for() {
        assert!(!may_be_logged("bollard::docker", Level::DEBUG));
        assert!(!may_be_logged("reqwest::connect", Level::TRACE));
        assert!(!may_be_logged("hyper_util::client", Level::DEBUG));
        assert!(may_be_logged("bollard", Level::WARN));
        assert!(may_be_logged("windlass_webhook::deploy::runner", Level::TRACE));
    }
}
