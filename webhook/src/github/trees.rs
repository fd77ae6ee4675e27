//! What a commit holds: the same content has the same tree, whatever led to it.

use serde::Deserialize;
use windlass_core::names::{CommitSha, ProjectName};

use super::GitHub;
use super::connection::Connection;
use super::error::GitHubError;
use super::route::Route;

/// All files and folders of a commit, and what it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    /// The same for the same files and folders.
    pub id: String,
    /// The commits that it was made from; for a merge the branch's former head is the first.
    pub parents: Vec<CommitSha>,
}

impl GitHub {
    /// What a commit holds, and what it was made from.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not know the commit.
    pub async fn tree(&self, project: &ProjectName, commit: &CommitSha) -> Result<Tree, GitHubError> {
        read(&self.connection, project, commit).await
    }
}

async fn read(connection: &Connection, project: &ProjectName, commit: &CommitSha) -> Result<Tree, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        commit: Inner,
        parents: Vec<Named<CommitSha>>,
    }
    #[derive(Deserialize)]
    struct Inner {
        tree: Named<String>,
    }
    #[derive(Deserialize)]
    struct Named<T> {
        sha: T,
    }
    let route = Route::of(project).to("commits").to(commit.as_str());
    let wire: Wire = connection.get(project, &route).await?.json()?;
    Ok(Tree { id: wire.commit.tree.sha, parents: wire.parents.into_iter().map(|parent| parent.sha).collect() })
}
