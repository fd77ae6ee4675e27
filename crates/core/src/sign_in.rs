//! Which jobs of GitHub Actions may sign in: what a job's token says of itself against what the stage allows. That the
//! token is GitHub's is proven before; `sub` is not looked at, for its form is the repository's choice.

use serde::{Deserialize, Deserializer};

use crate::Timestamp;
use crate::config::server::OidcPolicy;
use crate::hint::Hint;
use crate::names::{CommitSha, RepositoryId, StageName};

#[cfg(test)]
mod tests;

/// How far GitHub's clock and ours may differ, in seconds.
const SKEW: i64 = 60;

/// What a job's token says of its job. (GitHub, "OpenID Connect reference": the token's claims.)
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct JobClaims {
    /// The token's own id.
    pub jti: String,
    /// From this second on it is no longer good.
    pub exp: i64,
    /// Until this second it is not good yet.
    #[serde(default)]
    pub nbf: Option<i64>,
    /// The repository's name at that moment. Another one may have had it before.
    pub repository: String,
    /// The repository's id, which stays.
    #[serde(deserialize_with = "id")]
    pub repository_id: RepositoryId,
    /// The full ref that the workflow runs on.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit that the workflow runs on.
    pub sha: CommitSha,
    /// What started the workflow.
    pub event_name: String,
    /// The job's environment, if it names one.
    #[serde(default)]
    pub environment: Option<String>,
    /// The login of whoever started the workflow.
    pub actor: String,
    /// The workflow's run.
    #[serde(deserialize_with = "number")]
    pub run_id: u64,
    /// Which try of it.
    #[serde(deserialize_with = "number")]
    pub run_attempt: u64,
    /// The job's own check run; older servers do not say it.
    #[serde(default, deserialize_with = "optional_number")]
    pub check_run_id: Option<u64>,
    /// The workflow that was started.
    #[serde(default)]
    pub workflow_ref: Option<String>,
    /// The workflow that the job stands in: another one where it is reused.
    #[serde(default)]
    pub job_workflow_ref: Option<String>,
}

/// The token is good at another time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotNow {
    /// It was good before.
    #[error("it expired at {0}")]
    Expired(Timestamp),
    /// It will be good.
    #[error("it is not good before {0}")]
    NotYet(Timestamp),
    /// It names a moment that there is not.
    #[error("its times are no times")]
    Never,
}

/// A claim that the project or the stage does not allow.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the job's `{claim}` is {was}; allowed here: {}", list(allowed))]
pub struct ClaimRefused {
    pub claim: &'static str,
    pub was: String,
    /// What it may be.
    pub allowed: Vec<String>,
}

impl JobClaims {
    /// Whether the token is good at this moment, give or take a minute.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn good_at(&self, now: Timestamp) -> Result<(), NotNow> {
        let time = |second| Timestamp::from_second(second).map_err(|_| NotNow::Never);
        let (expires, begins) = (time(self.exp)?, self.nbf.map(time).transpose()?);
        if now.as_second() >= self.exp.saturating_add(SKEW) {
            return Err(NotNow::Expired(expires));
        }
        match begins.filter(|begins| begins.as_second() > now.as_second().saturating_add(SKEW)) {
            Some(begins) => Err(NotNow::NotYet(begins)),
            None => Ok(()),
        }
    }

    /// Whether the job is one of this repository. Its name says nothing: it may have been another's before.
    ///
    /// # Errors
    ///
    /// When it is not.
    pub fn is_of(&self, repository: RepositoryId) -> Result<(), ClaimRefused> {
        let id = |id: RepositoryId| id.to_string();
        refuse_unless(self.repository_id == repository, "repository_id", &id(self.repository_id), vec![id(repository)])
    }

    /// Whether the stage lets the job in.
    ///
    /// # Errors
    ///
    /// The first claim that it does not allow.
    pub fn may_enter(&self, stage: &StageName, policy: &OidcPolicy) -> Result<(), ClaimRefused> {
        let among = |allowed: &[String], claim, was: &String| {
            refuse_unless(allowed.contains(was), claim, was, allowed.to_vec())
        };
        among(&policy.events, "event_name", &self.event_name)?;
        among(&policy.refs, "ref", &self.reference)?;
        if !policy.workflows.is_empty() {
            let workflows = [&self.workflow_ref, &self.job_workflow_ref].map(|it| it.clone().unwrap_or_default());
            let known = workflows.iter().any(|workflow| policy.workflows.contains(workflow));
            refuse_unless(known, "workflow_ref", &workflows[0], policy.workflows.clone())?;
        }
        match &self.environment {
            Some(was) => refuse_unless(was == stage.as_str(), "environment", was, vec![stage.to_string()]),
            None => Ok(()),
        }
    }
}

fn refuse_unless(good: bool, claim: &'static str, was: &str, allowed: Vec<String>) -> Result<(), ClaimRefused> {
    if good { Ok(()) } else { Err(ClaimRefused { claim, was: was.to_owned(), allowed }) }
}

fn list(allowed: &[String]) -> String {
    if allowed.is_empty() { "none".to_owned() } else { allowed.join(", ") }
}

impl Hint for ClaimRefused {
    fn hint(&self) -> Option<String> {
        let key = |key: &str| format!("`oidc.{key}` of the stage in the server's file says which jobs may sign in");
        Some(match self.claim {
            "event_name" => key("events"),
            "ref" => key("refs"),
            "workflow_ref" => key("workflows"),
            "environment" => "a job that has an `environment:` may deploy to the stage of that name only".to_owned(),
            _ => "another repository may have had this name before; `id` of the project in the server's file says \
                  which one is meant"
                .to_owned(),
        })
    }
}

/// GitHub writes numbers as text in here.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    optional_number(deserializer)?.ok_or_else(|| serde::de::Error::custom("a number is missing"))
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<RepositoryId, D::Error> {
    number(deserializer).map(RepositoryId)
}

fn optional_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        Number(u64),
        Text(String),
    }
    match Option::<Wire>::deserialize(deserializer)? {
        None => Ok(None),
        Some(Wire::Number(number)) => Ok(Some(number)),
        Some(Wire::Text(text)) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}
