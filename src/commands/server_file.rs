//! Reads `windlass-server.toml` for the commands that run on the server.

use std::path::Path;

use windlass_core::config::ServerConfig;
use windlass_core::hint::Hint;
use windlass_webhook::{FolderError, ServeError, StoreError};

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

/// What of the file will not do what it seems to, in the log of whoever works by it.
pub(super) fn warn(config: &ServerConfig) {
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
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
            ServeError::Engine(engine @ windlass_engine::EngineError::SameEngine { .. }) => {
                Self::from_chain(Status::Misused, &error).maybe_hint(engine.hint())
            }
            ServeError::Engine(engine) => Self::from_chain(Status::Failed, &error).maybe_hint(engine.hint()),
            ServeError::Folder(FolderError::AlreadyRunning { .. }) => Self::from_chain(Status::Failed, &error)
                .hint("stop it, or give this one another `data` folder in its file"),
            ServeError::Listen { .. } => {
                Self::from_chain(Status::Failed, &error).hint("stop what listens there, or change `listen` in the file")
            }
            ServeError::Folder(FolderError::Unusable { .. }) => Self::from_chain(Status::Failed, &error)
                .hint("let this user write the folder, or change `data` in the server's file"),
            ServeError::Folder(FolderError::StoreLost { store, left, .. }) => {
                let copy = left.iter().rev().find(|name| name.ends_with(".db"));
                let copy = copy.map(|name| format!(" (`{name}` is a copy from before an update)")).unwrap_or_default();
                Self::misused(error.to_string()).hint(format!(
                    "put {} back from a backup{copy}; or begin a new installation with `windlass serve --new`, which \
                     does not know the containers of the old one",
                    store.display()
                ))
            }
            ServeError::Folder(FolderError::StoreThere { .. }) => {
                Self::misused(error.to_string()).hint("start it without --new")
            }
            ServeError::Store(StoreError::OtherSchema { found, known }) => {
                let hint = if found > known {
                    "use the version of Windlass that made it so, or a newer one"
                } else {
                    "a service of an older version is running: use its own `windlass`, or stop it first"
                };
                Self::misused(error.to_string()).hint(hint)
            }
            ServeError::Store(_) | ServeError::GitHub(_) | ServeError::Issuer(_) => {
                Self::from_chain(Status::Failed, &error)
            }
        }
    }
}
