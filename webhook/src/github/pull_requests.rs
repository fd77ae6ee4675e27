//! Where a commit came from.

use serde::Deserialize;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, ProjectName};

use super::PullRequest;
use super::connection::Connection;
use super::error::GitHubError;
use super::pages;
use super::route::Route;

pub(super) async fn of_commit(
    connection: &Connection,
    project: &ProjectName,
    commit: &CommitSha,
) -> Result<Vec<PullRequest>, GitHubError> {
    #[derive(Deserialize)]
    struct Wire {
        number: u64,
        title: String,
        merged_at: Option<Timestamp>,
        merge_commit_sha: Option<CommitSha>,
        head: Side,
        base: Side,
    }
    #[derive(Deserialize)]
    struct Side {
        r#ref: String,
        sha: CommitSha,
    }
    let route = Route::of(project).to("commits").to(commit.as_str()).to("pulls");
    let rows: Vec<Wire> = pages::plain(connection, project, &route).await?;
    let pull_request = |row: Wire| PullRequest {
        number: row.number,
        title: row.title,
        head: row.head.sha,
        base_branch: row.base.r#ref,
        // Of an open pull request it is the merge that GitHub only tries.
        merge_commit: row.merge_commit_sha.filter(|_| row.merged_at.is_some()),
    };
    Ok(rows.into_iter().map(pull_request).collect())
}
