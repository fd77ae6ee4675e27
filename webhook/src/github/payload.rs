//! From a delivery's body to what happened. The structs hold only what is read, so that whatever else GitHub sends, today
//! or tomorrow, cannot break them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use windlass_core::names::{CommitSha, InvalidName, ProjectName, RepositoryId};

use crate::github::event::{GitHubEvent, RepositoryRef};

#[cfg(test)]
mod tests;

/// Why a body could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PayloadError {
    /// Not JSON, or not of the shape that this event has.
    #[error("the delivery's body is not what GitHub sends for the event `{event}`")]
    Json { event: String, source: serde_json::Error },
    /// A repository's or commit's name that is none.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A form without the field that holds the JSON.
    #[error("the delivery's form has no field `payload`: set the webhook's content type to application/json")]
    NoPayload,
}

/// Reads a body of JSON. What does not concern us is [`GitHubEvent::Ignored`], not an error; so is what GitHub invents later.
pub(crate) fn parse(event_name: &str, body: &[u8]) -> Result<GitHubEvent, PayloadError> {
    let json = Json { event: event_name, body };
    match event_name {
        "ping" => json.read::<serde::de::IgnoredAny>().map(|_| GitHubEvent::Pinged),
        "push" => pushed(json.read()?),
        "pull_request" => pull_request(&json),
        "status" => {
            let Status { sha, repository } = json.read()?;
            checks_changed(&sha, repository)
        }
        "check_run" => checks(&json, &["created", "completed", "rerequested"], |checks| checks.check_run.take()),
        "check_suite" => checks(&json, &["requested", "completed", "rerequested"], |checks| checks.check_suite.take()),
        "workflow_run" => {
            checks(&json, &["requested", "in_progress", "completed"], |checks| checks.workflow_run.take())
        }
        "repository" => repository(&json),
        other => {
            json.read::<serde::de::IgnoredAny>()?;
            ignored(format!("the event `{other}` means nothing to Windlass"))
        }
    }
}

/// The JSON of a body that was sent as a form: `payload=…`.
pub(crate) fn json_of_form(body: &[u8]) -> Result<Vec<u8>, PayloadError> {
    url::form_urlencoded::parse(body)
        .find(|(name, _)| name == "payload")
        .map(|(_, value)| value.into_owned().into_bytes())
        .ok_or(PayloadError::NoPayload)
}

struct Json<'a> {
    event: &'a str,
    body: &'a [u8],
}

impl Json<'_> {
    fn read<T: DeserializeOwned>(&self) -> Result<T, PayloadError> {
        serde_json::from_slice(self.body).map_err(|source| PayloadError::Json { event: self.event.to_owned(), source })
    }

    fn action(&self) -> Result<String, PayloadError> {
        #[derive(Deserialize)]
        struct Wire {
            #[serde(default)]
            action: String,
        }
        self.read::<Wire>().map(|wire| wire.action)
    }

    fn another_action(&self, action: &str) -> Result<GitHubEvent, PayloadError> {
        ignored(format!("`{}` with the action `{action}` means nothing to Windlass", self.event))
    }
}

#[derive(Deserialize)]
struct Repository {
    id: RepositoryId,
    full_name: ProjectName,
}

