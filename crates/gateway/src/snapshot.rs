//! What the gateway knows, on disk: so that it serves again after a restart with no service running.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use windlass_core::gateway::{ServiceKey, ServiceSpec, SetMaintenance};
use windlass_core::names::Generation;

use crate::spec;

/// The file's content.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Snapshot {
    format: Format,
    pub(crate) services: Vec<ServiceSpec>,
    /// What is gone, so that a late write does not bring it back.
    pub(crate) removed: Vec<Removed>,
    /// What was said last of keeping apps from their clients.
    #[serde(default)]
    pub(crate) maintenance: Vec<SetMaintenance>,
    /// What was there and cannot be read, where its key can.
    #[serde(skip)]
    pub(crate) lost: Vec<Lost>,
}

/// A service that was damaged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lost {
    pub(crate) key: ServiceKey,
    /// Which it had, where that can be read: nothing older takes its place.
    pub(crate) generation: Option<Generation>,
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

/// The file's content before each part is understood by itself.
#[derive(Debug, Deserialize)]
struct Parts {
    #[expect(dead_code, reason = "another one is not understood at all")]
    format: Format,
    services: Vec<Value>,
    removed: Vec<Value>,
    #[serde(default)]
    maintenance: Vec<Value>,
}

/// A part that is not understood.
#[derive(Debug)]
pub(crate) struct Damage {
    key: Option<ServiceKey>,
    error: String,
}

/// Where it is kept.
#[derive(Debug, Clone)]
pub(crate) struct SnapshotFile {
    path: PathBuf,
}

impl Snapshot {
    pub(crate) fn new(services: Vec<ServiceSpec>, removed: Vec<Removed>, maintenance: Vec<SetMaintenance>) -> Self {
        Self { format: Format::One, services, removed, maintenance, lost: Vec::new() }
    }
}

/// All of it that is not damaged. An error: none of it.
pub(crate) fn understood(text: &[u8]) -> serde_json::Result<(Snapshot, Vec<Damage>)> {
    serde_json::from_slice::<Parts>(text).map(Parts::read)
}

impl Parts {
    fn read(self) -> (Snapshot, Vec<Damage>) {
        let (mut snapshot, mut damage) = (Snapshot::default(), Vec::new());
        let (mut keys, mut places) = (BTreeSet::new(), BTreeSet::new());
        for part in self.services {
            match understand(&part, &keys, &places) {
                Ok(spec) => {
                    keys.insert(spec.key.clone());
                    places.extend(spec.routes.iter().map(|route| (route.host.clone(), route.path.clone())));
                    snapshot.services.push(spec);
                }
                Err(error) => {
                    let key = key_of(&part);
                    let generation = part["generation"].as_u64().map(Generation);
                    snapshot.lost.extend(key.clone().map(|key| Lost { key, generation }));
                    damage.push(Damage { key, error });
                }
            }
        }
        // Its other part is whole.
        snapshot.lost.retain(|lost| !keys.contains(&lost.key));
        for part in self.removed {
            match Removed::deserialize(&part) {
                Ok(removed) => snapshot.removed.push(removed),
                Err(error) => damage.push(Damage { key: key_of(&part), error: error.to_string() }),
            }
        }
        for part in self.maintenance {
            match SetMaintenance::deserialize(&part) {
                Ok(said) => snapshot.maintenance.push(said),
                Err(error) => damage.push(Damage { key: key_of(&part), error: error.to_string() }),
            }
        }
        (snapshot, damage)
    }
}

fn understand(
    part: &Value,
    keys: &BTreeSet<ServiceKey>,
    places: &BTreeSet<(String, String)>,
) -> Result<ServiceSpec, String> {
    let spec = ServiceSpec::deserialize(part).map_err(|error| error.to_string())?;
    let spec = spec::checked(spec).map_err(|refusal| format!("{refusal}: {}", refusal.errors.join("; ")))?;
    if keys.contains(&spec.key) {
        return Err("it is there twice".to_owned());
    }
    match spec.routes.iter().find(|route| places.contains(&(route.host.clone(), route.path.clone()))) {
        Some(route) => Err(format!("another service has {route}")),
        None => Ok(spec),
    }
}

