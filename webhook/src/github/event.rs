//! What happened on GitHub, in our words. No names of GitHub's fields and no types of a library get past this point.

use windlass_core::names::{CommitSha, ProjectName, RepositoryId};

/// What a delivery told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GitHubEvent {
    /// A pull request was merged.
    PullRequestMerged {
        /// Into this repository, wherever its branch came from.
        repository: RepositoryRef,
        /// The pull request's number.
        number: u64,
        title: String,
        /// The branch that it was merged into.
        base_branch: String,
        /// What that branch got: the merge commit, the squashed one, or the last of the rebased ones.
        commit: CommitSha,
        /// Who merged.
        by: String,
    },
    /// A branch got another head.
    BranchPushed {
        /// Of this repository.
        repository: RepositoryRef,
        /// Its exact name, without `refs/heads/`.
        branch: String,
        /// The head that it has now.
        commit: CommitSha,
        /// The head that it had; `None`: it is new.
        before: Option<CommitSha>,
        /// Who pushed.
        by: String,
    },
    /// Something was reported on a commit. It only says that a fresh look is worth it.
    ChecksChanged {
        /// In this repository.
        repository: RepositoryRef,
        /// On this commit.
        commit: CommitSha,
    },
    /// A repository got another name or owner; its id stays.
    RepositoryRenamed {
        /// As it is called now.
        repository: RepositoryRef,
        /// As it was called, where the delivery tells.
        previous: Option<ProjectName>,
    },
    /// GitHub tried whether we listen.
    Pinged,
    /// Nothing that concerns us.
    Ignored {
        /// In words, for the log.
        why: String,
    },
}

/// A repository as a delivery names it. The id identifies it; the name may have been another's before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RepositoryRef {
    /// GitHub's id.
    pub(crate) id: RepositoryId,
    /// Its name at the time.
    pub(crate) name: ProjectName,
}
