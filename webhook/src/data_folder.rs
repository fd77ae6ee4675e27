//! The data folder: the service's eyes only, one service at a time, and never begun anew in silence.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The store's file in the data folder.
pub(crate) const STORE: &str = "windlass.db";
/// The installation's key.
pub(crate) const KEY: &str = "fingerprint.key";
const LOCK: &str = "serve.lock";
/// What Windlass makes in it begins so.
const OURS: [&str; 4] = ["windlass.", "fingerprint.", "serve.lock", "gateway"];
/// The folder of the account and the certificates.
pub(crate) const CERTIFICATES: &str = "acme";
const FOLDER_MODE: u32 = 0o700;
pub(crate) const FILE_MODE: u32 = 0o600;
/// What `windlass token` does while it has the folder takes less.
const SHORTLY: Duration = Duration::from_secs(3);

/// Why a data folder cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be used.
    #[error("the data folder {} cannot be used", folder.display())]
    Unusable {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// Another service works with it.
    #[error("another windlass service uses the data folder {}", folder.display())]
    AlreadyRunning { folder: PathBuf },
    /// Something is left of an installation, and its store is not.
    #[error("the store {} {is}, and what belongs to it is there: {}", store.display(), left.join(", "))]
    StoreLost {
        store: PathBuf,
        /// How it is not there.
        is: &'static str,
        /// What is left.
        left: Vec<String>,
    },
    /// A new installation is wanted where there is one.
    #[error("there is a store in {} already: it is no new installation", folder.display())]
    StoreThere { folder: PathBuf },
}

/// Whether a store that is not there is a mishap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// It is, where something else of an installation is.
    AsFound,
    /// A new installation is wanted, whatever is left of an earlier one.
    Anew,
}

/// Makes the folder, or takes from others what they may do in it. What is not Windlass's alone is not touched.
///
/// # Errors
///
/// When it cannot be made, or others may look into it and it cannot be closed to them.
pub fn close_to_others(folder: &Path) -> io::Result<()> {
    if !folder.is_dir() {
        return DirBuilder::new().recursive(true).mode(FOLDER_MODE).create(folder);
    }
    let open = fs::metadata(folder)?.mode() & 0o077 != 0;
    let mut stranger = None;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if name != CERTIFICATES && !OURS.iter().any(|ours| name.starts_with(ours)) {
            stranger.get_or_insert(name);
            continue;
        }
        let metadata = entry.metadata()?;
        if metadata.is_file() && metadata.mode() & 0o077 != 0 {
            fs::set_permissions(entry.path(), Permissions::from_mode(FILE_MODE))?;
        }
    }
    match stranger {
        _ if !open => Ok(()),
        None => fs::set_permissions(folder, Permissions::from_mode(FOLDER_MODE)),
        Some(name) => Err(io::Error::other(format!(
            "others may look into it, and it holds what is not Windlass's ({name}): give Windlass a folder of its own, or \
             say `chmod 700`"
        ))),
    }
}

/// Locks the folder for as long as the file lives. Whoever has it for a moment is waited for.
pub(crate) async fn claim(folder: &Path) -> Result<File, FolderError> {
    let begun = Instant::now();
    loop {
        match try_claim(folder)? {
            Some(lock) => return Ok(lock),
            None if begun.elapsed() > SHORTLY => {
                return Err(FolderError::AlreadyRunning { folder: folder.to_owned() });
            }
            None => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// `None`: somebody has it.
pub(crate) fn try_claim(folder: &Path) -> Result<Option<File>, FolderError> {
    let failed = |source| FolderError::Unusable { folder: folder.to_owned(), source };
    close_to_others(folder).map_err(failed)?;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).write(true).mode(FILE_MODE);
    let file = options.open(folder.join(LOCK)).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(fs::TryLockError::WouldBlock) => Ok(None),
        Err(fs::TryLockError::Error(source)) => Err(failed(source)),
    }
}

/// Refuses to take a folder for a new one of which the store is lost.
pub(crate) fn look_for_the_store(folder: &Path, beginning: Beginning) -> Result<(), FolderError> {
    let there = fs::metadata(folder.join(STORE)).is_ok_and(|store| store.len() > 0);
    let failed = |source| FolderError::Unusable { folder: folder.to_owned(), source };
    match (there, beginning) {
        (true, Beginning::AsFound) => Ok(()),
        (true, Beginning::Anew) => Err(FolderError::StoreThere { folder: folder.to_owned() }),
        (false, Beginning::Anew) => {
            tracing::warn!(folder = %folder.display(), "a new installation begins: what an earlier one left is not touched");
            Ok(())
        }
        (false, Beginning::AsFound) => {
            let left = remains(folder).map_err(failed)?;
            if left.is_empty() {
                return Ok(());
            }
            let store = folder.join(STORE);
            let is = if store.exists() { "is empty" } else { "is gone" };
            Err(FolderError::StoreLost { store, is, left })
        }
    }
}

/// What only an installation that has worked leaves.
fn remains(folder: &Path) -> io::Result<Vec<String>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_copy = name.starts_with("windlass.before-") && name.ends_with(".db");
        let is_log = name == format!("{STORE}-wal") && entry.metadata()?.len() > 0;
        let is_snapshot = name.starts_with("gateway-") && name.ends_with(".json");
        if name == KEY || is_copy || is_log || is_snapshot {
            left.push(name);
        }
    }
    left.sort();
    Ok(left)
}

/// The file, for the service's eyes only from its first moment on.
pub(crate) fn make_file(path: &Path) -> io::Result<PathBuf> {
    OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(path)?;
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    fn folder_with(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            File::create(folder.path().join(file)).unwrap();
            fs::set_permissions(folder.path().join(file), Permissions::from_mode(0o644)).unwrap();
        }
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        folder
    }

    #[test]
    fn a_folder_that_others_may_look_into_is_closed_with_all_that_is_in_it() {
        let folder = folder_with(&["windlass.db", "windlass.db-wal", "windlass.before-7.db", KEY, "gateway-a.json"]);
        close_to_others(folder.path()).unwrap();
        assert_eq!(mode(folder.path()), 0o700);
        for file in fs::read_dir(folder.path()).unwrap() {
            let path = file.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
        }
    }

    #[test]
    fn a_folder_with_what_is_not_ours_is_refused_and_not_touched_unless_it_is_closed() {
        let folder = folder_with(&["windlass.db", "notes.txt"]);
        let refused = close_to_others(folder.path()).unwrap_err().to_string();
        assert!(refused.contains("notes.txt") && refused.contains("chmod 700"), "{refused}");
        assert_eq!((mode(folder.path()), mode(&folder.path().join("notes.txt"))), (0o755, 0o644));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).unwrap();
        close_to_others(folder.path()).unwrap();
        assert_eq!(mode(&folder.path().join("notes.txt")), 0o644);
    }
}
