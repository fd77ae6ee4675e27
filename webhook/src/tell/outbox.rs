//! Tells GitHub what happened: the one place that writes deployments and their statuses. A deployment never waits for
//! it; what could not be said is said later, in order.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use windlass_core::names::ProjectName;
use windlass_core::notice::GitHubState;
use windlass_core::report;

use crate::at_work::Piece;
use crate::back_off::BackOff;
use crate::github::{GitHubError, NewGitHubDeployment, NewStatus};
use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;
use crate::store::outbox::{OnGitHub, StoredNotice};
use crate::work::BackgroundTask;

/// Each project is told by itself: one that hangs, or whose App is suspended, holds up no other.
#[derive(Clone)]
pub(crate) struct Outbox {
    service: Arc<Service>,
    at_once: Arc<Semaphore>,
}

/// So many projects are told at the same time.
const AT_ONCE: usize = 16;
/// Between two attempts.
const AGAIN: BackOff = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };

impl BackgroundTask for Outbox {
    const NAME: &'static str = "outbox";
    const PERIOD: Duration = Duration::from_secs(30);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        // What GitHub is told of a deployment, its pull request is told too.
        self.service.wake.comments.notify_one();
        let now = self.service.clock.now();
        let mut next = None;
        for (project, due) in self.service.store.projects_to_tell().await? {
            if due > now {
                let wait = Duration::try_from(due.duration_since(now)).unwrap_or(Duration::ZERO);
                next = Some(next.map_or(wait, |next: Duration| next.min(wait)));
            } else {
                self.service.tracker.spawn(self.clone().tell_project(project));
            }
        }
        Ok(next)
    }
}

impl Outbox {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Until nothing of it is due. What is due later wakes the outbox again.
    async fn tell_project(self, project: ProjectName) {
        let Some(mut claim) = self.service.at_work.claim(Piece::Notices(project.clone())) else { return };
        let Ok(_permit) = self.at_once.acquire().await else { return };
        loop {
            let told = tokio::select! {
                told = self.tell_what_is_due(&project) => told,
                () = self.service.shutdown.cancelled() => return,
            };
            if let Err(error) = told {
                tracing::error!(project.name = %project, error = format!("{error:#}"), "notices cannot be read or marked");
                // The next activation is the retry.
                return;
            }
            match claim.give_up() {
                Ok(()) => break,
                Err(again) => claim = again,
            }
        }
        self.service.wake.outbox.notify_one();
    }

    async fn tell_what_is_due(&self, project: &ProjectName) -> Result<(), StoreError> {
        loop {
            let due = self.service.store.due_notices(project, self.service.clock.now()).await?;
            if due.is_empty() {
                return Ok(());
            }
            for notice in due {
                // Its limits hold for all that is as urgent, or less.
                if let Err(wait) = self.service.github.may_write(project, notice.urgency, requests_for(&notice)) {
                    let until = later(self.service.clock.now(), wait);
                    self.service.store.hold_notices(project, notice.urgency, until).await?;
                    break;
                }
                self.send(&notice).await?;
            }
        }
    }

