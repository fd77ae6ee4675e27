//! Packs a build context: a tar of the folder without what `.dockerignore` excludes. The same folder gives the same
//! bytes. Nothing is followed out of the folder.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{EntryType, Header};

use super::error::BuildError;
use super::ignored::{self, Ignored, Matches};

/// How much is sent at most, in MiB: it is held in memory.
const LARGEST_MEBIBYTES: u64 = 2048;

/// A context, ready to be sent.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) tar: Bytes,
    /// Where the Dockerfile is in it.
    pub(super) dockerfile: PathBuf,
    /// What the Dockerfile says.
    pub(super) text: String,
}

/// Packs a folder. `dockerfile` is relative to it.
pub(super) fn pack(context: &Path, dockerfile: &Path) -> Result<Packed, BuildError> {
    let (root, inside) = find(context, dockerfile)?;
    let text = fs::read(root.join(&inside)).map_err(|error| unreadable(&inside, &error))?;
    let mut packer = Packer {
        shown: context.to_owned(),
        ignored: read_ignored(&root, dockerfile)?,
        tar: tar::Builder::new(Vec::new()),
        folders: BTreeSet::new(),
        dockerfile: inside.clone(),
        left: LARGEST_MEBIBYTES << 20,
    };
    let above = packer.ignored.root();
    packer.folder(&root, Path::new(""), &above)?;
    let tar = packer.tar.into_inner().map_err(|error| unreadable(Path::new("."), &error))?;
    Ok(Packed { tar: tar.into(), dockerfile: inside, text: String::from_utf8_lossy(&text).into_owned() })
}

/// The context's folder, and where in it the Dockerfile really is.
pub(super) fn find(context: &Path, dockerfile: &Path) -> Result<(PathBuf, PathBuf), BuildError> {
    let no_context = |reason: String| BuildError::NoContext { path: context.to_owned(), reason };
    let root = context.canonicalize().map_err(|error| no_context(error.to_string()))?;
    if !root.is_dir() {
        return Err(no_context("it is not a folder".to_owned()));
    }
    let path = context.join(dockerfile);
    let found = path.canonicalize().ok().filter(|found| found.is_file());
    let found = found.ok_or_else(|| BuildError::NoDockerfile { path: path.clone() })?;
    let outside = || BuildError::DockerfileOutside { path: path.clone(), context: context.to_owned() };
    let inside = found.strip_prefix(&root).map_err(|_| outside())?.to_owned();
    Ok((root, inside))
}

