//! GitHub as the rest of the service sees it: what it says about a commit, and what it is told about a deployment. Its
//! field names, pages, limits and ways to refuse end in here.

use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName, RepositoryId};
use windlass_core::verdict::CommitFacts;

mod connection;
mod deployments;
mod error;
mod facts;
mod pages;
pub(crate) mod payload;
mod route;

pub use connection::Patience;
pub use deployments::{DeploymentState, NewDeployment, NewStatus, fit_description};
pub use error::GitHubError;

use connection::Connection;
use route::Route;

/// A client of GitHub's API; cheap to clone. Nothing is asked twice by itself: whoever asks decides by the
/// [`GitHubError`]. After a rate limit no request is sent until it is over.
#[derive(Clone)]
pub struct GitHub {
    connection: Connection,
}

/// As what the service speaks to GitHub.
#[derive(Debug, Clone)]
pub enum GitHubCredentials {
    /// A GitHub App; each owner's installation gets a token of its own.
    App {
        /// The App's id.
        id: u64,
        /// Its RSA key, PEM.
        private_key: SecretString,
    },
    /// A personal access token.
    Token(SecretString),
}

/// A repository as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Survives renames and transfers.
    pub id: RepositoryId,
    /// Its present name: another one than was asked for, where it has moved.
    pub name: ProjectName,
    /// The branch that GitHub calls the default.
    pub default_branch: String,
}

/// How a commit (the head) stands to another (the base).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ancestry {
    /// They are the same.
    Identical,
    /// The base is an ancestor of the head: the head is newer.
    Ahead,
    /// The head is an ancestor of the base: the head is older.
    Behind,
    /// Neither is an ancestor of the other.
    Diverged,
}

impl GitHub {
    /// Makes a client. Nothing is sent yet. Must be called within a Tokio runtime.
    ///
    /// # Errors
    ///
    /// When the address or the private key cannot be used, or the machine has no root certificates.
    pub fn connect(api_url: &Url, credentials: GitHubCredentials) -> Result<Self, GitHubError> {
        Self::connect_with(api_url, credentials, Patience::default())
    }

    /// Makes a client that waits as long as is said.
    ///
    /// # Errors
    ///
    /// As for [`GitHub::connect`].
    pub fn connect_with(
        api_url: &Url,
        credentials: GitHubCredentials,
        patience: Patience,
    ) -> Result<Self, GitHubError> {
        Ok(Self { connection: Connection::new(api_url, credentials, patience)? })
    }

    /// Looks a repository up by its name; one that has moved is found by its old name too.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or not with the repository.
    pub async fn repository(&self, project: &ProjectName) -> Result<Repository, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            id: RepositoryId,
            full_name: ProjectName,
            default_branch: String,
        }
        let wire: Wire = self.connection.get(project, &Route::of(project)).await?.json()?;
        Ok(Repository { id: wire.id, name: wire.full_name, default_branch: wire.default_branch })
    }

    /// A branch's head; `None`: there is no branch of exactly this name.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not let us see the repository.
    pub async fn branch_head(&self, project: &ProjectName, branch: &str) -> Result<Option<CommitSha>, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            name: String,
            commit: Commit,
        }
        #[derive(Deserialize)]
        struct Commit {
            sha: CommitSha,
        }
        match self.connection.get(project, &Route::of(project).to("branches").to(branch)).await {
            Ok(answer) => {
                let wire: Wire = answer.json()?;
                // GitHub leads from a renamed branch to its successor: that is another branch.
                Ok((wire.name == branch).then_some(wire.commit.sha))
            }
            Err(GitHubError::NotFound { .. }) => {
                // A repository that we may not see looks the same, but its branch may well be there.
                self.repository(project).await.map(|_| None)
            }
            Err(error) => Err(error),
        }
    }

    /// What is reported on a commit and required on a branch, read fresh and in full. That the branch's rules cannot be
    /// read is a fact, not an error: not every policy asks for them.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or with less than it says there is.
    pub async fn commit_facts(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        branch: &str,
        first_seen: Timestamp,
    ) -> Result<CommitFacts, GitHubError> {
        facts::read(&self.connection, project, commit, branch, first_seen).await
    }

    /// How `head` stands to `base`.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not know one of the commits.
    pub async fn compare(
        &self,
        project: &ProjectName,
        base: &CommitSha,
        head: &CommitSha,
    ) -> Result<Ancestry, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            status: String,
        }
        let route = Route::of(project).to("compare").to(&format!("{base}...{head}")).with("per_page", "1");
        let answer = self.connection.get(project, &route).await?;
        let wire: Wire = answer.json()?;
        match wire.status.as_str() {
            "identical" => Ok(Ancestry::Identical),
            "ahead" => Ok(Ancestry::Ahead),
            "behind" => Ok(Ancestry::Behind),
            "diverged" => Ok(Ancestry::Diverged),
            other => Err(answer.malformed(format!("`{other}` is no way for a commit to stand to another"))),
        }
    }

    /// Tells GitHub of a deployment and returns its id there. GitHub neither merges anything nor looks at checks for it.
    ///
    /// # Errors
    ///
    /// [`GitHubError::WrongCommit`] when GitHub made one for another commit; [`GitHubError::CommitUnknown`] when it does
    /// not know the commit, which may just have been pushed.
    pub async fn create_deployment(
        &self,
        project: &ProjectName,
        deployment: &NewDeployment,
    ) -> Result<u64, GitHubError> {
        deployments::create(&self.connection, project, deployment).await
    }

    /// The id of the deployment that an earlier [`GitHub::create_deployment`] made, whose answer may have been lost.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer.
    pub async fn find_deployment(
        &self,
        project: &ProjectName,
        deployment: &NewDeployment,
    ) -> Result<Option<u64>, GitHubError> {
        deployments::find(&self.connection, project, deployment).await
    }

    /// Tells GitHub how a deployment stands and returns the status' id.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or refuses.
    pub async fn create_status(
        &self,
        project: &ProjectName,
        deployment: u64,
        status: &NewStatus,
    ) -> Result<u64, GitHubError> {
        deployments::create_status(&self.connection, project, deployment, status).await
    }
}

impl GitHub {
    /// Whether GitHub has such a status already, from a [`GitHub::create_status`] whose answer may have been lost.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer.
    pub async fn has_status(
        &self,
        project: &ProjectName,
        deployment: u64,
        status: &NewStatus,
    ) -> Result<bool, GitHubError> {
        deployments::has_status(&self.connection, project, deployment, status).await
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GitHub").finish_non_exhaustive()
    }
}
