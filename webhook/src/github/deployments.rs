//! What GitHub is told about a deployment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use url::Url;
use windlass_core::names::{AppName, CommitSha, DeploymentId, ProjectName, StageName};
use windlass_core::notice::GitHubState;

use super::connection::Connection;
use super::error::GitHubError;
use super::pages;
use super::route::Route;

/// A deployment to tell GitHub of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewGitHubDeployment {
    /// What is deployed.
    pub commit: CommitSha,
    /// By app, where they were built from several: kept in GitHub's payload.
    pub commits: BTreeMap<AppName, CommitSha>,
    /// `deploy`, `rollback`, …
    pub task: String,
    /// GitHub's environment.
    pub environment: StageName,
    /// Of any length: it is fitted.
    pub description: String,
    /// Ours, kept in GitHub's payload, by which it is found again.
    pub deployment: DeploymentId,
    /// GitHub's `production_environment`.
    pub production: bool,
    /// GitHub's `transient_environment`.
    pub transient: bool,
}

/// How a deployment stands, to tell GitHub.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewStatus {
    /// In GitHub's word.
    pub state: GitHubState,
    /// Of any length: it is fitted.
    pub description: String,
    /// Where its log is.
    pub log_url: Option<Url>,
    /// Where the app answers.
    pub environment_url: Option<Url>,
}

/// GitHub's limit for descriptions, in characters.
const DESCRIPTION: usize = 140;

/// Makes a text fit into a description: one line of at most 140 characters, with an ellipsis where something was cut off.
#[must_use]
pub fn fit_description(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= DESCRIPTION {
        return line;
    }
    let kept: String = line.chars().take(DESCRIPTION - 1).collect();
    format!("{}…", kept.trim_end())
}

#[derive(Serialize)]
struct DeploymentBody<'a> {
    r#ref: &'a str,
    task: &'a str,
    environment: &'a str,
    description: String,
    payload: Payload<'a>,
    /// GitHub's default would merge the default branch into what is deployed.
    auto_merge: bool,
    /// GitHub's default would ask for every check, skipped ones too; the gate has judged already.
    required_contexts: [&'static str; 0],
    production_environment: bool,
    transient_environment: bool,
}

#[derive(Serialize)]
struct Payload<'a> {
    windlass_deployment: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    commits: &'a BTreeMap<AppName, CommitSha>,
}

#[derive(Serialize)]
struct StatusBody<'a> {
    state: GitHubState,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    log_url: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment_url: Option<&'a str>,
    /// The predecessor gets its own status: GitHub's way skips production environments.
    auto_inactive: bool,
}

pub(super) async fn create(
    connection: &Connection,
    project: &ProjectName,
    deployment: &NewGitHubDeployment,
) -> Result<u64, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
        sha: CommitSha,
    }
    let body = DeploymentBody {
        r#ref: deployment.commit.as_str(),
        task: &deployment.task,
        environment: deployment.environment.as_str(),
        description: fit_description(&deployment.description),
        payload: Payload { windlass_deployment: deployment.deployment.as_str(), commits: &deployment.commits },
        auto_merge: false,
        required_contexts: [],
        production_environment: deployment.production,
        transient_environment: deployment.transient,
    };
    let answer = connection.post(project, &Route::of(project).to("deployments"), &body).await;
    let answer = answer.map_err(unknown_commit)?;
    if answer.status != 201 {
        return Err(answer.refused());
    }
    let made: Wire = answer.json()?;
    if made.sha != deployment.commit {
        let (wanted, got) = (deployment.commit.to_string(), made.sha.to_string());
        return Err(GitHubError::WrongCommit { id: made.id, wanted, got });
    }
    Ok(made.id)
}

/// GitHub's API may learn of a commit some seconds after its webhook has told us.
pub(super) fn unknown_commit(error: GitHubError) -> GitHubError {
    let says_so = |message: &str| {
        let message = message.to_lowercase();
        message.contains("no ref found") || message.contains("no commit found")
    };
    match error {
        GitHubError::Refused { asked, status: 422, message } | GitHubError::NotFound { asked, message }
            if says_so(&message) =>
        {
            GitHubError::CommitUnknown { asked, message }
        }
        other => other,
    }
}

pub(super) async fn find(
    connection: &Connection,
    project: &ProjectName,
    deployment: &NewGitHubDeployment,
) -> Result<Option<u64>, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
        sha: String,
        environment: String,
        #[serde(default)]
        payload: serde_json::Value,
    }
    let (commit, environment) = (deployment.commit.as_str(), deployment.environment.as_str());
    let route = Route::of(project).to("deployments").with("sha", commit).with("environment", environment);
    let rows: Vec<Wire> = pages::plain(connection, project, &route).await?;
    let ours = |row: &&Wire| {
        row.sha == commit && row.environment == environment && names(&row.payload, &deployment.deployment)
    };
    // The first of them, should there be two: it is the one that statuses were written to.
    Ok(rows.iter().filter(ours).map(|row| row.id).min())
}

/// GitHub gives a payload back as it was sent, or as the text of it.
fn names(payload: &serde_json::Value, deployment: &DeploymentId) -> bool {
    let parsed = payload.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.as_ref().unwrap_or(payload)["windlass_deployment"] == deployment.as_str()
}

pub(super) async fn create_status(
    connection: &Connection,
    project: &ProjectName,
    deployment: u64,
    status: &NewStatus,
) -> Result<u64, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        id: u64,
    }
    let body = StatusBody {
        state: status.state,
        description: fit_description(&status.description),
        log_url: status.log_url.as_ref().map(Url::as_str),
        environment_url: status.environment_url.as_ref().map(Url::as_str),
        auto_inactive: false,
    };
    let route = Route::of(project).to("deployments").to(&deployment.to_string()).to("statuses");
    let answer = connection.post(project, &route, &body).await?;
    let made: Wire = answer.json()?;
    Ok(made.id)
}

/// Whether GitHub has a status like this one already: it tells apart an attempt whose answer was lost from one that
/// never arrived.
pub(super) async fn has_status(
    connection: &Connection,
    project: &ProjectName,
    deployment: u64,
    status: &NewStatus,
) -> Result<bool, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        state: String,
        description: Option<String>,
    }
    let route = Route::of(project).to("deployments").to(&deployment.to_string()).to("statuses");
    let rows: Vec<Wire> = pages::plain(connection, project, &route).await?;
    let description = fit_description(&status.description);
    Ok(rows
        .iter()
        .any(|row| row.state == status.state.as_str() && row.description.as_deref().unwrap_or_default() == description))
}

#[cfg(test)]
mod tests {
    use super::fit_description;

    #[test]
    fn rule_062_a_description_is_one_line_of_140_characters_at_most() {
        assert_eq!(fit_description("release 3 serves"), "release 3 serves");
        assert_eq!(fit_description(" a\r\n\n  b\tc\u{2028}d "), "a b c d");
        for letter in ["a", "é", "漢", "🚀"] {
            assert_eq!(fit_description(&letter.repeat(140)), letter.repeat(140));
            assert_eq!(fit_description(&letter.repeat(141)), format!("{}…", letter.repeat(139)));
        }
        assert_eq!(fit_description(&format!("{} end of it", "a".repeat(138))), format!("{}…", "a".repeat(138)));
    }
}