pub(super) fn read_ignored(root: &Path, dockerfile: &Path) -> Result<Ignored, BuildError> {
    for path in ignored::files(root, dockerfile) {
        let shown = path.strip_prefix(root).unwrap_or(&path);
        if path.canonicalize().is_ok_and(|found| !found.starts_with(root)) {
            return Err(unreadable(shown, &io::Error::other("it is a link that leads out of the context")));
        }
        match fs::read_to_string(&path) {
            Ok(text) => return Ignored::parse(shown, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(unreadable(shown, &error)),
        }
    }
    Ok(Ignored::default())
}

struct Packer {
    /// The context's path as the user wrote it.
    shown: PathBuf,
    ignored: Ignored,
    tar: tar::Builder<Vec<u8>>,
    /// Those that are in the tar.
    folders: BTreeSet<PathBuf>,
    dockerfile: PathBuf,
    /// How many bytes of content may still come.
    left: u64,
}

impl Packer {
    /// `relative` is its path below the context, `matches` what matches it.
    fn folder(&mut self, absolute: &Path, relative: &Path, matches: &Matches) -> Result<(), BuildError> {
        let entries = fs::read_dir(absolute).and_then(|entries| entries.collect::<io::Result<Vec<_>>>());
        let mut entries = entries.map_err(|error| unreadable(relative, &error))?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let (absolute, relative) = (entry.path(), relative.join(entry.file_name()));
            let matches = self.ignored.matches(&relative, matches);
            // The Dockerfile is needed, also where it should not be copied into the image.
            let wanted = !self.ignored.excludes(&matches) || relative == self.dockerfile;
            let metadata = match fs::symlink_metadata(&absolute) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                metadata => metadata.map_err(|error| unreadable(&relative, &error))?,
            };
            if metadata.is_dir() {
                if wanted {
                    self.folder_entry(&absolute, &relative)?;
                }
                let looked_through =
                    wanted || self.dockerfile.starts_with(&relative) || self.ignored.may_bring_back_below(&relative);
                if looked_through {
                    self.folder(&absolute, &relative, &matches)?;
                }
            } else if wanted {
                self.entry(&absolute, &relative, &metadata)?;
            }
        }
        Ok(())
    }

    /// A file or a link, after the folders that it is in. Sockets, pipes and devices mean nothing elsewhere.
    fn entry(&mut self, absolute: &Path, relative: &Path, metadata: &Metadata) -> Result<(), BuildError> {
        let kind = metadata.file_type();
        if !kind.is_file() && !kind.is_symlink() {
            return Ok(());
        }
        let parents = absolute.ancestors().zip(relative.ancestors()).skip(1);
        let mut parents: Vec<_> = parents.take_while(|(_, relative)| !relative.as_os_str().is_empty()).collect();
        parents.reverse();
        for (absolute, relative) in parents {
            self.folder_entry(absolute, relative)?;
        }
        let failed = |error: io::Error| unreadable(relative, &error);
        if kind.is_symlink() {
            let target = fs::read_link(absolute).map_err(failed)?;
            return self
                .tar
                .append_link(&mut header(metadata, EntryType::Symlink, 0), relative, target)
                .map_err(failed);
        }
        let size = metadata.len();
        self.left = self
            .left
            .checked_sub(size)
            .ok_or_else(|| BuildError::ContextTooBig { path: self.shown.clone(), mebibytes: LARGEST_MEBIBYTES })?;
        let mut content = File::open(absolute).map_err(failed)?.take(size);
        self.tar
            .append_data(&mut header(metadata, EntryType::Regular, size), relative, &mut content)
            .map_err(failed)?;
        // What follows in the tar would be read as this file's end.
        if content.limit() > 0 {
            return Err(failed(io::Error::other("it became shorter while it was read")));
        }
        Ok(())
    }

    fn folder_entry(&mut self, absolute: &Path, relative: &Path) -> Result<(), BuildError> {
        if !self.folders.insert(relative.to_owned()) {
            return Ok(());
        }
        let failed = |error: io::Error| unreadable(relative, &error);
        let metadata = fs::symlink_metadata(absolute).map_err(failed)?;
        self.tar.append_data(&mut header(&metadata, EntryType::Directory, 0), relative, io::empty()).map_err(failed)
    }
}

/// Everything belongs to root, whoever checked it out.
fn header(metadata: &Metadata, kind: EntryType, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(metadata.mode() & 0o7777);
    header.set_mtime(u64::try_from(metadata.mtime()).unwrap_or_default());
    header.set_uid(0);
    header.set_gid(0);
    header
}

