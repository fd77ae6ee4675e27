//! Reads the heads of the stages' branches, slowly: whatever became of the deliveries, what is at the head is wanted in the
//! end.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::config::{StagePolicy, TriggerKind};
use windlass_core::names::CommitSha;
use windlass_core::stage::Stage;

use crate::github::{Ancestry, GitHubError};
use crate::intake::wanting;
use crate::service::Service;
use crate::store::deployments::Source;
use crate::store::stages::WantedCommit;
use crate::work::BackgroundTask;

/// When to look again after GitHub did not answer.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Branches(pub(crate) Arc<Service>);

impl BackgroundTask for Branches {
    const NAME: &'static str = "branches";
    const PERIOD: Duration = Duration::from_secs(5 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &*self.0;
        let mut again = None;
        for stage in service.settings.server.stages() {
            let Some(policy) = service.settings.server.policy(&stage).filter(|policy| !policy.deploy_on.is_empty())
            else {
                continue;
            };
            match look(service, &stage, policy).await {
                Ok(false) => {}
                Ok(true) => service.wake.stages.notify_one(),
                Err(error) => {
                    if error.downcast_ref::<GitHubError>().is_none_or(GitHubError::is_temporary) {
                        again = Some(SOON);
                    }
                    let error = format!("{error:#}");
                    tracing::warn!(stage.name = %stage, error, "the head of the stage's branch cannot be read");
                }
            }
        }
        Ok(again)
    }
}

/// Whether the head is wanted now and was not before.
async fn look(service: &Service, stage: &Stage, policy: &StagePolicy) -> anyhow::Result<bool> {
    let Some(head) = service.github.branch_head(&stage.project, &policy.branch).await? else { return Ok(false) };
    let wanted = service.store.wanted_commit(stage).await?.map(|wanted| wanted.commit);
    if wanted.as_ref() == Some(&head) {
        return Ok(false);
    }
    if let Some(wanted) = &wanted
        && is_behind(service, stage, wanted, &head).await?
    {
        return Ok(false);
    }
    let Some(source) = source_of(service, stage, policy, &head).await? else { return Ok(false) };
    tracing::info!(stage.name = %stage, commit = head.as_str(), "found at the head of the stage's branch");
    service.store.saw_commit(&stage.project, &head, false, service.clock.now()).await?;
    let requested_by = format!("found at the head of {}", policy.branch);
    wanting::want(service, stage, &WantedCommit { commit: head, source, requested_by }).await
}

/// The branch went back to an older commit, or GitHub's answer is older than its deliveries: neither is a reason to deploy.
async fn is_behind(
    service: &Service,
    stage: &Stage,
    wanted: &CommitSha,
    head: &CommitSha,
) -> Result<bool, GitHubError> {
    match service.github.compare(&stage.project, wanted, head).await {
        Ok(ancestry) => Ok(ancestry == Ancestry::Behind),
        // What was wanted is not there any more.
        Err(GitHubError::NotFound { .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

/// As what the stage wants the head; `None`: what made it is none of its triggers.
async fn source_of(
    service: &Service,
    stage: &Stage,
    policy: &StagePolicy,
    head: &CommitSha,
) -> Result<Option<Source>, GitHubError> {
    if policy.deploy_on.contains(&TriggerKind::Push) {
        return Ok(Some(Source::Push));
    }
    if !policy.deploy_on.contains(&TriggerKind::Merge) {
        return Ok(None);
    }
    let pull_requests = service.github.pull_requests_of(&stage.project, head).await?;
    let made = pull_requests.iter().any(|it| it.merge_commit.as_ref() == Some(head) && it.base_branch == policy.branch);
    Ok(made.then_some(Source::Merge))
}
