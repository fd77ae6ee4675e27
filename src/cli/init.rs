//! What prepares a repository.

use std::path::PathBuf;

use clap::Args;
use windlass_core::names::{ImageName, ProjectName, StageName};

/// Prepare a repository: write windlass.toml and the workflows that deploy it and roll it back
///
/// Reads each Dockerfile for its port and its health check, and Git for the project and its branch. Files that are there
/// already and say something else are left alone.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass init --dry-run                        show what would be written
  windlass init --server https://deploy.example.com
  windlass init --stage staging --branch develop --image registry.example.com/shop")]
pub(crate) struct Init {
    /// The GitHub repository [default: the Git remote `origin`]
    #[arg(short, long, value_name = "OWNER/NAME")]
    pub(crate) project: Option<ProjectName>,
    /// The stage that the workflows deploy to
    #[arg(short, long, value_name = "NAME", default_value = "production")]
    pub(crate) stage: StageName,
    /// The branch whose commits are deployed [default: the remote's, or the one that is checked out]
    #[arg(short, long, value_name = "NAME")]
    pub(crate) branch: Option<String>,
    /// Where images are pushed to, without a tag; several apps add `-NAME` [default: ghcr.io/OWNER/NAME]
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<ImageName>,
    /// The app's Dockerfile [default: each file of that name]
    #[arg(long, value_name = "FILE")]
    pub(crate) dockerfile: Option<PathBuf>,
    /// The stage of the Dockerfile that runs [default: the last]
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Option<String>,
    /// The service's address, for what is to be done next
    #[arg(long, env = "WINDLASS_SERVER", value_name = "URL", hide_env_values = true)]
    pub(crate) server: Option<String>,
    /// Write over files that say something else
    #[arg(long)]
    pub(crate) force: bool,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print one JSON document instead
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
}