impl From<Repository> for RepositoryRef {
    fn from(wire: Repository) -> Self {
        Self { id: wire.id, name: wire.full_name }
    }
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

#[derive(Deserialize)]
struct Push {
    r#ref: String,
    before: String,
    after: String,
    #[serde(default)]
    deleted: bool,
    repository: Repository,
    sender: Option<Account>,
    pusher: Option<Pusher>,
}

#[derive(Deserialize)]
struct Pusher {
    name: String,
}

fn pushed(push: Push) -> Result<GitHubEvent, PayloadError> {
    let Some(branch) = push.r#ref.strip_prefix("refs/heads/") else {
        return ignored(format!("`{}` is not a branch", push.r#ref));
    };
    if push.deleted || is_nothing(&push.after) {
        return ignored(format!("the branch `{branch}` was deleted"));
    }
    let before = if is_nothing(&push.before) { None } else { Some(push.before.parse()?) };
    let by = push.sender.map(|account| account.login).or(push.pusher.map(|pusher| pusher.name));
    Ok(GitHubEvent::BranchPushed {
        repository: push.repository.into(),
        branch: branch.to_owned(),
        commit: push.after.parse()?,
        before,
        by: somebody(by),
    })
}

/// Forty zeros stand for "no commit".
fn is_nothing(sha: &str) -> bool {
    sha.bytes().all(|digit| digit == b'0')
}

fn somebody(login: Option<String>) -> String {
    login.unwrap_or_else(|| "somebody".to_owned())
}

#[derive(Deserialize)]
struct PullRequestDelivery {
    pull_request: PullRequest,
    repository: Repository,
    sender: Option<Account>,
}

#[derive(Deserialize)]
struct PullRequest {
    number: u64,
    title: String,
    #[serde(default)]
    merged: bool,
    merge_commit_sha: Option<CommitSha>,
    merged_by: Option<Account>,
    base: Base,
}

#[derive(Deserialize)]
struct Base {
    r#ref: String,
}

fn pull_request(json: &Json<'_>) -> Result<GitHubEvent, PayloadError> {
    let action = json.action()?;
    if action != "closed" {
        return json.another_action(&action);
    }
    let PullRequestDelivery { pull_request, repository, sender } = json.read()?;
    let number = pull_request.number;
    match pull_request.merge_commit_sha {
        Some(commit) if pull_request.merged => Ok(GitHubEvent::PullRequestMerged {
            repository: repository.into(),
            number,
            title: pull_request.title,
            base_branch: pull_request.base.r#ref,
            commit,
            by: somebody(pull_request.merged_by.or(sender).map(|account| account.login)),
        }),
        None if pull_request.merged => ignored(format!("pull request {number} was merged, but no commit came of it")),
        _ => ignored(format!("pull request {number} was closed without being merged")),
    }
}

#[derive(Deserialize)]
struct Status {
    sha: String,
    repository: Repository,
}

/// Of the three events that tell of checks each has one of these. The branch that they name is not read: it is null for
/// forks, and one of several where a commit is on more than one.
#[derive(Deserialize)]
struct Checks {
    check_run: Option<Head>,
    check_suite: Option<Head>,
    workflow_run: Option<Head>,
    repository: Repository,
}

#[derive(Deserialize)]
struct Head {
    head_sha: String,
}

fn checks(
    json: &Json<'_>,
    actions: &[&str],
    head: fn(&mut Checks) -> Option<Head>,
) -> Result<GitHubEvent, PayloadError> {
    let action = json.action()?;
    if !actions.contains(&action.as_str()) {
        return json.another_action(&action);
    }
    let mut checks: Checks = json.read()?;
    match head(&mut checks) {
        Some(Head { head_sha }) => checks_changed(&head_sha, checks.repository),
        None => ignored(format!("`{}` names no commit", json.event)),
    }
}

fn checks_changed(sha: &str, repository: Repository) -> Result<GitHubEvent, PayloadError> {
    Ok(GitHubEvent::ChecksChanged { repository: repository.into(), commit: sha.parse()? })
}

#[derive(Deserialize)]
struct Renamed {
    repository: Repository,
    #[serde(default)]
    changes: serde_json::Value,
}

fn repository(json: &Json<'_>) -> Result<GitHubEvent, PayloadError> {
    let action = json.action()?;
    if !matches!(action.as_str(), "renamed" | "transferred") {
        return json.another_action(&action);
    }
    let Renamed { repository, changes } = json.read()?;
    let repository = RepositoryRef::from(repository);
    let from = |place: &str| changes.pointer(place).and_then(serde_json::Value::as_str);
    let owner = from("/owner/from/organization/login").or_else(|| from("/owner/from/user/login"));
    let name = from("/repository/name/from");
    let previous = (owner.is_some() || name.is_some()).then(|| {
        format!("{}/{}", owner.unwrap_or(repository.name.owner()), name.unwrap_or(repository.name.repository()))
    });
    let previous = previous.and_then(|previous| previous.parse().ok());
    Ok(GitHubEvent::RepositoryRenamed { repository, previous })
}

fn ignored(why: String) -> Result<GitHubEvent, PayloadError> {
    Ok(GitHubEvent::Ignored { why })
}
