//! Turns stored deliveries into what the stages' branches want, each once.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::config::TriggerKind;
use windlass_core::names::{CommitSha, ProjectName};

use super::BackgroundTask;
use crate::app::App;
use crate::event::{GitHubEvent, RepositoryRef};
use crate::github::{Ancestry, GitHubError, payload};
use crate::stage::StageKey;
use crate::store::deliveries::{Processed, StoredDelivery};
use crate::store::deployments::Source;
use crate::store::stages::WantedCommit;

/// How soon a delivery that could not be worked on is tried again.
const TRY_AGAIN: Duration = Duration::from_secs(3);
/// And how often; then it counts as failed, and may be sent again by GitHub.
const MOST_ATTEMPTS: u32 = 100;

pub(crate) struct Deliveries(pub(crate) Arc<App>);

impl BackgroundTask for Deliveries {
    const NAME: &'static str = "deliveries";
    const PERIOD: Duration = Duration::from_secs(15);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let app = &*self.0;
        let mut again = None;
        for delivery in app.store.open_deliveries().await? {
            let event = match payload::parse(&delivery.event, delivery.body.as_bytes()) {
                Ok(event) => event,
                Err(error) => {
                    let why = error.to_string();
                    tracing::warn!(delivery.guid, delivery.event, why, "delivery cannot be read");
                    app.store.finish_delivery(&delivery.guid, Processed::Failed(&why), app.now()).await?;
                    continue;
                }
            };
            match self.take(&event).await {
                Ok(outcome) => self.finish(&delivery, &outcome).await?,
                // One that cannot be worked on now must not keep the others waiting.
                Err(error) => {
                    let why = format!("{error:#}");
                    tracing::warn!(delivery.guid, delivery.event, why, "delivery cannot be worked on yet");
                    app.store.postpone_delivery(&delivery.guid, &why, MOST_ATTEMPTS, app.now()).await?;
                    again = Some(TRY_AGAIN);
                }
            }
        }
        Ok(again)
    }
}

impl Deliveries {
    async fn finish(&self, delivery: &StoredDelivery, outcome: &str) -> anyhow::Result<()> {
        tracing::info!(delivery.guid, delivery.event, outcome, "delivery worked on");
        self.0.store.finish_delivery(&delivery.guid, Processed::Done(outcome), self.0.now()).await?;
        self.0.wake.stages.notify_one();
        Ok(())
    }

    async fn take(&self, event: &GitHubEvent) -> anyhow::Result<String> {
        match event {
            GitHubEvent::PullRequestMerged { repository, number, base_branch, commit, by, .. } => {
                let asked = format!("{by} merged #{number}");
                self.want(repository, base_branch, commit, (TriggerKind::Merge, Source::Merge), &asked).await
            }
            GitHubEvent::BranchPushed { repository, branch, commit, by, .. } => {
                let asked = format!("{by} pushed");
                self.want(repository, branch, commit, (TriggerKind::Push, Source::Push), &asked).await
            }
            GitHubEvent::ChecksChanged { repository, commit } => {
                let Some(project) = self.project(repository).await? else { return Ok(unknown(repository)) };
                self.0.store.saw_commit(&project, commit, true, self.0.now()).await?;
                Ok(format!("checks of {} changed", commit.short()))
            }
            GitHubEvent::RepositoryRenamed { repository, .. } => Ok(format!("{} has a new name", repository.name)),
            GitHubEvent::Pinged => Ok("pong".to_owned()),
            GitHubEvent::Ignored { why } => Ok(format!("ignored: {why}")),
        }
    }

    async fn want(
        &self,
        repository: &RepositoryRef,
        branch: &str,
        commit: &CommitSha,
        (trigger, source): (TriggerKind, Source),
        requested_by: &str,
    ) -> anyhow::Result<String> {
        let app = &*self.0;
        let Some(project) = self.project(repository).await? else { return Ok(unknown(repository)) };
        app.store.saw_commit(&project, commit, false, app.now()).await?;
        let mut wanting = Vec::new();
        for stage in app.stages().into_iter().filter(|stage| stage.project == project) {
            let Some(policy) = app.policy(&stage) else { continue };
            if policy.branch != branch || !policy.deploy_on.contains(&trigger) || self.is_older(&stage, commit).await? {
                continue;
            }
            let wanted = WantedCommit { commit: commit.clone(), source, requested_by: requested_by.to_owned() };
            app.store.want_commit(&stage, &wanted, app.now()).await?;
            wanting.push(stage.stage.to_string());
        }
        Ok(match &wanting[..] {
            [] => format!("no stage deploys {branch} on this"),
            stages => format!("{} wants {}", stages.join(" and "), commit.short()),
        })
    }

    /// Deliveries come in any order: one that tells of an older commit than the one that is wanted comes late.
    async fn is_older(&self, stage: &StageKey, commit: &CommitSha) -> anyhow::Result<bool> {
        let Some(wanted) = self.0.store.wanted_commit(stage).await? else { return Ok(false) };
        if wanted.commit == *commit {
            return Ok(false);
        }
        match self.0.github.compare(&stage.project, &wanted.commit, commit).await {
            Ok(ancestry) => Ok(ancestry == Ancestry::Behind),
            // A commit that was wanted before a force-push may be gone.
            Err(GitHubError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The project is the one with this id. A project whose id is not known yet is recognised by its name, once.
    async fn project(&self, repository: &RepositoryRef) -> anyhow::Result<Option<ProjectName>> {
        let known = self.0.repository_ids().await?;
        if let Some((name, _)) = known.iter().find(|(_, id)| **id == repository.id) {
            return Ok(Some(name.clone()));
        }
        if self.0.project(&repository.name).is_none() || known.contains_key(&repository.name) {
            return Ok(None);
        }
        self.0.store.remember_project(&repository.name, repository.id, self.0.now()).await?;
        Ok(Some(repository.name.clone()))
    }
}

fn unknown(repository: &RepositoryRef) -> String {
    format!("{} (id {}) is no project of this server", repository.name, repository.id)
}
