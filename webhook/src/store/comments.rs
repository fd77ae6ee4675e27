//! Comments on merged pull requests: where they are, and what they tell already.

use sqlx::Row;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{CommitSha, DeploymentId, ProjectName};

use super::{Store, StoreError, signed, unsigned, word};
use crate::store::deployments::StoredDeployment;

/// The pull request that a commit was merged by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MergedBy {
    pub(crate) pull_request: u64,
    pub(crate) base_branch: String,
}

/// Our comment on a pull request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Comment {
    /// GitHub's id of it.
    pub(crate) github_id: Option<u64>,
    /// Whether nothing more is written.
    pub(crate) ended: bool,
}

/// The states that a comment tells: not the first parameter's, [`UNTOLD`].
const TOLD: &str = "d.state <> ?1 AND NOT EXISTS
     (SELECT 1 FROM commented c WHERE c.deployment = d.id AND c.state = d.state)";
/// A deployment that waits has not begun.
const UNTOLD: DeploymentState = DeploymentState::Waiting;

impl Store {
    /// Projects of which a comment tells less than there is.
    pub(crate) async fn projects_to_comment(&self) -> Result<Vec<ProjectName>, StoreError> {
        let sql = format!("SELECT DISTINCT d.project FROM deployments d WHERE {TOLD}");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(UNTOLD.as_str()).fetch_all(&self.reader).await?;
        rows.iter().map(|row| word("a project", row.get("project"))).collect()
    }

    /// The commits of it whose comment tells less than there is, the oldest first.
    pub(crate) async fn commits_to_comment(&self, project: &ProjectName) -> Result<Vec<CommitSha>, StoreError> {
        let sql = format!(
            "SELECT r.commit_sha, MIN(d.number) AS first FROM deployments d
             JOIN deployment_releases r ON r.deployment = d.id WHERE d.project = ?2 AND {TOLD}
             GROUP BY r.commit_sha ORDER BY first"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(UNTOLD.as_str())
            .bind(project.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| word("a commit", row.get("commit_sha"))).collect()
    }

    /// What the comment tells from now on of these deployments, or need not tell.
    pub(crate) async fn commented(&self, deployments: &[StoredDeployment]) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        for deployment in deployments.iter().filter(|it| it.state != UNTOLD) {
            sqlx::query(
                "INSERT INTO commented (deployment, state) VALUES (?, ?)
                 ON CONFLICT (deployment) DO UPDATE SET state = excluded.state",
            )
            .bind(DeploymentId::as_str(&deployment.id))
            .bind(deployment.state.as_str())
            .execute(&mut *write)
            .await?;
        }
        self.commit(write).await
    }

    /// The pull request that a commit was merged by, if GitHub has said so already.
    pub(crate) async fn merged_by(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
    ) -> Result<Option<MergedBy>, StoreError> {
        let row = sqlx::query("SELECT pull_request, base_branch FROM merged_by WHERE project = ? AND commit_sha = ?")
            .bind(project.as_str())
            .bind(commit.as_str())
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.map(|row| MergedBy {
            pull_request: unsigned(row.get("pull_request")),
            base_branch: row.get("base_branch"),
        }))
    }

    /// GitHub has said which it is.
    pub(crate) async fn remember_merged_by(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        merged_by: &MergedBy,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO merged_by (project, commit_sha, pull_request, base_branch) VALUES (?, ?, ?, ?)
             ON CONFLICT (project, commit_sha) DO NOTHING",
        )
        .bind(project.as_str())
        .bind(commit.as_str())
        .bind(signed(merged_by.pull_request))
        .bind(&merged_by.base_branch)
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// Our comment on a pull request, as far as it is known.
    pub(crate) async fn comment(&self, project: &ProjectName, pull_request: u64) -> Result<Comment, StoreError> {
        let row = sqlx::query("SELECT github_id, ended FROM comments WHERE project = ? AND pull_request = ?")
            .bind(project.as_str())
            .bind(signed(pull_request))
            .fetch_optional(&self.reader)
            .await?;
        Ok(row.map_or_else(Comment::default, |row| Comment {
            github_id: row.get::<Option<i64>, _>("github_id").map(unsigned),
            ended: row.get::<Option<String>, _>("ended").is_some(),
        }))
    }

    /// GitHub's id of our comment.
    pub(crate) async fn remember_comment(
        &self,
        project: &ProjectName,
        pull_request: u64,
        github_id: u64,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO comments (project, pull_request, github_id) VALUES (?, ?, ?)
             ON CONFLICT (project, pull_request) DO UPDATE SET github_id = excluded.github_id",
        )
        .bind(project.as_str())
        .bind(signed(pull_request))
        .bind(signed(github_id))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// Nothing more is written there.
    pub(crate) async fn end_comment(
        &self,
        project: &ProjectName,
        pull_request: u64,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO comments (project, pull_request, ended) VALUES (?, ?, ?)
             ON CONFLICT (project, pull_request) DO UPDATE SET ended = excluded.ended",
        )
        .bind(project.as_str())
        .bind(signed(pull_request))
        .bind(why)
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }
}
