//! Keeps one comment on each merged pull request: what became of it, stage by stage. It is written from what is stored,
//! when a deployment has begun and when it has ended; whatever happened in between is in the next text. Best effort: a
//! deployment neither waits for it nor fails with it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use windlass_core::names::{CommitSha, ProjectName};

use crate::github::{GitHubError, Urgency};
use crate::service::App;
use crate::store::StoreError;
use crate::store::comments::MergedBy;
use crate::store::deployments::StoredDeployment;
use crate::tell::comment;
use crate::work::BackgroundTask;

pub(crate) struct Comments(pub(crate) Arc<App>);

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
async fn comment_on(app: Arc<App>, project: ProjectName) {
    let Some(mut claim) = app.at_work.claim(format!("comments {project}")) else { return };
    loop {
        let written = tokio::select! {
            written = write_all(&app, &project) => written,
            () = app.shutdown.cancelled() => return,
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

async fn write_all(app: &App, project: &ProjectName) -> Result<(), Unwritten> {
    let mut first_failure = None;
    // One deployment may have several commits: it is told once all of their pull requests have it.
    let (mut told, mut untold) = (Vec::new(), BTreeSet::new());
    for commit in app.store.commits_to_comment(project).await? {
        let deployments = app.store.deployments_of_commit(project, &commit).await?;
        match write(app, project, &commit, &deployments).await {
            Ok(()) => {}
            Err(Unwritten::GitHub(error)) if error.is_temporary() && is_fresh(app, &deployments) => {
                // Another pull request may be luckier.
                first_failure.get_or_insert(Unwritten::GitHub(error));
                untold.extend(deployments.into_iter().map(|it| it.id));
                continue;
            }
            Err(Unwritten::GitHub(error)) => {
                let error = format!("{:#}", anyhow::Error::new(error));
                tracing::info!(project.name = %project, commit = %commit, error, "its pull request gets no comment");
                if let Some(merged) = app.store.merged_by(project, &commit).await? {
                    app.store.end_comment(project, merged.pull_request, &error).await?;
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
    app.store.commented(&told).await?;
    first_failure.map_or(Ok(()), Err)
}

fn is_fresh(app: &App, deployments: &[StoredDeployment]) -> bool {
    deployments.iter().any(|it| app.now().duration_since(it.ended_at.unwrap_or(it.created_at)) < PATIENCE)
}

async fn write(
    app: &App,
    project: &ProjectName,
    commit: &CommitSha,
    deployments: &[StoredDeployment],
) -> Result<(), Unwritten> {
    let wanted = |it: &StoredDeployment| app.policy(&it.stage).is_some_and(|policy| policy.comment);
    if !deployments.iter().any(wanted) {
        return Ok(());
    }
    let Some(merged) = merged_by(app, project, commit).await? else { return Ok(()) };
    let told = app.store.comment(project, merged.pull_request).await?;
    let into_its_branch =
        |it: &StoredDeployment| app.policy(&it.stage).is_some_and(|policy| policy.branch == merged.base_branch);
    let mut stages = BTreeSet::new();
    let mut views = Vec::new();
    // The newest of each stage: they come newest first.
    for deployment in deployments.iter().filter(|it| wanted(it) && into_its_branch(it)) {
        if stages.insert(&deployment.stage) {
            views.push(app.deployment_view(deployment).await?);
        }
    }
    if views.is_empty() || told.ended {
        return Ok(());
    }
    views.sort_by(|a, b| a.stage.cmp(&b.stage));
    let body = comment::body(app.installation, commit, &views);
    let known = match told.github_id {
        Some(id) => Some(id),
        None => app.github.find_comment(project, merged.pull_request, &comment::marker(app.installation)).await?,
    };
    app.github.may_write(project, Urgency::Comment, 1).map_err(|_| Unwritten::NoRoom)?;
    let id = match known {
        Some(id) => app.github.edit_comment(project, id, &body).await.map(|()| id)?,
        None => app.github.create_comment(project, merged.pull_request, &body).await?,
    };
    if told.github_id != Some(id) {
        app.store.remember_comment(project, merged.pull_request, id).await?;
    }
    Ok(())
}

/// The pull request whose merge made this commit. Once it is known GitHub is not asked again.
async fn merged_by(app: &App, project: &ProjectName, commit: &CommitSha) -> Result<Option<MergedBy>, Unwritten> {
    if let Some(known) = app.store.merged_by(project, commit).await? {
        return Ok(Some(known));
    }
    let all = app.github.pull_requests_of(project, commit).await?;
    let Some(it) = all.into_iter().find(|it| it.merge_commit.as_ref() == Some(commit)) else { return Ok(None) };
    let merged = MergedBy { pull_request: it.number, base_branch: it.base_branch };
    app.store.remember_merged_by(project, commit, &merged).await?;
    Ok(Some(merged))
}

#[cfg(test)]
mod tests;
