//! The operator's own files, and their changes.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

use notify::event::{AccessKind, AccessMode};
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::config::CertificateFiles;
use windlass_core::gateway::wildcard_of;

use super::Certificates;
use crate::certificates::material::Material;

/// By name.
#[derive(Debug)]
pub(super) struct Files(BTreeMap<String, Pair>);

/// One name's, with what was read of them last.
#[derive(Debug)]
struct Pair {
    at: CertificateFiles,
    content: Option<(Vec<u8>, Vec<u8>)>,
    material: Option<Material>,
    /// What is wrong with what is there now.
    problem: Option<String>,
}

impl Files {
    pub(super) fn read(files: BTreeMap<String, CertificateFiles>) -> Self {
        let pairs =
            files.into_iter().map(|(name, at)| (name, Pair { at, content: None, material: None, problem: None }));
        let mut read = Self(pairs.collect());
        read.read_again();
        read
    }

    /// Whether anything is different now.
    pub(super) fn read_again(&mut self) -> bool {
        self.0.iter_mut().fold(false, |changed, (name, pair)| pair.read(name) | changed)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = String> {
        self.0.keys().cloned()
    }

    /// What there is for a name, and what is wrong with what should be there.
    pub(super) fn find(&self, name: &str) -> (Option<&Material>, Option<String>) {
        match self.0.get(name).or_else(|| self.0.get(&wildcard_of(name)?)) {
            Some(pair) => (pair.material.as_ref(), pair.problem.clone()),
            None => (None, None),
        }
    }

    fn folders(&self) -> BTreeSet<PathBuf> {
        let paths = self.0.values().flat_map(|pair| [&pair.at.cert, &pair.at.key]);
        paths.filter_map(|path| path.parent()).map(Path::to_owned).collect()
    }
}

impl Pair {
    /// What cannot be used leaves what was there: a certificate that is written before its key is no certificate yet.
    fn read(&mut self, name: &str) -> bool {
        let content = read_file(&self.at.cert).and_then(|cert| Ok((cert, read_file(&self.at.key)?)));
        if content.as_ref().ok() == self.content.as_ref() && (content.is_ok() || self.problem.is_some()) {
            return false;
        }
        let material = content.as_ref().map_err(String::clone).and_then(|(cert, key)| {
            Material::read(cert, key).map_err(|problem| format!("{}: {problem}", self.at.cert.display()))
        });
        match material {
            Ok(material) => {
                tracing::info!(host.name = name, file.path = %self.at.cert.display(), "certificate read");
                (self.material, self.problem) = (Some(material), None);
            }
            Err(problem) => {
                tracing::error!(host.name = name, problem, "certificate cannot be used");
                self.problem = Some(problem);
            }
        }
        self.content = content.ok();
        true
    }
}

fn read_file(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

/// Files that are read again when something changes in their folders, until it is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    _watcher: RecommendedWatcher,
    _reader: AbortOnDropHandle<()>,
}

/// `None`: there are none.
pub(crate) fn watch(certificates: &Arc<Certificates>) -> Option<Watch> {
    let folders = certificates.known().files.folders();
    if folders.is_empty() {
        return None;
    }
    let changed = Arc::new(Notify::new());
    let bell = Arc::clone(&changed);
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| is_change(event.kind)) {
            bell.notify_one();
        }
    });
    let mut watcher = match watcher {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::error!(%error, "changes of certificates will not be noticed");
            return None;
        }
    };
    for folder in folders {
        if let Err(error) = watcher.watch(&folder, RecursiveMode::NonRecursive) {
            tracing::error!(%error, folder.path = %folder.display(), "changes of certificates will not be noticed");
        }
    }
    let reader = AbortOnDropHandle::new(tokio::spawn(read_when(changed, Arc::downgrade(certificates))));
    Some(Watch { _watcher: watcher, _reader: reader })
}

/// Our own reading is told too.
fn is_change(kind: EventKind) -> bool {
    !kind.is_access() || matches!(kind, EventKind::Access(AccessKind::Close(AccessMode::Write)))
}

async fn read_when(changed: Arc<Notify>, certificates: Weak<Certificates>) {
    loop {
        changed.notified().await;
        let Some(certificates) = certificates.upgrade() else { return };
        // Reading waits for the disk.
        let read = tokio::task::spawn_blocking(move || certificates.read_files());
        if read.await.is_err() {
            return;
        }
    }
}
