//! What is checked out in a folder: the commit, its time, and what differs from it. Reads the repository itself, since
//! the action's image has no Git; whose files they are makes no difference, since nothing of them is run.

use std::path::Path;

use gix::bstr::ByteSlice as _;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName};

use crate::error::CommandError;

/// A commit, and what was changed since.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Checkout {
    pub(crate) commit: CommitSha,
    /// When it was committed: a time that is the same for every build of it.
    pub(crate) committed_at: Timestamp,
    /// Paths that differ from the commit, or are not in it and not ignored; in order.
    pub(crate) changes: Vec<String>,
}

impl Checkout {
    /// The repository that the folder lies in; `None` where it lies in none, or in one without a commit.
    ///
    /// # Errors
    ///
    /// When there is a repository, and it cannot be read.
    pub(crate) fn of(folder: &Path) -> Result<Option<Self>, CommandError> {
        let Ok(repository) = gix::discover(folder) else { return Ok(None) };
        let Ok(head) = repository.head_commit() else { return Ok(None) };
        let unreadable = |what: &str, why: &dyn std::fmt::Display| {
            CommandError::failed(format!("cannot read {what} of the Git repository at {}", folder.display()))
                .because(why.to_string())
        };
        let commit = head.id().to_string().parse()?;
        let seconds = head.time().map_err(|error| unreadable("the commit's time", &error))?.seconds;
        let committed_at = Timestamp::from_second(seconds).map_err(|error| unreadable("the commit's time", &error))?;
        let changes = changes(&repository).map_err(|error| unreadable("the state", &error))?;
        Ok(Some(Self { commit, committed_at, changes }))
    }
}

/// Tracked and changed, staged, deleted, or untracked and not ignored.
fn changes(repository: &gix::Repository) -> Result<Vec<String>, Box<dyn std::error::Error + Send + Sync>> {
    let status = repository
        .status(gix::progress::Discard)?
        .untracked_files(gix::status::UntrackedFiles::Collapsed)
        .into_iter(None)?;
    let mut changes = Vec::new();
    for item in status {
        changes.push(item?.location().to_str_lossy().into_owned());
    }
    changes.sort();
    changes.dedup();
    Ok(changes)
}

/// The GitHub repository that the remote `origin` leads to.
pub(crate) fn project_of_origin(folder: &Path) -> Option<ProjectName> {
    let repository = gix::discover(folder).ok()?;
    let origin = repository.find_remote("origin").ok()?;
    let url = origin.url(gix::remote::Direction::Fetch)?;
    parse_remote(url.path.to_str().ok()?, url.host().is_some())
}

/// Where the remote `origin` is.
pub(crate) fn host_of_origin(folder: &Path) -> Option<String> {
    let repository = gix::discover(folder).ok()?;
    let origin = repository.find_remote("origin").ok()?;
    Some(origin.url(gix::remote::Direction::Fetch)?.host()?.to_ascii_lowercase())
}

/// The path of `https://github.com/owner/name.git`, `ssh://git@github.com/owner/name` or `git@github.com:owner/name.git`.
fn parse_remote(path: &str, elsewhere: bool) -> Option<ProjectName> {
    let path = path.trim_matches('/');
    let name = path.strip_suffix(".git").unwrap_or(path);
    elsewhere.then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// A repository with one commit, made by Git itself.
    fn repository() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        git(folder.path(), &["init", "--quiet", "--initial-branch", "main"]);
        write(&folder.path().join("app.txt"), "one\n");
        write(&folder.path().join(".gitignore"), "target/\n");
        git(folder.path(), &["add", "."]);
        git(folder.path(), &["commit", "--quiet", "--message", "One"]);
        folder
    }

    fn git(folder: &Path, arguments: &[&str]) -> String {
        let output = Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.com", "-c", "commit.gpgsign=false"])
            .args(arguments)
            .current_dir(folder)
            .env("GIT_COMMITTER_DATE", "2026-02-03T04:05:06+02:00")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own file")]
    fn write(path: &Path, content: &str) {
        std::fs::write(path, content).unwrap();
    }

    #[test]
    fn a_clean_checkout_is_its_commit_and_the_commit_s_time() {
        let folder = repository();
        let below = folder.path().join("target/deep");
        std::fs::create_dir_all(&below).unwrap();
        write(&below.join("ignored"), "");
        let checkout = Checkout::of(&below).unwrap().unwrap();
        assert_eq!(checkout.commit.as_str(), git(folder.path(), &["rev-parse", "HEAD"]));
        assert_eq!(checkout.committed_at.to_string(), "2026-02-03T02:05:06Z");
        assert_eq!(checkout.changes, [""; 0]);
    }

    #[test]
    fn what_was_changed_added_staged_or_deleted_is_named() {
        let folder = repository();
        let path = |name: &str| folder.path().join(name);
        write(&path("app.txt"), "two\n");
        write(&path("new.txt"), "");
        write(&path("staged.txt"), "");
        git(folder.path(), &["add", "staged.txt"]);
        std::fs::remove_file(path(".gitignore")).unwrap();
        let checkout = Checkout::of(folder.path()).unwrap().unwrap();
        assert_eq!(checkout.changes, [".gitignore", "app.txt", "new.txt", "staged.txt"]);
    }

    #[test]
    fn no_repository_and_no_commit_are_nothing() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Checkout::of(folder.path()).unwrap(), None);
        git(folder.path(), &["init", "--quiet"]);
        assert_eq!(Checkout::of(folder.path()).unwrap(), None);
    }

    #[test]
    fn the_project_is_read_from_every_way_to_write_a_remote() {
        let folder = repository();
        for (remote, project) in [
            ("https://github.com/acme/shop.git", Some("acme/shop")),
            ("https://github.com/acme/shop", Some("acme/shop")),
            ("https://x-access-token:secret@github.com/acme/shop.git", Some("acme/shop")),
            ("ssh://git@github.com/acme/shop.git", Some("acme/shop")),
            ("ssh://git@ssh.github.com:443/acme/shop.git", Some("acme/shop")),
            ("git@github.com:acme/shop.git", Some("acme/shop")),
            ("git@github.com:/acme/shop/", Some("acme/shop")),
            ("/srv/git/shop.git", None),
            ("../shop", None),
            ("file:///srv/acme/shop", None),
            ("https://github.com/shop", None),
        ] {
            git(folder.path(), &["config", "remote.origin.url", remote]);
            assert_eq!(project_of_origin(folder.path()).map(String::from).as_deref(), project, "{remote}");
        }
    }
}