fn key_of(part: &Value) -> Option<ServiceKey> {
    part["key"].as_str().map(|key| ServiceKey(key.to_owned()))
}

impl SnapshotFile {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// What was stored last. What of it cannot be understood is left out, and the file is kept aside: a gateway that
    /// starts without a service is told of it again, one that does not start is not.
    pub(crate) fn load(&self) -> io::Result<Snapshot> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(self.folder())?;
        let text = match fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Snapshot::default()),
            Err(error) => return Err(error),
        };
        let aside = self.beside(".broken");
        let (path, kept) = (self.path.display(), aside.display());
        match understood(&text) {
            Ok((snapshot, damage)) => {
                if !damage.is_empty() {
                    fs::copy(&self.path, &aside)?;
                }
                for Damage { key, error } in damage {
                    let key = key.map_or("unknown".to_owned(), |key| key.0);
                    tracing::error!(
                        service.key = key, error, snapshot.path = %path, snapshot.kept = %kept,
                        "a part of the snapshot is broken: starting without it"
                    );
                }
                Ok(snapshot)
            }
            Err(error) => {
                fs::rename(&self.path, &aside)?;
                tracing::error!(
                    %error, snapshot.path = %path, snapshot.kept = %kept, "snapshot is broken: starting without services"
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

    #[tokio::test]
    #[expect(clippy::disallowed_methods, reason = "a damaged file is just what is wanted here")]
    async fn a_damaged_part_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.json");
        let file = SnapshotFile::new(path.clone());
        let specs = ["a", "b", "c"].map(|key| service(key, &[(&format!("{key}.test"), "/")]).spec.clone());
        let removed =
            ["x", "y"].map(|key| Removed { key: ServiceKey(key.to_owned()), generation: Generation(7), at: None });
        file.store(&Snapshot::new(specs.to_vec(), removed.into(), Vec::new())).await.unwrap();
        let whole: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let damaged = |damage: &dyn Fn(&mut Value)| {
            let mut snapshot = whole.clone();
            damage(&mut snapshot);
            fs::write(&path, snapshot.to_string()).unwrap();
            let loaded = file.load().unwrap();
            let kept: Value = serde_json::from_slice(&fs::read(path.with_extension("json.broken")).unwrap()).unwrap();
            assert_eq!(kept, snapshot);
            loaded
        };
        let lost = |generation| Lost { key: ServiceKey("b".to_owned()), generation };
        let others = [specs[0].clone(), specs[2].clone()];

        let loaded = damaged(&|snapshot| snapshot["services"][1]["routes"] = "?".into());
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![lost(Some(Generation(1)))]));
        let loaded = damaged(&|snapshot| snapshot["services"][1]["generation"] = "?".into());
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![lost(None)]));
        let loaded = damaged(&|snapshot| snapshot["services"][1]["key"] = 5.into());
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![]), "nobody knows whose it was");
        let loaded = damaged(&|snapshot| snapshot["services"][1]["probe"]["path"] = "up".into());
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![lost(Some(Generation(1)))]), "refused");
        let loaded = damaged(&|snapshot| snapshot["services"][1]["routes"][0]["host"] = "a.test".into());
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![lost(Some(Generation(1)))]), "taken");
        let loaded = damaged(&|snapshot| snapshot["services"][1] = Value::Null);
        assert_eq!((loaded.services, loaded.lost), (others.to_vec(), vec![]));
        let loaded = damaged(&|snapshot| snapshot["removed"][0] = "?".into());
        assert_eq!((loaded.services.len(), loaded.removed.len(), loaded.lost.len()), (3, 1, 0));
    }
}
