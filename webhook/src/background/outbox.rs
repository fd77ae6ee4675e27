//! Tells GitHub what happened: the one place that writes deployments and their statuses. A deployment never waits for
//! it; what could not be said is said later, in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use windlass_core::report;

use super::BackgroundTask;
use crate::app::App;
use crate::github::{DeploymentState, GitHubError, NewDeployment, NewStatus};
use crate::store::deployments::StoredDeployment;
use crate::store::outbox::StoredNotice;

pub(crate) struct Outbox(pub(crate) Arc<App>);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(300);

impl BackgroundTask for Outbox {
    const NAME: &'static str = "outbox";
    const PERIOD: Duration = Duration::from_secs(30);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let app = &*self.0;
        loop {
            let now = app.now();
            let open = app.store.open_notices().await?;
            let (due, later): (Vec<_>, Vec<_>) = open.into_iter().partition(|notice| notice.next_attempt_at <= now);
            if due.is_empty() {
                let next = later.iter().map(|notice| notice.next_attempt_at).min();
                return Ok(next.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO)));
            }
            for notice in due {
                if app.shutdown.is_cancelled() {
                    return Ok(None);
                }
                self.send(&notice).await?;
            }
        }
    }
}

impl Outbox {
    async fn send(&self, stored: &StoredNotice) -> anyhow::Result<()> {
        let app = &*self.0;
        let Some(deployment) = app.store.deployment(&stored.deployment).await? else {
            return Ok(app.store.notice_refused(stored.id, "its deployment is gone", app.now()).await?);
        };
        app.store.begin_attempt(stored.id).await?;
        match self.tell(&deployment, stored).await {
            Ok(()) => Ok(app.store.notice_sent(stored.id, app.now()).await?),
            Err(error) if may_change(&error) && !has_waited_long_enough(&error, stored, app.now()) => {
                let until = next_attempt(app.now(), stored.attempts, error.retry_after());
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(deployment.id = %deployment.id, error, until = %until, "GitHub could not be told yet");
                Ok(app.store.notice_postponed(stored.id, &error, until).await?)
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(deployment.id = %deployment.id, error, "GitHub does not want to be told");
                Ok(app.store.notice_refused(stored.id, &error, app.now()).await?)
            }
        }
    }

    async fn tell(&self, deployment: &StoredDeployment, stored: &StoredNotice) -> Result<(), GitHubError> {
        let app = &*self.0;
        let project = &deployment.stage.project;
        let may_have_arrived = stored.attempts > 0;
        let id = match stored.github_id {
            Some(id) => id,
            // Only a deployment's first notice finds GitHub without it for sure.
            None => self.create(deployment, may_have_arrived || stored.notice.state != DeploymentState::Queued).await?,
        };
        let status = NewStatus {
            state: stored.notice.state,
            description: stored.notice.description.clone(),
            log_url: app.deployment_url(&deployment.id).parse().ok(),
            environment_url: stored.notice.environment_url.as_deref().and_then(|url| url.parse().ok()),
        };
        if may_have_arrived && app.github.has_status(project, id, &status).await? {
            return Ok(());
        }
        app.github.create_status(project, id, &status).await?;
        Ok(())
    }

    /// Creates the deployment on GitHub, unless an attempt whose answer was lost did so already.
    async fn create(&self, deployment: &StoredDeployment, may_have_arrived: bool) -> Result<u64, GitHubError> {
        let app = &*self.0;
        let project = &deployment.stage.project;
        let new = self.new_deployment(deployment);
        let found = if may_have_arrived { app.github.find_deployment(project, &new).await? } else { None };
        let id = match found {
            Some(id) => id,
            None => match app.github.create_deployment(project, &new).await {
                Err(GitHubError::WrongCommit { id, wanted, got }) => {
                    self.disown(deployment, id).await?;
                    return Err(GitHubError::WrongCommit { id, wanted, got });
                }
                created => created?,
            },
        };
        if let Err(error) = app.store.remember_github_deployment(&deployment.id, id, app.now()).await {
            // Found again by its payload at the next attempt.
            tracing::warn!(deployment.id = %deployment.id, error = %error, "GitHub's id of it could not be stored");
        }
        Ok(id)
    }

    /// GitHub made a deployment of another commit than the one asked for: it must not stay open.
    async fn disown(&self, deployment: &StoredDeployment, id: u64) -> Result<(), GitHubError> {
        let status = NewStatus {
            state: DeploymentState::Error,
            description: "GitHub made this deployment of another commit than the one that Windlass asked for"
                .to_owned(),
            log_url: self.0.deployment_url(&deployment.id).parse().ok(),
            environment_url: None,
        };
        self.0.github.create_status(&deployment.stage.project, id, &status).await.map(drop)
    }

    fn new_deployment(&self, deployment: &StoredDeployment) -> NewDeployment {
        let policy = self.0.policy(&deployment.stage);
        NewDeployment {
            commit: deployment.commit.clone(),
            task: deployment.kind.as_str().to_owned(),
            environment: deployment.stage.stage.clone(),
            description: report::title(deployment.kind, &deployment.releases),
            deployment: deployment.id.clone(),
            production: policy.is_some_and(|policy| policy.production),
            transient: policy.is_some_and(|policy| policy.transient),
        }
    }
}

/// Whether the same notice may be taken later: a token that has expired or a suspended App is mended by people.
fn may_change(error: &GitHubError) -> bool {
    error.is_temporary()
        || matches!(
            error,
            GitHubError::Unauthorized { .. } | GitHubError::Forbidden { .. } | GitHubError::NotFound { .. }
        )
}

/// GitHub's API learns of a commit some seconds after its webhook has told of it; a commit that stays unknown for a
/// minute never was GitHub's. What people have to mend is tried for a day, what passes by itself for ever.
fn has_waited_long_enough(error: &GitHubError, stored: &StoredNotice, now: Timestamp) -> bool {
    if matches!(error, GitHubError::CommitUnknown { .. }) {
        return stored.attempts >= 30;
    }
    !error.is_temporary() && now.duration_since(stored.created_at) > SignedDuration::from_hours(24)
}

/// As GitHub asks; otherwise 1 s, doubling up to [`LONGEST_PAUSE`].
fn next_attempt(now: Timestamp, attempts: u64, asked: Option<Duration>) -> Timestamp {
    let doubled = Duration::from_secs(1 << attempts.min(9)).min(LONGEST_PAUSE);
    let pause = SignedDuration::try_from(asked.unwrap_or(doubled)).unwrap_or(SignedDuration::from_secs(300));
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}
