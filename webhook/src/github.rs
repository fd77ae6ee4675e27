//! GitHub as the rest of the service sees it: what it says about a commit, and what it is told about a deployment. Its
//! field names, pages, limits and ways to refuse end in here.

use std::fmt;
use std::time::Duration;

use secrecy::SecretString;
use serde::Deserialize;
use tokio::time::Instant;
use url::Url;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName, RepositoryId};
use windlass_core::verdict::CommitFacts;

mod ancestry;
mod comments;
mod connection;
mod content;
mod deployments;
mod error;
pub(crate) mod event;
mod facts;
mod hooks;
mod names;
pub(crate) mod oidc;
mod pages;
pub(crate) mod payload;
pub(crate) mod permissions;
mod pull_requests;
mod route;
mod runs;
pub(crate) mod setup;
mod trees;

pub use ancestry::Ancestry;
pub(crate) use comments::LONGEST_COMMENT;
pub use connection::Patience;
pub(crate) use content::Urgency;
pub use deployments::{NewGitHubDeployment, NewStatus, fit_description};
pub use error::GitHubError;
pub use hooks::{FailedDelivery, Hook};
pub use trees::Tree;

use connection::Connection;
use content::ContentLimit;
use route::Route;

/// A client of GitHub's API; cheap to clone. Nothing is asked twice by itself: whoever asks decides by the
/// [`GitHubError`]. After a rate limit no request is sent until it is over.
#[derive(Clone)]
pub struct GitHub {
    connection: Connection,
    content: ContentLimit,
    /// As which App it speaks; `None` with a token.
    app: Option<u64>,
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

/// A pull request, as far as it says where a commit came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullRequest {
    pub number: u64,
    pub title: String,
    /// The last commit of its own branch.
    pub head: CommitSha,
    /// The branch that it is merged into, or shall be.
    pub base_branch: String,
    /// What that branch got; `None`: it is not merged.
    pub merge_commit: Option<CommitSha>,
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
        let app = match &credentials {
            GitHubCredentials::App { id, .. } => Some(*id),
            GitHubCredentials::Token(_) => None,
        };
        let connection = Connection::new(api_url, credentials, patience)?;
        Ok(Self { connection, content: ContentLimit::default(), app })
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

    /// The pull requests that a commit came of, or is part of.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not know the commit.
    pub async fn pull_requests_of(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
    ) -> Result<Vec<PullRequest>, GitHubError> {
        pull_requests::of_commit(&self.connection, project, commit).await
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

    /// Tells GitHub of a deployment and returns its id there. GitHub neither merges anything nor looks at checks for it.
    ///
    /// # Errors
    ///
    /// [`GitHubError::WrongCommit`] when GitHub made one for another commit; [`GitHubError::CommitUnknown`] when it does
    /// not know the commit, which may just have been pushed.
    pub async fn create_deployment(
        &self,
        project: &ProjectName,
        deployment: &NewGitHubDeployment,
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
        deployment: &NewGitHubDeployment,
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

/// Projects by whatever name they have.
impl GitHub {
    /// Says which repository a project is, and what it was called when that was last known. From now on no other repository
    /// is asked in its stead, whatever it is called.
    pub fn identify(&self, project: &ProjectName, id: RepositoryId, name: Option<ProjectName>) {
        self.connection.names.identify(project, id, name);
    }

    /// What a project is called now, as far as is known.
    #[must_use]
    pub fn current_name(&self, project: &ProjectName) -> ProjectName {
        self.connection.names.identity(project).map_or_else(|| project.clone(), |identity| identity.name)
    }

    /// The project that is called so now, by another name than its own.
    #[must_use]
    pub fn project_called(&self, name: &ProjectName) -> Option<ProjectName> {
        self.connection.names.project_called(name)
    }

    /// Asks GitHub what a project is called now; `heard` is a name that it may have.
    ///
    /// # Errors
    ///
    /// [`GitHubError::AnotherRepository`] when its name is another's and no new one is known; otherwise when GitHub does not
    /// answer.
    pub async fn check_name(
        &self,
        project: &ProjectName,
        heard: Option<&ProjectName>,
    ) -> Result<ProjectName, GitHubError> {
        self.connection.check_name(project, heard).await
    }
}

/// What GitHub could not deliver.
impl GitHub {
    /// The webhooks that deliver to this address. An App has one for all; otherwise it is the project's own.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not let us see webhooks.
    pub async fn hook(&self, project: &ProjectName, address: &Url) -> Result<Option<Hook>, GitHubError> {
        if self.is_app() {
            return Ok(Some(Hook::App));
        }
        Ok(hooks::of_repository(project, self.hooks_of(project).await?, address))
    }

    /// The deliveries of which no attempt has succeeded since then, oldest first.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or does not let us see them.
    pub async fn failed_deliveries(&self, hook: &Hook, since: Timestamp) -> Result<Vec<FailedDelivery>, GitHubError> {
        hooks::failed(&self.connection, hook, since).await
    }

    /// Asks GitHub to deliver once more, under the same GUID.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or refuses.
    pub async fn deliver_again(&self, hook: &Hook, delivery: &FailedDelivery) -> Result<(), GitHubError> {
        hooks::deliver_again(&self.connection, hook, delivery.id).await
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

    /// Our comment on a pull request, which begins with this marker.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or there is no such pull request.
    pub async fn find_comment(
        &self,
        project: &ProjectName,
        pull_request: u64,
        marker: &str,
    ) -> Result<Option<u64>, GitHubError> {
        comments::find(&self.connection, project, pull_request, marker, self.app).await
    }

    /// Comments on a pull request and returns the comment's id.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or refuses: [`GitHubError::Forbidden`] where the conversation is locked.
    pub async fn create_comment(
        &self,
        project: &ProjectName,
        pull_request: u64,
        body: &str,
    ) -> Result<u64, GitHubError> {
        comments::create(&self.connection, project, pull_request, body).await
    }

    /// Gives a comment another text.
    ///
    /// # Errors
    ///
    /// When GitHub does not answer, or refuses: [`GitHubError::NotFound`] where somebody has deleted it.
    pub async fn edit_comment(&self, project: &ProjectName, comment: u64, body: &str) -> Result<(), GitHubError> {
        comments::edit(&self.connection, project, comment, body).await
    }

    /// Asks for leave to send so many requests that create content; otherwise how long to wait. While GitHub wants to
    /// be left alone there is none for anybody of the account.
    pub(crate) fn may_write(&self, project: &ProjectName, urgency: Urgency, requests: usize) -> Result<(), Duration> {
        if let Some(left) = self.connection.silence_of(project) {
            return Err(left);
        }
        self.content.reserve(&self.connection.account_of(project), urgency, requests, Instant::now())
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("GitHub").finish_non_exhaustive()
    }
}
