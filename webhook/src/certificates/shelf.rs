//! What is kept of certificates, in a folder of the data folder: the account, and of each name one file. A file is whole or
//! it is not there, and one that cannot be read is put aside: it costs its own name a certificate, and no other.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use windlass_core::config::{AcmeChallenge, AcmeConfig, ServerConfig};

use super::NameState;
use super::leaf::Leaf;
use crate::data_folder::{CERTIFICATES, FILE_MODE};

/// No name's file ends so.
pub(super) const ACCOUNT: &str = "account.credentials";
const ENDING: &str = ".json";
/// Longer names are shortened to their hash: a file's name has 255 bytes at the most.
const LONGEST_NAME: usize = 200;

/// All that is kept of one name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct NameFile {
    pub(super) name: String,
    pub(super) certificate: Option<Got>,
    /// What was ordered and has not come yet.
    pub(super) order: Option<UnderWay>,
    /// Why there is nothing newer.
    pub(super) trouble: Option<Trouble>,
}

/// A certificate that came.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Got {
    pub(super) chain: String,
    pub(super) key: SecretPem,
    pub(super) at: Timestamp,
}

/// An order at the authority.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct UnderWay {
    pub(super) url: String,
    /// Of the certificate to come.
    pub(super) key: SecretPem,
}

/// What went wrong the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Trouble {
    /// So often without success.
    pub(super) tries: u32,
    /// In the authority's own words, where they are its.
    pub(super) problem: String,
    /// When it is tried again.
    pub(super) again: Timestamp,
    /// The challenge that was not met: the next one has its turn.
    pub(super) challenge: Option<AcmeChallenge>,
}

/// A private key in PEM. Never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct SecretPem(pub(super) String);

impl fmt::Debug for SecretPem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SecretPem(…)")
    }
}

/// A name's file as it was read.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) kept: NameFile,
    /// Of its certificate.
    pub(super) leaf: Option<Leaf>,
    /// Whether the certificate came from another authority or account: it does until there is one of ours.
    pub(super) borrowed: bool,
}

/// Of one account at one authority.
#[derive(Debug)]
pub(super) struct Shelf {
    folder: PathBuf,
    entries: Mutex<BTreeMap<String, Entry>>,
}

impl Shelf {
    /// Another directory, or another account there, has a folder of its own.
    pub(super) fn open(data: &Path, config: &AcmeConfig) -> Self {
        let (all, folder) = (data.join(CERTIFICATES), folder_of(data, config));
        let mut entries: BTreeMap<String, Entry> =
            read_folder(&folder).map(|entry| (entry.kept.name.clone(), entry)).collect();
        for other in folders(&all).filter(|other| *other != folder) {
            for entry in read_folder(&other) {
                borrow(&mut entries, entry);
            }
        }
        Self { folder, entries: Mutex::new(entries) }
    }