    async fn send(&self, stored: &StoredNotice) -> Result<(), StoreError> {
        let store = &self.service.store;
        let now = || self.service.clock.now();
        let Some(deployment) = store.deployment(&stored.deployment).await? else {
            return store.notice_refused(stored.id, "its deployment is gone", now()).await;
        };
        if stored.on_github == OnGitHub::Refused {
            return store.notice_refused(stored.id, "GitHub did not take the deployment", now()).await;
        }
        store.begin_attempt(stored.id).await?;
        match self.tell(&deployment, stored).await {
            Ok(()) => store.notice_sent(stored.id, now()).await,
            Err(error) if may_change(&error) && !has_waited_long_enough(&error, stored, now()) => {
                let until = next_attempt(now(), stored.attempts, error.retry_after());
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(deployment.id = %deployment.id, error, until = %until, "GitHub could not be told yet");
                store.notice_postponed(stored.id, &error, until).await
            }
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::error!(deployment.id = %deployment.id, error, "GitHub does not want to be told");
                store.notice_refused(stored.id, &error, now()).await
            }
        }
    }

    async fn tell(&self, deployment: &StoredDeployment, stored: &StoredNotice) -> Result<(), GitHubError> {
        let service = &*self.service;
        let project = &deployment.stage.project;
        let may_have_arrived = stored.attempts > 0;
        let id = match &stored.on_github {
            OnGitHub::Made(id) => *id,
            OnGitHub::OfWrongCommit(id, got) => return self.disown(deployment, *id, got).await,
            // Only a deployment's first notice finds GitHub without it for sure.
            OnGitHub::Nothing | OnGitHub::Refused => {
                self.create(deployment, may_have_arrived || stored.notice.state != GitHubState::Queued).await?
            }
        };
        let status = NewStatus {
            state: stored.notice.state,
            description: stored.notice.description.clone(),
            log_url: service.settings.server.deployment_url(&deployment.id).parse().ok(),
            environment_url: stored.notice.environment_url.as_deref().and_then(|url| url.parse().ok()),
        };
        if may_have_arrived && service.github.has_status(project, id, &status).await? {
            return Ok(());
        }
        service.github.create_status(project, id, &status).await?;
        Ok(())
    }

    /// Creates the deployment on GitHub, unless an attempt whose answer was lost did so already.
    async fn create(&self, deployment: &StoredDeployment, may_have_arrived: bool) -> Result<u64, GitHubError> {
        let service = &*self.service;
        let project = &deployment.stage.project;
        let new = self.new_deployment(deployment);
        let found = if may_have_arrived { service.github.find_deployment(project, &new).await? } else { None };
        let id = match found {
            Some(id) => id,
            None => match service.github.create_deployment(project, &new).await {
                Err(GitHubError::WrongCommit { id, got, .. }) => {
                    self.remember(deployment, id, Some(&got)).await;
                    return self.disown(deployment, id, &got).await.map(|()| id);
                }
                created => created?,
            },
        };
        self.remember(deployment, id, None).await;
        Ok(id)
    }

    async fn remember(&self, deployment: &StoredDeployment, id: u64, wrong_commit: Option<&str>) {
        let remembered = self
            .service
            .store
            .remember_github_deployment(&deployment.id, id, wrong_commit, self.service.clock.now())
            .await;
        if let Err(error) = remembered {
            // Found again by its payload at the next attempt.
            tracing::warn!(deployment.id = %deployment.id, error = %error, "GitHub's id of it could not be stored");
        }
    }

    /// GitHub made a deployment of another commit than the one asked for: it must not stay open. That it is closed is no
    /// success.
    async fn disown(&self, deployment: &StoredDeployment, id: u64, got: &str) -> Result<(), GitHubError> {
        let project = &deployment.stage.project;
        let status = NewStatus {
            state: GitHubState::Error,
            description: "GitHub made this deployment of another commit than the one that Windlass asked for"
                .to_owned(),
            log_url: self.service.settings.server.deployment_url(&deployment.id).parse().ok(),
            environment_url: None,
        };
        if !self.service.github.has_status(project, id, &status).await? {
            self.service.github.create_status(project, id, &status).await?;
        }
        Err(GitHubError::WrongCommit { id, wanted: deployment.commit.to_string(), got: got.to_owned() })
    }

    fn new_deployment(&self, deployment: &StoredDeployment) -> NewGitHubDeployment {
        let policy = self.service.settings.server.policy(&deployment.stage);
        let title = report::title(deployment.kind, &deployment.releases);
        let several = report::commits(&deployment.commits);
        let from = several.as_ref().map(|commits| format!(" from {commits}")).unwrap_or_default();
        let given = deployment.gate_override.as_ref().map(ToString::to_string).or_else(|| deployment.reason.clone());
        let given = given.map(|given| format!("; {given}")).unwrap_or_default();
        NewGitHubDeployment {
            commit: deployment.commit.clone(),
            commits: several.as_ref().map(|_| deployment.commits.clone()).unwrap_or_default(),
            task: deployment.kind.as_str().to_owned(),
            environment: deployment.stage.name.clone(),
            description: format!("{title}{from}{given}"),
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
            GitHubError::Unauthorized { .. }
                | GitHubError::Suspended { .. }
                | GitHubError::NotInstalled { .. }
                | GitHubError::Forbidden { .. }
                | GitHubError::NotFound { .. }
        )
}

/// GitHub's API learns of a commit some seconds after its webhook has told of it; a commit that stays unknown for a
/// minute never was GitHub's. What people have to mend is tried for a day, or for thirty where GitHub has the deployment
/// and would show it as running for ever; what passes by itself is tried for ever.
fn has_waited_long_enough(error: &GitHubError, stored: &StoredNotice, now: Timestamp) -> bool {
    if matches!(error, GitHubError::CommitUnknown { .. }) {
        return stored.attempts >= 30;
    }
    let days = if matches!(stored.on_github, OnGitHub::Made(_)) { 30 } else { 1 };
    !error.is_temporary() && now.duration_since(stored.created_at) > SignedDuration::from_hours(24 * days)
}

/// A deployment that GitHub does not have yet is created with its first status.
const fn requests_for(notice: &StoredNotice) -> usize {
    match notice.on_github {
        OnGitHub::Nothing => 2,
        OnGitHub::Made(_) | OnGitHub::OfWrongCommit(..) => 1,
        OnGitHub::Refused => 0,
    }
}

/// As GitHub asks; otherwise pauses that double.
fn next_attempt(now: Timestamp, attempts: u64, asked: Option<Duration>) -> Timestamp {
    later(now, asked.unwrap_or_else(|| AGAIN.pause(attempts + 1)))
}

fn later(now: Timestamp, by: Duration) -> Timestamp {
    let by = SignedDuration::try_from(by).unwrap_or(SignedDuration::from_secs(300));
    now.checked_add(by).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
