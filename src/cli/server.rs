//! The commands that run on the server.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use windlass_core::api::Scope;
use windlass_core::names::{HostName, ProjectName, StageName};

/// Run the service: takes GitHub's deliveries, deploys, answers people and programs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass serve --config /etc/windlass/windlass-server.toml
  windlass doctor --config windlass-server.toml      check first what it needs")]
pub(crate) struct Serve {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    pub(crate) config: PathBuf,
    /// Begin a new installation, although something is left of an earlier one whose store is lost
    #[arg(long)]
    pub(crate) new: bool,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// Run the HTTP front of one host
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass gateway --config /etc/windlass/windlass-server.toml
  windlass gateway --config /etc/windlass/windlass-server.toml --host a")]
pub(crate) struct Gateway {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    pub(crate) config: PathBuf,
    /// Of which host of the file [default: the only one]
    #[arg(long, value_name = "NAME")]
    pub(crate) host: Option<HostName>,
    #[command(flatten)]
    pub(crate) logging: Logging,
}

/// What is logged, and how. It goes to standard error.
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    Create(TokenCreate),
    List(TokenList),
    Revoke(TokenRevoke),
}

/// Make a token and print it, once
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token create --name anna --scopes admin
  windlass token create --name ci --scopes release,deploy --project acme/shop --stage staging --json")]
pub(crate) struct TokenCreate {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    pub(crate) config: PathBuf,
    /// Whose it is: shown as who did what
    #[arg(long)]
    pub(crate) name: String,
    /// What it may do: read, release, deploy, admin
    #[arg(long, value_delimiter = ',', required = true, value_name = "SCOPES")]
    pub(crate) scopes: Vec<Scope>,
    /// Only for this project
    #[arg(short, long, value_name = "OWNER/NAME")]
    pub(crate) project: Option<ProjectName>,
    /// Only for this stage
    #[arg(short, long, value_name = "NAME")]
    pub(crate) stage: Option<StageName>,
    /// Print one JSON document instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// List the tokens; their values are not kept
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token list --config windlass-server.toml")]
pub(crate) struct TokenList {
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    pub(crate) config: PathBuf,
    /// Print one JSON document instead
    #[arg(long)]
    pub(crate) json: bool,
}

/// End a token from now on
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass token revoke 3 --config windlass-server.toml")]
pub(crate) struct TokenRevoke {
    /// Its number, as `token list` shows it
    pub(crate) id: i64,
    /// The server's file
    #[arg(long, value_name = "FILE", default_value = "windlass-server.toml")]
    pub(crate) config: PathBuf,
    /// Print one JSON document instead
    #[arg(long)]
    pub(crate) json: bool,
}
