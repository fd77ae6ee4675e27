//! The files that are written: compared with what is there first, and then all or none of them begun.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::error::CommandError;
use crate::target::unreadable;

/// One file, by its path from the repository's root.
#[derive(Debug, Serialize)]
pub(super) struct File {
    pub(super) path: &'static str,
    pub(super) state: State,
    pub(super) content: String,
}

/// What is there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    New,
    Unchanged,
    /// Something else.
    Different,
}

impl fmt::Display for State {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::New => "new",
            Self::Unchanged => "there already",
            Self::Different => "another one is there",
        })
    }
}

impl File {
    pub(super) fn compare(root: &Path, path: &'static str, content: String) -> Result<Self, CommandError> {
        let state = match fs::read(root.join(path)) {
            Ok(there) if there == content.as_bytes() => State::Unchanged,
            Ok(_) => State::Different,
            Err(error) if error.kind() == io::ErrorKind::NotFound => State::New,
            Err(error) => return Err(unreadable(Path::new(path), &error)),
        };
        Ok(Self { path, state, content })
    }
}

/// Writes what is not there already. The content of all is on disk before the first gets its name.
pub(super) fn write(root: &Path, files: &[File]) -> Result<(), CommandError> {
    let failed = |path: &Path, error: &io::Error| {
        CommandError::failed(format!("cannot write {}", path.display())).caused_by(error)
    };
    let mut ready: Vec<(NamedTempFile, PathBuf, State)> = Vec::new();
    for file in files.iter().filter(|file| file.state != State::Unchanged) {
        let path = root.join(file.path);
        let written = beside(&path, &file.content).map_err(|error| failed(&path, &error))?;
        ready.push((written, path, file.state));
    }
    for (written, path, state) in ready {
        let named = match state {
            // Whatever came there in the meantime is not ours to write over.
            State::New => written.persist_noclobber(&path),
            State::Different | State::Unchanged => written.persist(&path),
        };
        named.map_err(|error| failed(&path, &error.error))?;
    }
    Ok(())
}

fn beside(path: &Path, content: &str) -> io::Result<NamedTempFile> {
    let folder = path.parent().unwrap_or(path);
    fs::create_dir_all(folder)?;
    // As any new file: for all whom the process' mask allows it.
    let mut file = tempfile::Builder::new().permissions(fs::Permissions::from_mode(0o666)).tempfile_in(folder)?;
    file.write_all(content.as_bytes())?;
    file.as_file().sync_all()?;
    Ok(file)
}
