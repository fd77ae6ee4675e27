//! The outbox: what GitHub is to be told, written in the same transaction as what happened, sent later and in order.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::names::{DeploymentId, ProjectName};
use windlass_core::notice::{GitHubState, Notice};

use super::{Store, StoreError, Write, count_up, from_json, signed, text, time, to_json, unsigned, word};
use crate::github::Urgency;

/// A notice whose turn it is.
#[derive(Debug)]
pub(crate) struct StoredNotice {
    pub(crate) id: i64,
    pub(crate) deployment: DeploymentId,
    pub(crate) notice: Notice,
    pub(crate) created_at: Timestamp,
    pub(crate) attempts: u64,
    /// The highest of it and what waits behind it.
    pub(crate) urgency: Urgency,
    pub(crate) on_github: OnGitHub,
}

/// What GitHub has of a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum OnGitHub {
    /// Nothing that we know of.
    Nothing,
    /// It, under this id.
    Made(u64),
    /// One of another commit, under this id: it is to be closed.
    OfWrongCommit(u64, String),
    /// It does not want it: an earlier notice was refused for good before there was one of it.
    Refused,
}

/// Notices with none of their deployment's before them: order is kept within a deployment.
const FIRST_OPEN: &str = "o.sent_at IS NULL AND NOT EXISTS
     (SELECT 1 FROM outbox e WHERE e.deployment = o.deployment AND e.sent_at IS NULL AND e.id < o.id)";

/// Appends a notice to a write under way.
pub(super) async fn enqueue(
    write: &mut Write,
    deployment: &DeploymentId,
    notice: &Notice,
    now: Timestamp,
) -> Result<(), StoreError> {
    let id = count_up(write, "outbox", 1).await?;
    sqlx::query(
        "INSERT INTO outbox (id, deployment, message, created_at, next_attempt_at, urgency) VALUES (?, ?, ?, ?, ?, ?)",
    )
    .bind(id)
    .bind(deployment.as_str())
    .bind(to_json("a notice", notice)?)
    .bind(text(now))
    .bind(text(now))
    .bind(number(urgency(notice.state)))
    .execute(&mut **write)
    .await?;
    Ok(())
}

impl Store {
    /// Each project of which GitHub is to be told something, and from when on.
    pub(crate) async fn projects_to_tell(&self) -> Result<Vec<(ProjectName, Timestamp)>, StoreError> {
        let sql = format!(
            "SELECT d.project, MIN(o.next_attempt_at) AS due FROM outbox o JOIN deployments d ON d.id = o.deployment
             WHERE {FIRST_OPEN} GROUP BY d.project ORDER BY due"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        rows.iter().map(|row| Ok((word("a project", row.get("project"))?, time(row.get("due"))?))).collect()
    }

    /// What is to be told of a project now, the most urgent first.
    pub(crate) async fn due_notices(
        &self,
        project: &ProjectName,
        now: Timestamp,
    ) -> Result<Vec<StoredNotice>, StoreError> {
        let sql = format!(
            "SELECT o.id, o.deployment, o.message, o.created_at, o.attempts, g.github_id, g.wrong_commit,
             (SELECT MIN(u.urgency) FROM outbox u WHERE u.deployment = o.deployment AND u.sent_at IS NULL) AS most_urgent,
             (SELECT COUNT(*) FROM outbox r WHERE r.deployment = o.deployment AND r.id < o.id
              AND r.last_error IS NOT NULL) AS refused
             FROM outbox o JOIN deployments d ON d.id = o.deployment
             LEFT JOIN github_deployments g ON g.deployment = o.deployment
             WHERE d.project = ? AND o.next_attempt_at <= ? AND {FIRST_OPEN}
             ORDER BY most_urgent, o.id LIMIT 50"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(project.as_str())
            .bind(text(now))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(due_notice).collect()
    }

    /// An attempt begins. On record before it is made: after a crash nobody knows whether it arrived.
    pub(crate) async fn begin_attempt(&self, id: i64) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("UPDATE outbox SET attempts = attempts + 1 WHERE id = ?").bind(id).execute(&mut *write).await?;
        self.commit(write).await
    }

    /// GitHub wants to hear no more of this urgency, or of a lower one, before then: nothing of the project is tried.
    pub(crate) async fn hold_notices(
        &self,
        project: &ProjectName,
        urgency: Urgency,
        until: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "UPDATE outbox SET next_attempt_at = ? WHERE sent_at IS NULL AND next_attempt_at < ?
             AND deployment IN (SELECT id FROM deployments WHERE project = ?)
             AND (SELECT MIN(u.urgency) FROM outbox u WHERE u.deployment = outbox.deployment AND u.sent_at IS NULL) >= ?",
        )
        .bind(text(until))
        .bind(text(until))
        .bind(project.as_str())
        .bind(number(urgency))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// GitHub's id of a deployment.
    pub(crate) async fn remember_github_deployment(
        &self,
        deployment: &DeploymentId,
        github_id: u64,
        wrong_commit: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO github_deployments (deployment, github_id, wrong_commit, created_at) VALUES (?, ?, ?, ?)
             ON CONFLICT (deployment) DO NOTHING",
        )
        .bind(deployment.as_str())
        .bind(signed(github_id))
        .bind(wrong_commit)
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// Why GitHub could not be told of a deployment, or of something about it.
    pub(crate) async fn untold(&self, deployment: &DeploymentId) -> Result<Option<String>, StoreError> {
        let row = sqlx::query(
            "SELECT last_error FROM outbox WHERE deployment = ? AND sent_at IS NOT NULL AND last_error IS NOT NULL
             ORDER BY id LIMIT 1",
        )
        .bind(deployment.as_str())
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(|row| row.get("last_error")))
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

fn due_notice(row: &SqliteRow) -> Result<StoredNotice, StoreError> {
    let made = row.get::<Option<i64>, _>("github_id").map(unsigned);
    let refused = row.get::<i64, _>("refused") > 0;
    let on_github = match (made, row.get::<Option<String>, _>("wrong_commit")) {
        (Some(id), None) => OnGitHub::Made(id),
        (_, _) if refused => OnGitHub::Refused,
        (Some(id), Some(got)) => OnGitHub::OfWrongCommit(id, got),
        (None, _) => OnGitHub::Nothing,
    };
    Ok(StoredNotice {
        id: row.get("id"),
        deployment: word("a deployment's id", row.get("deployment"))?,
        notice: from_json("a notice", row.get("message"))?,
        created_at: time(row.get("created_at"))?,
        attempts: unsigned(row.get("attempts")),
        urgency: from_number(row.get("most_urgent"))?,
        on_github,
    })
}

const fn urgency(state: GitHubState) -> Urgency {
    match state {
        GitHubState::Success | GitHubState::Failure | GitHubState::Error => Urgency::LastWord,
        GitHubState::Queued | GitHubState::InProgress => Urgency::Progress,
        GitHubState::Inactive => Urgency::Replaced,
    }
}

/// As it is stored, so that the most urgent is the smallest.
const fn number(urgency: Urgency) -> i64 {
    match urgency {
        Urgency::LastWord => 0,
        Urgency::Progress => 1,
        Urgency::Replaced => 2,
        Urgency::Comment => 3,
    }
}

fn from_number(stored: i64) -> Result<Urgency, StoreError> {
    let all = [Urgency::LastWord, Urgency::Progress, Urgency::Replaced, Urgency::Comment];
    let unknown = || StoreError::Corrupt { what: "an urgency", why: format!("there is none of number {stored}") };
    all.into_iter().find(|urgency| number(*urgency) == stored).ok_or_else(unknown)
}
