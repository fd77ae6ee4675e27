//! Reads `windlass-server.toml` for the commands that run on the server.

use std::path::Path;

use windlass_core::config::ServerConfig;
use windlass_core::hint::Hint;
use windlass_webhook::ServeError;

use crate::error::{CommandError, Status};
use crate::target::unreadable;

pub(super) fn read(path: &Path) -> Result<ServerConfig, CommandError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        unreadable(path, &error).hint(
            "name the server's file with --config; `windlass config --reference --server` prints one with every key",
        )
    })?;
    Ok(ServerConfig::parse(&path.display().to_string(), &text)?)
}

impl From<ServeError> for CommandError {
    fn from(error: ServeError) -> Self {
        match &error {
            ServeError::Settings(settings) => {
                let number = settings.problems.len();
                let what = if number == 1 { "a secret" } else { "secrets" };
                Self::misused(format!("the server's file names {what} that cannot be read"))
                    .details(settings.problems.iter().map(|problem| format!("  {problem}")))
                    .hint("set what is missing, or change its source in the server's file")
            }
            ServeError::Engine(engine) => Self::from_chain(Status::Failed, &error).maybe_hint(engine.hint()),
            ServeError::AlreadyRunning { .. } => Self::from_chain(Status::Failed, &error)
                .hint("stop it, or give this one another `data` folder in its file"),
            ServeError::Listen { .. } => {
                Self::from_chain(Status::Failed, &error).hint("stop what listens there, or change `listen` in the file")
            }
            ServeError::Folder { .. } => Self::from_chain(Status::Failed, &error)
                .hint("let this user write the folder, or change `data` in the server's file"),
            ServeError::Store(_) | ServeError::GitHub(_) | ServeError::Issuer(_) => {
                Self::from_chain(Status::Failed, &error)
            }
        }
    }
}
