//! The outbox: what GitHub is to be told, written in the same transaction as what happened, sent later and in order.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use windlass_core::names::DeploymentId;

use super::{Store, StoreError, Write, count_up, from_json, signed, text, time, to_json, unsigned, word};
use crate::github::DeploymentState as GitHubState;

/// One thing to tell. The deployment itself is created on GitHub when its first status is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// The deployment status' state.
    pub(crate) state: GitHubState,
    /// For people; cut to GitHub's length when it is sent.
    pub(crate) description: String,
    /// Where the app is reached; with success only.
    #[serde(default)]
    pub(crate) environment_url: Option<String>,
}

impl Notice {
    pub(crate) const fn status(state: GitHubState, description: String) -> Self {
        Self { state, description, environment_url: None }
    }
}

/// A notice that waits for its sending.
#[derive(Debug)]
pub(crate) struct StoredNotice {
    pub(crate) id: i64,
    pub(crate) deployment: DeploymentId,
    pub(crate) notice: Notice,
    pub(crate) created_at: Timestamp,
    pub(crate) attempts: u64,
    pub(crate) next_attempt_at: Timestamp,
    pub(crate) github_id: Option<u64>,
}

/// Appends a notice to a write under way.
pub(super) async fn enqueue(
    write: &mut Write,
    deployment: &DeploymentId,
    notice: &Notice,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = count_up(write, "outbox", 1).await?;
    sqlx::query("INSERT INTO outbox (id, deployment, message, created_at, next_attempt_at) VALUES (?, ?, ?, ?, ?)")
        .bind(id)
        .bind(deployment.as_str())
        .bind(to_json("a notice", notice)?)
        .bind(text(now))
        .bind(text(now))
        .execute(&mut **write)
        .await?;
    Ok(())
}

impl Store {
    /// For each deployment the first notice that is not sent yet: order is kept within a deployment.
    pub(crate) async fn open_notices(&self) -> Result<Vec<StoredNotice>, StoreError> {
        let rows = sqlx::query(
            "SELECT o.id, o.deployment, o.message, o.created_at, o.attempts, o.next_attempt_at, g.github_id FROM outbox o
             LEFT JOIN github_deployments g ON g.deployment = o.deployment
             WHERE o.sent_at IS NULL AND NOT EXISTS
             (SELECT 1 FROM outbox e WHERE e.deployment = o.deployment AND e.sent_at IS NULL AND e.id < o.id)
             ORDER BY o.id LIMIT 200",
        )
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                Ok(StoredNotice {
                    id: row.get("id"),
                    deployment: word("a deployment's id", row.get("deployment"))?,
                    notice: from_json("a notice", row.get("message"))?,
                    created_at: time(row.get("created_at"))?,
                    attempts: unsigned(row.get("attempts")),
                    next_attempt_at: time(row.get("next_attempt_at"))?,
                    github_id: row.get::<Option<i64>, _>("github_id").map(unsigned),
                })
            })
            .collect()
    }

    /// An attempt begins. On record before it is made: after a crash nobody knows whether it arrived.
    pub(crate) async fn begin_attempt(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?").bind(id).execute(&mut *write).await?;
        self.commit(write).await
    }

    /// GitHub's id of a deployment.
    pub(crate) async fn remember_github_deployment(
        &self,
        deployment: &DeploymentId,
        github_id: u64,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO github_deployments (deployment, github_id, created_at) VALUES (?, ?, ?)
             ON CONFLICT (deployment) DO NOTHING",
        )
        .bind(deployment.as_str())
        .bind(signed(github_id))
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// GitHub knows.
    pub(crate) async fn notice_sent(&self, id: i64, now: Timestamp) -> Result<(), StoreError> {
        self.end_attempt(id, Some(now), now, None).await
    }

    /// GitHub refuses for good: it is not tried again, and why is kept.
    pub(crate) async fn notice_refused(&self, id: i64, why: &str, now: Timestamp) -> Result<(), StoreError> {
        self.end_attempt(id, Some(now), now, Some(why)).await
    }

    /// GitHub does not know yet; when to try again.
    pub(crate) async fn notice_postponed(&self, id: i64, why: &str, until: Timestamp) -> Result<(), StoreError> {
        self.end_attempt(id, None, until, Some(why)).await
    }

    async fn end_attempt(
        &self,
        id: i64,
        sent_at: Option<Timestamp>,
        next_attempt_at: Timestamp,
        why: Option<&str>,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("UPDATE outbox SET sent_at = ?, next_attempt_at = ?, last_error = ? WHERE id = ?")
            .bind(sent_at.map(text))
            .bind(text(next_attempt_at))
            .bind(why)
            .bind(id)
            .execute(&mut *write)
            .await?;
        self.commit(write).await
    }
}