fn unreadable(path: &Path, error: &io::Error) -> BuildError {
    BuildError::Unreadable { path: path.to_owned(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use windlass_core::hint::Hint;

    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn with(files: &[(&str, &str)]) -> Self {
            let folder = Self(tempfile::tempdir().unwrap());
            for (path, content) in files {
                let path = folder.path(path);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                io::Write::write_all(&mut File::create(path).unwrap(), content.as_bytes()).unwrap();
            }
            folder
        }

        fn path(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn pack(&self) -> Result<Packed, BuildError> {
            pack(self.0.path(), Path::new("Dockerfile"))
        }

        fn packed(&self) -> Vec<String> {
            names(&self.pack().unwrap())
        }
    }

    fn names(packed: &Packed) -> Vec<String> {
        let mut archive = tar::Archive::new(packed.tar.as_ref());
        archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect()
    }

    #[test]
    fn the_folder_is_packed_in_order_with_modes_links_and_hidden_files_and_belongs_to_root() {
        let long = format!("{}/{}", "d".repeat(90), "f".repeat(90));
        let folder =
            Folder::with(&[("Dockerfile", "FROM scratch\n"), (".git/HEAD", "x"), ("b/run", "#!"), (&long, "")]);
        fs::set_permissions(folder.path("b/run"), fs::Permissions::from_mode(0o4751)).unwrap();
        symlink("../nowhere", folder.path("a")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path("socket")).unwrap();
        let packed = folder.pack().unwrap();
        assert_eq!(packed.text, "FROM scratch\n");
        let mut archive = tar::Archive::new(packed.tar.as_ref());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let header = entry.header();
            assert_eq!((header.uid().unwrap(), header.gid().unwrap()), (0, 0));
            assert!(header.mtime().unwrap() > 0);
            let target = entry.link_name().unwrap().map(|target| target.display().to_string());
            (entry.path().unwrap().display().to_string(), header.mode().unwrap(), target)
        });
        let entries: Vec<_> = entries.collect();
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [".git/", ".git/HEAD", "Dockerfile", "a", "b/", "b/run", &format!("{}/", "d".repeat(90)), &long]
                .map(|name| name.trim_end_matches('/'))
        );
        assert_eq!(entries[5].1, 0o4751);
        assert_eq!(entries[3].2.as_deref(), Some("../nowhere"));
        assert_eq!(folder.pack().unwrap().tar, packed.tar);
    }

    #[test]
    fn what_dockerignore_excludes_stays_here_but_for_the_dockerfile_and_what_is_brought_back() {
        let files = ["Dockerfile", "a/b/keep", "a/b/lose", "a/lose", "c/lose"].map(|path| (path, ""));
        let folder = Folder::with(&[&files[..], &[(".dockerignore", "*\n!a/b/keep\n")]].concat());
        assert_eq!(folder.packed(), ["Dockerfile", "a", "a/b", "a/b/keep"]);
    }

    #[test]
    fn a_dockerfiles_own_dockerignore_wins() {
        let folder = Folder::with(&[
            ("build/Dockerfile", ""),
            ("build/Dockerfile.dockerignore", "build\nx\n*ignore\n"),
            (".dockerignore", "y\n"),
            ("x", ""),
            ("y", ""),
        ]);
        let packed = pack(folder.0.path(), Path::new("./build/Dockerfile")).unwrap();
        assert_eq!(names(&packed), ["build", "build/Dockerfile", "y"]);
        assert_eq!(packed.dockerfile, Path::new("build/Dockerfile"));
    }

    #[test]
    fn a_dockerfile_that_is_a_link_is_sent_as_what_it_leads_to() {
        let folder = Folder::with(&[("build/real", "FROM scratch\n"), (".dockerignore", "*\n")]);
        symlink("build/real", folder.path("Dockerfile")).unwrap();
        let packed = folder.pack().unwrap();
        assert_eq!(packed.dockerfile, Path::new("build/real"));
        assert_eq!(names(&packed), ["build", "build/real"]);
    }

    #[test]
    fn what_leads_out_of_the_folder_is_not_read() {
        let folder = Folder::with(&[("context/Dockerfile", ""), ("secret", "[")]);
        symlink("../secret", folder.path("context/.dockerignore")).unwrap();
        let error = pack(&folder.path("context"), Path::new("Dockerfile")).unwrap_err();
        assert!(error.to_string().contains("leads out of the context"), "{error}");
        fs::remove_file(folder.path("context/Dockerfile")).unwrap();
        symlink("../secret", folder.path("context/Dockerfile")).unwrap();
        let error = pack(&folder.path("context"), Path::new("Dockerfile")).unwrap_err();
        assert!(matches!(error, BuildError::DockerfileOutside { .. }), "{error}");
    }

    #[test]
    fn what_is_missing_is_named() {
        let folder = Folder::with(&[("context/a", ""), ("Dockerfile", "")]);
        let context = folder.path("context");
        let missing = pack(&context, Path::new("Dockerfile")).unwrap_err();
        assert_eq!(missing, BuildError::NoDockerfile { path: context.join("Dockerfile") });
        let outside = pack(&context, Path::new("../Dockerfile")).unwrap_err();
        assert!(matches!(outside, BuildError::DockerfileOutside { .. }), "{outside}");
        let nothing = pack(&folder.path("nowhere"), Path::new("Dockerfile")).unwrap_err();
        assert!(matches!(nothing, BuildError::NoContext { .. }), "{nothing}");
        let file = pack(&folder.path("Dockerfile"), Path::new("Dockerfile")).unwrap_err();
        assert!(file.to_string().ends_with("it is not a folder"), "{file}");
    }

    #[test]
    fn more_than_can_be_sent_is_refused_before_it_is_read() {
        let folder = Folder::with(&[("Dockerfile", "")]);
        File::create(folder.path("big")).unwrap().set_len((LARGEST_MEBIBYTES << 20) + 1).unwrap();
        let error = folder.pack().unwrap_err();
        assert!(matches!(error, BuildError::ContextTooBig { mebibytes: 2048, .. }), "{error}");
        assert!(error.hint().unwrap().contains(".dockerignore"));
    }
}
