//! What the gateway knows, on disk: so that it serves again after a restart with no service running.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use windlass_core::gateway::{ServiceKey, ServiceSpec, SetMaintenance};
use windlass_core::names::Generation;

/// The file's content.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Snapshot {
    format: Format,
    pub(crate) services: Vec<ServiceSpec>,
    /// What is gone, so that a late write does not bring it back.
    pub(crate) removed: Vec<Removed>,
    /// What was said last of keeping apps from their clients.
    #[serde(default)]
    pub(crate) maintenance: Vec<SetMaintenance>,
}

/// A service that was taken away.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Removed {
    pub(crate) key: ServiceKey,
    pub(crate) generation: Generation,
    /// When it was. `None`: before that was written down.
    #[serde(default)]
    pub(crate) at: Option<Timestamp>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
enum Format {
    #[default]
    #[serde(rename = "windlass-gateway-1")]
    One,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
}

impl Snapshot {
    pub(crate) fn new(services: Vec<ServiceSpec>, removed: Vec<Removed>, maintenance: Vec<SetMaintenance>) -> Self {
        Self { format: Format::One, services, removed, maintenance }
    }
}

impl SnapshotFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What was stored last. A file that cannot be understood is put aside: a gateway that starts empty is told again
    /// what to serve, one that does not start is not.
    pub(crate) fn load(&self) -> io::Result<Snapshot> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder())?;
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
            Err(error) => return Err(error),
        };
        match serde_json::from_slice(&text) {
            Ok(snapshot) => Ok(snapshot),
            Err(error) => {
                let aside = self.beside(".broken");
                fs::rename(&self.path, &aside)?;
                tracing::error!(
                    %error, snapshot.path = %self.path.display(), snapshot.kept = %aside.display(),
                    "snapshot is broken: starting without services"
                );
                Ok(Snapshot::default())
            }
        }
    }

    /// Replaces it, whole or not at all: after a crash there is the old one or the new one.
    pub(crate) async fn store(&self, snapshot: &Snapshot) -> io::Result<()> {
        let text = serde_json::to_vec(snapshot)?;
        let file = self.clone();
        tokio::task::spawn_blocking(move || file.replace(&text)).await.map_err(io::Error::other)?
    }

    fn replace(&self, text: &[u8]) -> io::Result<()> {
        let fresh = self.beside(".new");
        if let Err(error) = write_whole(&fresh, text).and_then(|()| fs::rename(&fresh, &self.path)) {
            // Half of it is no use to anybody, and takes the room that is missing.
            let _ = fs::remove_file(&fresh);
            return Err(error);
        }
        File::open(self.folder())?.sync_all()
    }

    fn folder(&self) -> &Path {
        match self.path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        }
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(suffix);
        name.into()
    }
}

/// For the gateway's user only: addresses of tasks are nobody else's business.
fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    #[tokio::test]
    async fn what_was_stored_is_loaded_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = SnapshotFile::new(folder.path().join("state/gateway.json"));
        assert!(file.load().unwrap().services.is_empty());
        let spec = service("shop", &[("shop.test", "/")]).spec.clone();
        file.store(&Snapshot::new(vec![spec.clone()], Vec::new(), Vec::new())).await.unwrap();
        assert_eq!(file.load().unwrap().services, [spec]);
        let names: Vec<_> = fs::read_dir(folder.path().join("state")).unwrap().collect();
        assert_eq!(names.len(), 1, "no temporary file is left");
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "half a file is just what is wanted here")]
    fn a_broken_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.json");
        for broken in ["", "{", r#"{"format":"windlass-gateway-2","services":[],"removed":[]}"#] {
            fs::write(&path, broken).unwrap();
            assert!(SnapshotFile::new(path.clone()).load().unwrap().services.is_empty());
            assert!(!path.exists());
            assert_eq!(fs::read_to_string(folder.path().join("gateway.json.broken")).unwrap(), broken);
        }
    }
}
