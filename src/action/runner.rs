//! What the runner says about the job: its variables, and where its files are (actions/runner,
//! `ContainerActionHandler`). What it may leave out is left out here as well.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;
use windlass_core::names::{CommitSha, ProjectName};

use super::outputs::Outputs;
use crate::error::CommandError;

/// The events whose `GITHUB_SHA` is a merge that GitHub makes to try whether it can be made. (GitHub, "Events that trigger
/// workflows"; on `pull_request_target` it is the base branch's head.)
const ON_TEST_MERGES: [&str; 3] = ["pull_request", "pull_request_review", "pull_request_review_comment"];

/// The job.
#[derive(Debug)]
pub(crate) struct Runner {
    /// What is checked out.
    pub(crate) workspace: PathBuf,
    pub(crate) repository: ProjectName,
    /// Of the event; on `pull_request` a merge that no branch has.
    pub(crate) sha: Option<CommitSha>,
    /// Whether the job is about a pull request, and so about such a merge.
    pub(crate) tests_a_merge: bool,
    /// Who or what started it.
    pub(crate) actor: String,
    /// `https://github.com`
    pub(crate) github: String,
    /// Where a token of the job's own can be asked for; only with `permissions: id-token: write`.
    pub(crate) id_token: Option<IdTokenRequest>,
    /// The Docker Engine, as in `DOCKER_HOST`.
    pub(crate) docker: String,
    pub(crate) outputs: Outputs,
}

/// How the job asks GitHub for a token that says who it is.
#[derive(Debug)]
pub(crate) struct IdTokenRequest {
    pub(crate) url: Url,
    pub(crate) token: SecretString,
}

impl Runner {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When this is no job's.
    pub(crate) fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).ok_or_else(|| {
                CommandError::misused(format!("{name} is not set"))
                    .coded("no_runner")
                    .hint("`windlass action` runs as a step of GitHub Actions; by hand, use `windlass release` and `windlass deploy`")
            })
        };
        let path = |name: &str| variable(name).map(PathBuf::from);
        let id_token = match (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) {
            (Some(url), Some(token)) => {
                url.parse().ok().map(|url| IdTokenRequest { url, token: SecretString::from(token) })
            }
            _ => None,
        };
        Ok(Self {
            workspace: required("GITHUB_WORKSPACE")?.into(),
            repository: required("GITHUB_REPOSITORY")?.parse()?,
            sha: variable("GITHUB_SHA").and_then(|sha| sha.parse().ok()),
            tests_a_merge: variable("GITHUB_EVENT_NAME").is_some_and(|event| ON_TEST_MERGES.contains(&event.as_str()))
                || variable("GITHUB_REF").is_some_and(|reference| reference.starts_with("refs/pull/")),
            actor: variable("GITHUB_ACTOR").unwrap_or_else(|| "github-actions".to_owned()),
            github: variable("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned()),
            id_token,
            docker: variable("DOCKER_HOST").unwrap_or_else(|| crate::image::DOCKER.to_owned()),
            outputs: Outputs { outputs: path("GITHUB_OUTPUT"), summary: path("GITHUB_STEP_SUMMARY") },
        })
    }
}
