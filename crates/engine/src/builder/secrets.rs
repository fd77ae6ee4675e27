//! Build secrets on their way to BuildKit, which bollard reads from files.

use std::collections::BTreeMap;
use std::fs::{File, Permissions};
use std::io::Write as _;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use bollard::grpc::build::SecretSource;
use secrecy::{ExposeSecret, SecretString};

use super::error::BuildError;

/// What BuildKit takes, in bytes.
const LARGEST: usize = 500 * 1024;

/// Files that nobody can find by a name: they are gone with this process, also when it is killed.
pub(super) struct HeldSecrets(Vec<(String, File)>);

impl HeldSecrets {
    pub(super) fn hold(secrets: &BTreeMap<String, SecretString>) -> Result<Self, BuildError> {
        let files = secrets.iter().map(|(id, secret)| {
            let refused = |reason: String| BuildError::Secret { id: id.clone(), reason };
            let secret = secret.expose_secret().as_bytes();
            if secret.len() > LARGEST {
                return Err(refused(format!("it has {} bytes", secret.len())));
            }
            let mut file = tempfile::tempfile().map_err(|error| refused(error.to_string()))?;
            file.set_permissions(Permissions::from_mode(0o600)).map_err(|error| refused(error.to_string()))?;
            file.write_all(secret).map_err(|error| refused(error.to_string()))?;
            Ok((id.clone(), file))
        });
        files.collect::<Result<_, _>>().map(Self)
    }

    /// For as long as the files are held.
    pub(super) fn sources(&self) -> impl Iterator<Item = (&str, SecretSource)> {
        self.0.iter().map(|(id, file)| {
            // Opened by this path, the file is read from its beginning.
            let path = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
            (id.as_str(), SecretSource::File(path))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_secret_is_read_whole_as_often_as_wanted_and_has_no_name() {
        let value = "line\n\0\u{feff}\"$x'\\ end\r\n";
        let secrets = BTreeMap::from([("npm".to_owned(), SecretString::from(value))]);
        let held = HeldSecrets::hold(&secrets).unwrap();
        let (id, source) = held.sources().next().unwrap();
        let SecretSource::File(path) = source else { panic!("{source:?}") };
        assert_eq!(id, "npm");
        for _ in 0..2 {
            assert_eq!(std::fs::read(&path).unwrap(), value.as_bytes());
        }
        let name = std::fs::read_link(&path).unwrap();
        assert!(!name.exists(), "{}", name.display());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_secret_that_buildkit_would_not_take_is_refused_by_its_id() {
        let secrets = BTreeMap::from([("big".to_owned(), SecretString::from("x".repeat(LARGEST + 1)))]);
        let error = HeldSecrets::hold(&secrets).err().unwrap();
        assert_eq!(error.to_string(), "the build secret big cannot be handed to the build: it has 512001 bytes");
    }
}
