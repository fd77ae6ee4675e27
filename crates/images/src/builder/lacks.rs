//! Whether a build's context has what its Dockerfile copies, looked at without packing it.

use std::path::{Path, PathBuf};

use globset::GlobBuilder;

use super::context::{find, read_ignored};
use super::error::BuildError;
use super::ignored::{Ignored, Matches};

/// Why a context does not have something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lack {
    /// It is not in the folder.
    Missing,
    /// It is, and `.dockerignore` leaves it out.
    Ignored,
}

/// A build's context, to be asked for what it has.
#[derive(Debug)]
pub struct ContextFolder {
    root: PathBuf,
    dockerfile: PathBuf,
    ignored: Ignored,
}

impl ContextFolder {
    /// A folder; the Dockerfile's path is relative to it.
    ///
    /// # Errors
    ///
    /// When there is no such folder or Dockerfile, or its `.dockerignore` cannot be read.
    pub fn open(context: &Path, dockerfile: &Path) -> Result<Self, BuildError> {
        let (root, inside) = find(context, dockerfile)?;
        let ignored = read_ignored(&root, dockerfile)?;
        Ok(Self { root, dockerfile: inside, ignored })
    }

    /// What keeps the context from having this path or pattern, read as `COPY` reads it: from the context's root, and
    /// never out of it.
    #[must_use]
    pub fn lacks(&self, source: &str) -> Option<Lack> {
        let mut parts: Vec<&str> = Vec::new();
        for part in source.split('/') {
            match part {
                "" | "." => {}
                ".." => drop(parts.pop()),
                part => parts.push(part),
            }
        }
        self.look(Path::new(""), &self.ignored.root(), &parts).err()
    }

    fn look(&self, folder: &Path, above: &Matches, parts: &[&str]) -> Result<(), Lack> {
        let Some((first, rest)) = parts.split_first() else { return Ok(()) };
        let mut lack = Lack::Missing;
        for name in self.names(folder, first) {
            let path = folder.join(name);
            let matches = self.ignored.matches(&path, above);
            let found = if rest.is_empty() { self.is_sent(&path, &matches) } else { self.look(&path, &matches, rest) };
            match found {
                Ok(()) => return Ok(()),
                Err(Lack::Ignored) => lack = Lack::Ignored,
                Err(Lack::Missing) => {}
            }
        }
        Err(lack)
    }

    /// The entries of a folder that a part of a path or pattern means.
    fn names(&self, folder: &Path, part: &str) -> Vec<String> {
        if !is_pattern(part) {
            let there = self.root.join(folder).join(part).symlink_metadata().is_ok();
            return if there { vec![part.to_owned()] } else { Vec::new() };
        }
        let Ok(glob) = GlobBuilder::new(part).literal_separator(true).backslash_escape(true).build() else {
            return Vec::new();
        };
        let matcher = glob.compile_matcher();
        let entries = std::fs::read_dir(self.root.join(folder)).into_iter().flatten().flatten();
        let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
        names.filter(|name| matcher.is_match(name)).collect()
    }

    fn is_sent(&self, path: &Path, matches: &Matches) -> Result<(), Lack> {
        let kept = !self.ignored.excludes(matches)
            || self.dockerfile.starts_with(path)
            || (self.root.join(path).is_dir() && self.ignored.may_bring_back_below(path));
        if kept { Ok(()) } else { Err(Lack::Ignored) }
    }
}

/// Whether it may mean several paths. A pattern that means none is no mistake to BuildKit.
#[must_use]
pub fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '['])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_as_copy_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::File::create(path).and_then(|mut it| std::io::Write::write_all(&mut it, text.as_bytes())).unwrap();
        };
        for name in ["Dockerfile", "package.json", "packages/a/src/x.ts", "dist/app.js", "logs/keep/x", "logs/y"] {
            file(name, "");
        }
        file(".dockerignore", "dist\nlogs\n!logs/keep\n");
        let context = ContextFolder::open(folder.path(), Path::new("Dockerfile")).unwrap();
        for source in
            [".", "/", "./package.json", "/packages", "pack*.json", "packages/*/src", "../package.json", "logs"]
        {
            assert_eq!(context.lacks(source), None, "{source}");
        }
        for (source, lack) in [
            ("dist", Lack::Ignored),
            ("dist/app.js", Lack::Ignored),
            ("logs/y", Lack::Ignored),
            ("package-lock.json", Lack::Missing),
            ("packages/b", Lack::Missing),
            ("*.lock", Lack::Missing),
        ] {
            assert_eq!(context.lacks(source), Some(lack), "{source}");
        }
    }
}
