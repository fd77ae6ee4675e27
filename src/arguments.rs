//! Arguments that several commands take.

use std::str::FromStr;

use clap::Args;
use jiff::Timestamp;
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::quantity::Duration;

/// Which server, which stage of which project, which app. Strings where the environment may say it: there, an empty
/// value is as good as none.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Where")]
pub(crate) struct Where {
    /// The GitHub repository [default: the Git remote `origin`]
    #[arg(short, long, env = "WINDLASS_PROJECT", value_name = "OWNER/NAME")]
    pub(crate) project: Option<String>,
    /// The stage [default: the only one in windlass.toml, or `production` if it is there]
    #[arg(short, long, env = "WINDLASS_STAGE", value_name = "NAME")]
    pub(crate) stage: Option<String>,
    /// The app [default: the only one in windlass.toml]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) app: Option<AppName>,
    /// The service's address
    #[arg(long, env = "WINDLASS_SERVER", value_name = "URL", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// What it knows you by; better given in the environment, where other users of the machine do not see it
    #[arg(long, env = "WINDLASS_TOKEN", value_name = "TOKEN", hide_env_values = true, value_parser = secret)]
    pub(crate) token: Option<secrecy::SecretString>,
    /// Print one JSON document instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}

/// A value that is not shown when the command line is.
pub(crate) fn secret(value: &str) -> Result<secrecy::SecretString, std::convert::Infallible> {
    Ok(value.into())
}

/// `12`, or `api=12` where a project has several apps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReleaseChoice {
    pub(crate) app: Option<AppName>,
    pub(crate) number: ReleaseNumber,
}

impl FromStr for ReleaseChoice {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        let (app, number) = match value.split_once('=') {
            Some((app, number)) => {
                (Some(app.parse().map_err(|error: windlass_core::names::InvalidName| error.to_string())?), number)
            }
            None => (None, value),
        };
        let number = number.parse().map_err(|_| "expected a release's number, such as 12 or api=12".to_owned())?;
        Ok(Self { app, number })
    }
}

/// A moment, or how long ago it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    Ago(Duration),
    At(Timestamp),
}

impl Since {
    pub(crate) fn before(self, now: Timestamp) -> Timestamp {
        match self {
            Self::Ago(duration) => now.checked_sub(duration.0).unwrap_or(Timestamp::MIN),
            Self::At(at) => at,
        }
    }
}

impl FromStr for Since {
    type Err = &'static str;

    fn from_str(value: &str) -> Result<Self, &'static str> {
        let ago = value.parse().map(Self::Ago);
        let at = || value.parse().map(Self::At);
        ago.or_else(|_| at()).map_err(|_| "expected how long ago, such as 10m, or a time, such as 2026-01-31T12:00:00Z")
    }
}

/// What is logged, and how. It goes to standard error.
#[cfg(feature = "service")]
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub(crate) struct Logging {
    /// What is logged: a level, or levels by module
    #[arg(long, env = "WINDLASS_LOG", value_name = "LEVEL", default_value = "info")]
    pub(crate) log: String,
    /// For people or for programs
    #[arg(long, env = "WINDLASS_LOG_FORMAT", value_name = "FORMAT", value_enum, default_value_t)]
    pub(crate) log_format: LogFormat,
}

#[cfg(feature = "service")]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_chosen_by_number_or_by_app_and_number() {
        assert_eq!("12".parse(), Ok(ReleaseChoice { app: None, number: ReleaseNumber(12) }));
        assert_eq!("api=12".parse(), Ok(ReleaseChoice { app: "api".parse().ok(), number: ReleaseNumber(12) }));
        for wrong in ["", "api", "api=", "=12", "API=12", "-1"] {
            assert!(wrong.parse::<ReleaseChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn since_is_a_duration_or_a_time() {
        let now: Timestamp = "2026-01-31T12:00:00Z".parse().unwrap();
        let before = |text: &str| text.parse::<Since>().unwrap().before(now).to_string();
        assert_eq!(before("10m"), "2026-01-31T11:50:00Z");
        assert_eq!(before("2026-01-30T00:00:00Z"), "2026-01-30T00:00:00Z");
        assert!("yesterday".parse::<Since>().is_err());
    }
}
