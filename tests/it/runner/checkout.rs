//! What `actions/checkout` leaves behind: a repository of the runner's user, who is not root, made by Git itself.

use std::os::unix::fs::{MetadataExt as _, lchown};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::world::write;

/// Who runs jobs on GitHub's own runners.
const RUNNER: u32 = 1001;

pub(super) struct Checkout {
    folder: PathBuf,
    owner: u32,
}

impl Checkout {
    /// An empty repository that came from GitHub.
    pub(super) fn new(folder: &Path, project: &str) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        // Only root can give files away; and nobody else needs to.
        let me = std::fs::metadata(folder).unwrap().uid();
        let checkout = Self { folder: folder.to_owned(), owner: if me == 0 { RUNNER } else { me } };
        checkout.git(&["init", "--quiet", "--initial-branch", "main"]);
        checkout.git(&["remote", "add", "origin", &format!("https://github.com/{project}")]);
        checkout
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Commits everything, and gives the SHA.
    pub(super) fn commit(&self, message: &str, files: &[(&str, &str)]) -> String {
        for (path, content) in files {
            self.leave(path, content);
        }
        self.git(&["add", "--all"]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        let sha = self.git(&["rev-parse", "HEAD"]);
        self.give_away();
        sha
    }

    pub(super) fn leave(&self, path: &str, content: &str) {
        let path = self.folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        write(&path, content);
        self.give_away();
    }

    /// Files that belong to root: a runner that is not root cannot remove them for the next job.
    pub(super) fn files_of_root(&self) -> Vec<PathBuf> {
        let all = everything_in(&self.folder).into_iter();
        all.filter(|path| std::fs::symlink_metadata(path).unwrap().uid() == 0).collect()
    }

    fn give_away(&self) {
        for path in everything_in(&self.folder) {
            lchown(path, Some(self.owner), Some(self.owner)).unwrap();
        }
    }

    fn git(&self, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "safe.directory=*", "-c", "commit.gpgsign=false"])
            .args(["-c", "user.name=Octocat", "-c", "user.email=octocat@example.com"])
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .expect("git is installed");
        assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The folder and all below it.
fn everything_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = vec![folder.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.symlink_metadata().unwrap().is_dir() {
            found.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

#[test]
fn what_a_step_leaves_as_root_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let checkout = Checkout::new(folder.path(), "acme/shop");
    checkout.commit("One", &[("src/app.txt", "one")]);
    assert_eq!(checkout.files_of_root(), Vec::<PathBuf>::new());
    let path = folder.path().join("src/left-behind");
    write(&path, "");
    if lchown(&path, Some(0), Some(0)).is_ok() {
        assert_eq!(checkout.files_of_root(), [path]);
    }
}
