//! What the service gave, on disk: a gateway that starts without its service serves with what it had. A file for each
//! certificate, so that a damaged one is one certificate's loss.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use windlass_core::gateway::Certificate;

/// The folder.
#[derive(Debug)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub(super) fn open(folder: PathBuf) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o700))?;
        Ok(Self { folder })
    }

    /// All that can be read.
    pub(super) fn load(&self) -> io::Result<Vec<Certificate>> {
        let mut certificates = Vec::new();
        for path in self.files()? {
            match fs::read(&path).and_then(|text| Ok(serde_json::from_slice(&text)?)) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => {
                    tracing::error!(%error, file.path = %path.display(), "a certificate cannot be read: the service gives it again");
                }
            }
        }
        Ok(certificates)
    }

    /// Each file whole or not at all; what is not among these any more goes last.
    pub(super) fn replace(&self, certificates: &[Certificate]) -> io::Result<()> {
        let mut names = BTreeSet::new();
        for certificate in certificates {
            let path = self.folder.join(file_name(certificate));
            write_whole(&path, &serde_json::to_vec(certificate)?)?;
            names.insert(path);
        }
        for path in self.files()?.into_iter().filter(|path| !names.contains(path)) {
            fs::remove_file(path)?;
        }
        File::open(&self.folder)?.sync_all()
    }

    fn files(&self) -> io::Result<Vec<PathBuf>> {
        let entries = fs::read_dir(&self.folder)?.map(|entry| entry.map(|entry| entry.path()));
        let mut paths = entries.collect::<io::Result<Vec<_>>>()?;
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
        paths.sort();
        Ok(paths)
    }
}

/// The same for the same names, which may have characters in them that no file's name has.
fn file_name(certificate: &Certificate) -> String {
    let digest = Sha256::digest(certificate.names.join(" ").as_bytes());
    let short: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("{short}.json")
}

fn write_whole(path: &Path, text: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let written = (|| {
        let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(&fresh)?;
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&fresh, path)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}
