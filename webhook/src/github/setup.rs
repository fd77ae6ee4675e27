//! How GitHub is set up for us: the App, its installations, webhooks, and what a token may do.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName};

use super::GitHub;
use super::error::GitHubError;
use super::pages;
use super::route::Route;

/// The App as it is registered.
#[derive(Debug, Deserialize)]
pub(crate) struct RegisteredApp {
    pub(crate) name: String,
    /// What it asks for, by GitHub's name.
    pub(crate) permissions: BTreeMap<String, String>,
    pub(crate) events: Vec<String>,
}

/// The App where it is installed.
#[derive(Debug, Deserialize)]
pub(crate) struct Installation {
    pub(crate) suspended_at: Option<Timestamp>,
    /// What was accepted.
    pub(crate) permissions: BTreeMap<String, String>,
}

/// Where deliveries are sent, and how.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct HookConfig {
    pub(crate) url: Option<String>,
    pub(crate) content_type: Option<String>,
    /// Never the secret itself.
    pub(crate) secret: Option<String>,
}

/// A repository's own webhook.
#[derive(Debug, Deserialize)]
pub(crate) struct RepositoryHook {
    pub(crate) id: u64,
    pub(crate) active: bool,
    pub(crate) events: Vec<String>,
    pub(crate) config: HookConfig,
    pub(crate) last_response: LastResponse,
}

/// What the last delivery was answered with.
#[derive(Debug, Deserialize)]
pub(crate) struct LastResponse {
    pub(crate) code: Option<u16>,
    pub(crate) message: Option<String>,
}

impl GitHub {
    /// Whether it speaks as an App.
    pub(crate) const fn is_app(&self) -> bool {
        self.connection.is_app()
    }

    /// The App that we are, and GitHub's time.
    pub(crate) async fn registered_app(&self) -> Result<(RegisteredApp, Option<Timestamp>), GitHubError> {
        let answer = self.connection.get_as_app(&Route::to_app()).await?;
        Ok((answer.json()?, answer.date))
    }

    /// Where the App's deliveries go.
    pub(crate) async fn app_hook(&self) -> Result<HookConfig, GitHubError> {
        self.connection.get_as_app(&Route::to_app().to("hook").to("config")).await?.json()
    }

    /// The App at the owner of this project; [`GitHubError::NotFound`] where it does not have the project.
    pub(crate) async fn installation_at(&self, project: &ProjectName) -> Result<Installation, GitHubError> {
        self.connection.get_as_app(&Route::of(project).to("installation")).await?.json()
    }

    /// GitHub's time, where it tells it.
    pub(crate) async fn time_at(&self, project: &ProjectName) -> Result<Option<Timestamp>, GitHubError> {
        Ok(self.connection.get(project, &Route::of(project)).await?.date)
    }

    /// The webhooks of a repository.
    pub(crate) async fn hooks_of(&self, project: &ProjectName) -> Result<Vec<RepositoryHook>, GitHubError> {
        pages::plain(&self.connection, project, &Route::of(project).to("hooks")).await
    }

    /// Asks for something that needs this permission and changes nothing. `None`: nothing of that kind can be asked.
    pub(crate) async fn try_permission(
        &self,
        project: &ProjectName,
        key: &str,
        branch: &str,
        head: &CommitSha,
    ) -> Option<Result<(), GitHubError>> {
        let of = || Route::of(project);
        let commit = || of().to("commits").to(head.as_str());
        let route = match key {
            "metadata" => of(),
            "contents" => commit(),
            "checks" => commit().to("check-runs").with("per_page", "1"),
            "statuses" => commit().to("status").with("per_page", "1"),
            "actions" => of().to("actions").to("runs").with("per_page", "1"),
            "administration" => of().to("branches").to(branch).to("protection").to("required_status_checks"),
            "pull_requests" => commit().to("pulls").with("per_page", "1"),
            "deployments" => return Some(self.try_to_deploy(project).await),
            _ => return None,
        };
        Some(match self.connection.get(project, &route).await {
            // A branch without classic protection: we were allowed to learn that.
            Err(GitHubError::NotFound { .. }) if key == "administration" => Ok(()),
            answer => answer.map(drop),
        })
    }

    /// Of a commit that no repository has: whoever may deploy is told so, and anybody else that they may not.
    async fn try_to_deploy(&self, project: &ProjectName) -> Result<(), GitHubError> {
        #[derive(Serialize)]
        struct Body {
            r#ref: String,
            auto_merge: bool,
            required_contexts: [&'static str; 0],
        }
        let body = Body { r#ref: "0".repeat(40), auto_merge: false, required_contexts: [] };
        match self.connection.post(project, &Route::of(project).to("deployments"), &body).await {
            Err(GitHubError::Refused { status: 409 | 422, .. }) => Ok(()),
            answer => answer.map(drop),
        }
    }
}
