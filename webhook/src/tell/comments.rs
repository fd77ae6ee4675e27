//! Keeps one comment on each merged pull request: what became of it, stage by stage. It is written from what is stored,
//! when a deployment has begun and when it has ended; whatever happened in between is in the next text. Best effort: a
//! deployment neither waits for it nor fails with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use windlass_core::names::{CommitSha, ProjectName};

use crate::at_work::Piece;
use crate::github::{GitHubError, Urgency};
use crate::service::Service;
use crate::store::StoreError;
use crate::store::comments::MergedBy;
use crate::store::deployments::StoredDeployment;
use crate::tell::comment;
use crate::tell::view;
use crate::work::BackgroundTask;

pub(crate) struct Comments(pub(crate) Arc<Service>);

/// What could not be written for so long is left out.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

impl BackgroundTask for Comments {
    const NAME: &'static str = "comments";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        for project in self.0.store.projects_to_comment().await? {
            self.0.tracker.spawn(comment_on(Arc::clone(&self.0), project));
        }
        Ok(None)
    }
}

/// Why a comment was not written.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// GitHub's limits leave no room for comments now.
    #[error("GitHub's limits leave no room for comments")]
    NoRoom,
}

/// One project's comments, one after the other.
async fn comment_on(service: Arc<Service>, project: ProjectName) {
    let Some(mut claim) = service.at_work.claim(Piece::Comments(project.clone())) else { return };
    loop {
        let written = tokio::select! {
            written = write_all(&service, &project) => written,
            () = service.shutdown.cancelled() => return,
        };
        match written {
            Ok(()) => {}
            // Looked at again in a minute.
            Err(Unwritten::NoRoom) => return,
            Err(error) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(project.name = %project, error, "the comment on a pull request could not be written yet");
                return;
            }
        }
        match claim.give_up() {
            Ok(()) => return,
            Err(again) => claim = again,
        }
    }
}

async fn write_all(service: &Service, project: &ProjectName) -> Result<(), Unwritten> {
    let mut first_failure = None;
    // One deployment may have several commits: it is told once all of their pull requests have it.
    let (mut told, mut untold) = (Vec::new(), BTreeSet::new());
    for commit in service.store.commits_to_comment(project).await? {
        let deployments = service.store.deployments_of_commit(project, &commit).await?;
        match write(service, project, &commit, &deployments).await {
            Ok(()) => {}
            Err(Unwritten::GitHub(error)) if error.is_temporary() && is_fresh(service, &deployments) => {
                // Another pull request may be luckier.
                first_failure.get_or_insert(Unwritten::GitHub(error));
                untold.extend(deployments.into_iter().map(|it| it.id));
                continue;
            }
            Err(Unwritten::GitHub(error)) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::info!(project.name = %project, commit = %commit, error, "its pull request gets no comment");
                if let Some(merged) = service.store.merged_by(project, &commit).await? {
                    service.store.end_comment(project, merged.pull_request, &error).await?;
                }
            }
            Err(error) => {
                first_failure = Some(error);
                untold.extend(deployments.into_iter().map(|it| it.id));
                break;
            }
        }
        for deployment in deployments {
            // The first that was read of it: what has happened since is in one of the comments only.
            if told.iter().all(|it: &StoredDeployment| it.id != deployment.id) {
                told.push(deployment);
            }
        }
    }
    told.retain(|deployment| !untold.contains(&deployment.id));
    service.store.commented(&told).await?;
    first_failure.map_or(Ok(()), Err)
}

fn is_fresh(service: &Service, deployments: &[StoredDeployment]) -> bool {
    deployments.iter().any(|it| service.clock.now().duration_since(it.ended_at.unwrap_or(it.created_at)) < PATIENCE)
}

async fn write(
    service: &Service,
    project: &ProjectName,
    commit: &CommitSha,
    deployments: &[StoredDeployment],
) -> Result<(), Unwritten> {
    let wanted = |it: &StoredDeployment| service.settings.server.policy(&it.stage).is_some_and(|policy| policy.comment);
    if !deployments.iter().any(wanted) {
        return Ok(());
    }
    let Some(merged) = merged_by(service, project, commit).await? else { return Ok(()) };
    let told = service.store.comment(project, merged.pull_request).await?;
    let into_its_branch = |it: &StoredDeployment| {
        service.settings.server.policy(&it.stage).is_some_and(|policy| policy.branch == merged.base_branch)
    };
    let mut stages = BTreeSet::new();
    let mut views = Vec::new();
    // The newest of each stage: they come newest first.
    for deployment in deployments.iter().filter(|it| wanted(it) && into_its_branch(it)) {
        if stages.insert(&deployment.stage) {
            views.push(view::deployment_view(service, deployment).await?);
        }
    }
    if views.is_empty() || told.ended {
        return Ok(());
    }
    views.sort_by(|a, b| a.stage.cmp(&b.stage));
    let body = comment::body(service.installation, commit, &views);
    let known = match told.github_id {
        Some(id) => Some(id),
        None => {
            service.github.find_comment(project, merged.pull_request, &comment::marker(service.installation)).await?
        }
    };
    service.github.may_write(project, Urgency::Comment, 1).map_err(|_| Unwritten::NoRoom)?;
    let id = match known {
        Some(id) => service.github.edit_comment(project, id, &body).await.map(|()| id)?,
        None => service.github.create_comment(project, merged.pull_request, &body).await?,
    };
    if told.github_id != Some(id) {
        service.store.remember_comment(project, merged.pull_request, id).await?;
    }
    Ok(())
}

/// The pull request whose merge made this commit. Once it is known GitHub is not asked again.
async fn merged_by(
    service: &Service,
    project: &ProjectName,
    commit: &CommitSha,
) -> Result<Option<MergedBy>, Unwritten> {
    if let Some(known) = service.store.merged_by(project, commit).await? {
        return Ok(Some(known));
    }
    let all = service.github.pull_requests_of(project, commit).await?;
    let Some(it) = all.into_iter().find(|it| it.merge_commit.as_ref() == Some(commit)) else { return Ok(None) };
    let merged = MergedBy { pull_request: it.number, base_branch: it.base_branch };
    service.store.remember_merged_by(project, commit, &merged).await?;
    Ok(Some(merged))
}

#[cfg(test)]
mod tests;