    pub(super) fn get(&self, name: &str) -> Option<Entry> {
        self.lock().get(name).cloned()
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// Changes what is kept of a name: on disk, and then for everybody.
    pub(super) async fn change(&self, name: &str, change: impl FnOnce(&mut NameFile)) -> io::Result<()> {
        let entry = self.get(name).unwrap_or_else(|| Entry {
            kept: NameFile { name: name.to_owned(), certificate: None, order: None, trouble: None },
            leaf: None,
            borrowed: false,
        });
        let mut kept = entry.kept.clone();
        // What is borrowed stays where it is.
        let lent = if entry.borrowed { kept.certificate.take() } else { None };
        change(&mut kept);
        self.write(&file_name(name), &kept).await?;
        let entry = match (&kept.certificate, lent) {
            (None, lent @ Some(_)) => Entry { kept: NameFile { certificate: lent, ..kept }, ..entry },
            (None, None) => Entry { leaf: None, borrowed: false, kept },
            (Some(got), _) => Entry { leaf: Leaf::of(&got.chain).ok(), borrowed: false, kept },
        };
        self.lock().insert(name.to_owned(), entry);
        Ok(())
    }

    /// Forgets a name that nobody wants any more.
    pub(super) fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_file(self.folder.join(file_name(name))) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => {
                self.lock().remove(name);
                Ok(())
            }
        }
    }

    /// The account's file; `None` where there is none that can be read.
    pub(super) fn account<T: DeserializeOwned>(&self) -> Option<T> {
        read(&self.folder.join(ACCOUNT))
    }

    pub(super) async fn keep_account(&self, account: &impl Serialize) -> io::Result<()> {
        self.write(ACCOUNT, account).await
    }

    pub(super) fn forget_account(&self) {
        if let Err(error) = fs::remove_file(self.folder.join(ACCOUNT)) {
            tracing::warn!(%error, "an account that its authority does not know any more cannot be removed");
        }
    }

    async fn write(&self, name: &str, content: &impl Serialize) -> io::Result<()> {
        let content = serde_json::to_vec(content)?;
        let (folder, path) = (self.folder.clone(), self.folder.join(name));
        let written = tokio::task::spawn_blocking(move || replace(&folder, &path, &content)).await;
        written.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of one account at one authority.
fn folder_of(data: &Path, config: &AcmeConfig) -> PathBuf {
    let account = config.external_account.as_ref().map_or("", |account| &account.key_id);
    let mut hash = Sha256::new();
    hash.update(config.directory.as_str());
    hash.update([0]);
    hash.update(account);
    let host = config.directory.host_str().unwrap_or_default().replace(|c: char| !c.is_ascii_alphanumeric(), "-");
    let called = format!("{}-{}", &host[..host.len().min(60)], &hex::encode(hash.finalize())[..8]);
    data.join(CERTIFICATES).join(called)
}

/// What an earlier authority gave is shown until this one has given something.
fn borrow(entries: &mut BTreeMap<String, Entry>, other: Entry) {
    let Some(ends) = other.leaf.as_ref().map(|leaf| leaf.ends) else { return };
    let name = other.kept.name.clone();
    match entries.get_mut(&name) {
        Some(ours)
            if ours.leaf.is_none() || ours.borrowed && ours.leaf.as_ref().is_some_and(|leaf| leaf.ends < ends) =>
        {
            ours.kept.certificate = other.kept.certificate;
            (ours.leaf, ours.borrowed) = (other.leaf, true);
        }
        Some(_) => {}
        None => {
            let kept = NameFile { order: None, trouble: None, ..other.kept };
            entries.insert(name, Entry { kept, borrowed: true, leaf: other.leaf });
        }
    }
}

fn folders(all: &Path) -> impl Iterator<Item = PathBuf> {
    let entries = fs::read_dir(all).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir())
}

fn files_of_names(folder: &Path) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    files.filter(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.ends_with(ENDING) && name != ACCOUNT
    })
}

fn read_folder(folder: &Path) -> impl Iterator<Item = Entry> {
    files_of_names(folder).filter_map(|path| {
        let mut kept: NameFile = read(&path)?;
        let leaf = kept.certificate.as_ref().map(|got| Leaf::of(&got.chain));
        let leaf = match leaf {
            Some(Err(why)) => {
                tracing::warn!(
                    name = kept.name,
                    why,
                    "the certificate that was kept cannot be read: another is ordered"
                );
                kept.certificate = None;
                None
            }
            Some(Ok(leaf)) => Some(leaf),
            None => None,
        };
        Some(Entry { kept, leaf, borrowed: false })
    })
}

/// How each name stands that something is kept of, for whoever only looks: a service may be at work.
pub(crate) fn kept_states(server: &ServerConfig) -> BTreeMap<String, NameState> {
    let Some(config) = &server.acme else { return BTreeMap::new() };
    let folder = folder_of(&server.data, config);
    let entries = files_of_names(&folder).filter_map(|path| {
        let kept: NameFile = serde_json::from_slice(&fs::read(path).ok()?).ok()?;
        let leaf = kept.certificate.as_ref().and_then(|got| Leaf::of(&got.chain).ok());
        Some((kept.name.clone(), NameState::from(Entry { kept, leaf, borrowed: false })))
    });
    entries.collect()
}

