//! The Git repository that is prepared.

use std::path::{Path, PathBuf};

use gix::bstr::ByteSlice as _;
use windlass_core::names::ProjectName;

use crate::checkout::{host_of_origin, project_of_origin};
use crate::error::CommandError;

/// A repository with files that are checked out.
pub(super) struct Repository {
    /// Where its files lie: GitHub looks for workflows here.
    pub(super) root: PathBuf,
    git: gix::Repository,
}

impl Repository {
    /// The one that this folder lies in.
    pub(super) fn here() -> Result<Self, CommandError> {
        let no_repository = || {
            CommandError::misused("this folder is not in a Git repository")
                .hint("go to the folder of your project, or make it one with `git init`")
        };
        let git = gix::discover(".").map_err(|_| no_repository())?;
        let root = git.workdir().ok_or_else(no_repository)?.to_owned();
        Ok(Self { root, git })
    }

    /// The GitHub repository that `origin` leads to.
    pub(super) fn project(&self) -> Result<ProjectName, CommandError> {
        project_of_origin(&self.root).ok_or_else(|| {
            let message = "no project is given, and there is no Git remote `origin` on GitHub to tell it";
            let message = match host_of_origin(&self.root) {
                Some(host) => format!("{message}: it leads to {host}"),
                None => message.to_owned(),
            };
            CommandError::misused(message).hint("pass --project owner/name, or add the remote")
        })
    }

    /// What to know where `origin` is not on github.com. An alias for it in SSH's configuration has its name in its own.
    pub(super) fn elsewhere(&self) -> Option<String> {
        const FORGES: [&str; 6] = ["gitlab", "bitbucket", "codeberg", "gitea", "forgejo", "dev.azure.com"];
        let host = host_of_origin(&self.root)?;
        if host.contains("github") && !host.contains("ghe") {
            return None;
        }
        let known = FORGES.iter().any(|forge| host.contains(forge)) || host == "git.sr.ht";
        Some(if known {
            format!(
                "origin is on {host}, and Windlass hears of merges and checks from GitHub only: --project names a \
                 repository there"
            )
        } else {
            format!(
                "origin is on {host}: if that is a GitHub Enterprise Server, the server's file needs \
                 `api-url = \"https://{host}/api/v3\"` under [github]; Windlass hears of merges and checks from GitHub only"
            )
        })
    }

    /// The branch that the remote calls its own; where it was never asked, the one that is checked out.
    pub(super) fn default_branch(&self) -> Option<String> {
        let of_remote = || {
            let head = self.git.try_find_reference("refs/remotes/origin/HEAD").ok()??;
            let target = head.target().try_name()?.as_bstr().to_str().ok()?.to_owned();
            target.strip_prefix("refs/remotes/origin/").map(str::to_owned)
        };
        let checked_out = || Some(self.git.head_name().ok()??.shorten().to_str().ok()?.to_owned());
        of_remote().or_else(checked_out)
    }
}

/// A path below the root as files of the repository name it, with `/`.
pub(super) fn named(root: &Path, path: &Path) -> String {
    let below = path.strip_prefix(root).unwrap_or(path);
    let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}
