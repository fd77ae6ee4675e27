//! What a stage's branch wants only ever moves forward, whoever says so and in whatever order it is said.

use windlass_core::names::CommitSha;
use windlass_core::stage::Stage;

use crate::github::{Ancestry, GitHubError};
use crate::service::Service;
use crate::store::stages::WantedCommit;

/// The stage's branch wants this commit from now on, unless it wants a newer one. Says whether it now wants this one.
pub(crate) async fn want(service: &Service, stage: &Stage, wanted: &WantedCommit) -> anyhow::Result<bool> {
    loop {
        let before = service.store.wanted_commit(stage).await?.map(|before| before.commit);
        if before.as_ref() == Some(&wanted.commit) {
            return Ok(true);
        }
        if let Some(before) = &before
            && !replaces(service, stage, &wanted.commit, before).await?
        {
            return Ok(false);
        }
        // While GitHub was asked, somebody else may have said another.
        if service.store.want_commit(stage, wanted, before.as_ref(), service.clock.now()).await? {
            return Ok(true);
        }
    }
}

/// Deliveries come in any order: one that tells of an older commit than the one that is wanted comes late, and so does
/// one from before a force-push.
async fn replaces(
    service: &Service,
    stage: &Stage,
    commit: &CommitSha,
    wanted: &CommitSha,
) -> Result<bool, GitHubError> {
    let project = &stage.project;
    match service.github.compare(project, wanted, commit).await {
        Ok(Ancestry::Ahead | Ancestry::Identical) => Ok(true),
        Ok(Ancestry::Behind) => Ok(false),
        // A commit that was wanted before a force-push may be gone.
        Err(GitHubError::NotFound { .. }) => Ok(true),
        Ok(Ancestry::Diverged) => {
            // Neither is made from the other: the branch itself says which of them it has.
            let Some(policy) = service.settings.server.policy(stage) else { return Ok(false) };
            let Some(head) = service.github.branch_head(project, &policy.branch).await? else { return Ok(true) };
            if head == *commit {
                return Ok(true);
            }
            Ok(service.github.compare(project, commit, &head).await? == Ancestry::Ahead)
        }
        Err(error) => Err(error),
    }
}