/// What cannot be understood is put aside, so that it can be looked at.
fn read<T: DeserializeOwned>(path: &Path) -> Option<T> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            tracing::warn!(file = %path.display(), %error, "it cannot be read");
            return None;
        }
    };
    match serde_json::from_slice(&text) {
        Ok(content) => Some(content),
        // The reason could quote a key.
        Err(_) => {
            let aside = path.with_extension("damaged");
            tracing::warn!(file = %path.display(), aside = %aside.display(), "it is damaged, and put aside");
            if let Err(error) = fs::rename(path, &aside) {
                tracing::warn!(file = %path.display(), %error, "it cannot be put aside");
            }
            None
        }
    }
}

/// A name's file. Its `*` is one for shells, too.
fn file_name(name: &str) -> String {
    let name = name.replacen('*', "_", 1).replace(['/', ':'], "_");
    if name.len() <= LONGEST_NAME {
        return format!("{name}{ENDING}");
    }
    format!("{}{ENDING}", hex::encode(Sha256::digest(name)))
}

/// Beside it, onto the disk, and then in its place.
fn replace(folder: &Path, path: &Path, content: &[u8]) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let beside = path.with_extension("new");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(FILE_MODE).open(&beside)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(directory: &str) -> AcmeConfig {
        let text = format!(
            "schema = 1\npublic-url = \"http://127.0.0.1\"\n[github]\ntoken = {{ env = \"A\" }}\nwebhook-secrets = [{{ env = \"B\" }}]\n\
             [hosts.a]\ndocker = \"unix:///d.sock\"\n[acme]\ndirectory = \"{directory}\"\nterms-accepted = true\n\
             [projects.\"acme/shop\".stages.production]\nbranch = \"main\"\n"
        );
        ServerConfig::parse("windlass-server.toml", &text).unwrap().acme.unwrap()
    }

    fn signed(name: &str) -> Got {
        let signed = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
        Got { chain: signed.cert.pem(), key: SecretPem(signed.signing_key.serialize_pem()), at: Timestamp::now() }
    }

    #[tokio::test]
    async fn what_is_kept_is_for_the_service_s_eyes_only_and_a_damaged_file_costs_its_own_name_only() {
        let data = tempfile::tempdir().unwrap();
        let config = config("https://one.example.com/directory");
        let shelf = Shelf::open(data.path(), &config);
        for name in ["a.example.com", "*.example.com"] {
            shelf.change(name, |kept| kept.certificate = Some(signed(name))).await.unwrap();
        }
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&shelf.folder), mode(&shelf.folder.join("a.example.com.json"))), (0o700, 0o600));
        let mut file = OpenOptions::new().write(true).open(shelf.folder.join("a.example.com.json")).unwrap();
        file.write_all(b"{{{").unwrap();

        let again = Shelf::open(data.path(), &config);
        assert_eq!(again.names(), ["*.example.com"]);
        assert!(again.get("*.example.com").unwrap().leaf.is_some());
        assert!(again.folder.join("a.example.com.damaged").exists(), "it can be looked at");
        assert!(!format!("{:?}", again.get("*.example.com")).contains("PRIVATE"));
    }

    #[tokio::test]
    async fn another_authority_s_certificate_is_shown_until_there_is_one_of_ours() {
        let data = tempfile::tempdir().unwrap();
        let earlier = Shelf::open(data.path(), &config("https://one.example.com/directory"));
        earlier.change("a.example.com", |kept| kept.certificate = Some(signed("a.example.com"))).await.unwrap();
        let shelf = Shelf::open(data.path(), &config("https://two.example.com/directory"));
        assert!(shelf.get("a.example.com").unwrap().borrowed);
        let trouble = Trouble { tries: 1, problem: "no".to_owned(), again: Timestamp::now(), challenge: None };
        shelf.change("a.example.com", |kept| kept.trouble = Some(trouble)).await.unwrap();
        assert!(shelf.get("a.example.com").unwrap().kept.certificate.is_some(), "trouble does not take it away");
        shelf.change("a.example.com", |kept| kept.certificate = Some(signed("a.example.com"))).await.unwrap();
        assert!(!shelf.get("a.example.com").unwrap().borrowed);
    }
}
