//! What makes images.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Where;

#[derive(Debug, Subcommand)]
pub(crate) enum BuildCommand {
    Check(BuildCheck),
}

/// Check what a build in GitHub Actions needs, without building: Docker, the Dockerfile, the registry, the server
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass build check                    the Docker Engine, every app's Dockerfile and registry, the server
  windlass build check --app api --json
  WINDLASS_REGISTRY_PASSWORD=… windlass build check --registry-username bot")]
pub(crate) struct BuildCheck {
    /// The file that says what the app is
    #[arg(long, value_name = "FILE", default_value = "windlass.toml")]
    pub(crate) config: PathBuf,
    /// Who signs in to the registry
    #[arg(long, env = "WINDLASS_REGISTRY_USERNAME", value_name = "NAME")]
    pub(crate) registry_username: Option<String>,
    /// With what; better given in the environment, where other users of the machine do not see it
    #[arg(
        long,
        env = "WINDLASS_REGISTRY_PASSWORD",
        value_name = "PASSWORD",
        hide_env_values = true,
        value_parser = super::arguments::secret
    )]
    pub(crate) registry_password: Option<secrecy::SecretString>,
    /// The Docker Engine of this machine
    #[arg(long, env = "DOCKER_HOST", value_name = "URL", default_value = crate::image::DOCKER)]
    pub(crate) docker: String,
    #[command(flatten)]
    pub(crate) place: Where,
}
