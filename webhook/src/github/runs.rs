//! The runs of GitHub Actions on a commit: which checks are whose work, and what started them.

use windlass_core::names::{CommitSha, ProjectName};
use windlass_core::verdict::{WorkflowRun, WorkflowRuns};

use super::connection::Connection;
use super::error::GitHubError;
use super::pages::{self, WorkflowRunPage, WorkflowRunRow};
use super::route::Route;

/// That we may not read them is a fact, not an error: without them too much counts, never too little.
pub(super) async fn of_commit(
    connection: &Connection,
    project: &ProjectName,
    commit: &CommitSha,
) -> Result<WorkflowRuns, GitHubError> {
    let route = Route::of(project).to("actions").to("runs").with("head_sha", commit.as_str());
    match pages::counted::<WorkflowRunPage>(connection, project, &route).await {
        Ok(rows) => Ok(WorkflowRuns::Known(rows.into_iter().map(run).collect())),
        Err(error @ (GitHubError::Forbidden { .. } | GitHubError::NotFound { .. })) => {
            Ok(WorkflowRuns::Unknown(format!("{error}; the App or token needs Actions: read")))
        }
        Err(error) => Err(error),
    }
}

fn run(row: WorkflowRunRow) -> WorkflowRun {
    WorkflowRun { id: row.id, workflow: row.workflow_id, event: row.event, suite: row.check_suite_id }
}
