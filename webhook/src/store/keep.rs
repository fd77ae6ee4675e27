//! What has ended is forgotten in time, in small pieces: nobody who writes meanwhile has to wait. What is served, under
//! way, wanted or a way back stays, whatever its age.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::deployment::DeploymentState;

use super::deployments::open_states;
use super::journal::EntryKind;
use super::{Store, StoreError, Write, text};

#[cfg(test)]
mod tests;

/// Deployments that have ended before then, and that nothing needs: not what is served, nor what was before it; not the
/// last 100 of their stage, nor the last one of each of the last 10 releases of an app; none of a commit that is wanted, or that
/// GitHub has to hear of.
const OVER: &str = "SELECT d.id FROM deployments d WHERE d.ended_at < ?1 AND d.state NOT IN (?3, ?4)
    AND NOT (d.state = ?5 AND d.retired = 0)
    AND d.number <= (SELECT n.number FROM deployments n WHERE n.project = d.project AND n.stage = d.stage
        ORDER BY n.number DESC LIMIT 1 OFFSET 100)
    AND NOT EXISTS (SELECT 1 FROM active_releases a WHERE a.deployment = d.id OR a.previous_deployment = d.id)
    AND NOT EXISTS (SELECT 1 FROM holds h WHERE h.deployment = d.id)
    AND NOT EXISTS (SELECT 1 FROM outbox o WHERE o.deployment = d.id AND o.sent_at IS NULL)
    AND NOT EXISTS (SELECT 1 FROM wanted_commits w
        WHERE w.project = d.project AND w.stage = d.stage AND (w.commit_sha = d.commit_sha OR EXISTS (
            SELECT 1 FROM deployment_releases r WHERE r.deployment = d.id AND r.commit_sha = w.commit_sha)))
    AND NOT (d.state = ?5 AND EXISTS (SELECT 1 FROM deployment_releases r WHERE r.deployment = d.id
        AND NOT EXISTS (SELECT 1 FROM deployments m JOIN deployment_releases s ON s.deployment = m.id
            WHERE m.project = d.project AND m.stage = d.stage AND s.app = r.app AND m.state = ?5
            AND s.release_number = r.release_number AND m.number > d.number)
        AND 10 > (SELECT COUNT(DISTINCT s.release_number) FROM deployments m
            JOIN deployment_releases s ON s.deployment = m.id
            WHERE m.project = d.project AND m.stage = d.stage AND s.app = r.app AND m.state = ?5
            AND m.number > d.number)))
    LIMIT ?2";

/// Everything that is a deployment's.
const OF_A_DEPLOYMENT: [&str; 8] = [
    "DELETE FROM deployment_events WHERE deployment = ?",
    "DELETE FROM plans WHERE deployment = ?",
    "DELETE FROM deployment_releases WHERE deployment = ?",
    "DELETE FROM outbox WHERE deployment = ?",
    "DELETE FROM github_deployments WHERE deployment = ?",
    "DELETE FROM deployment_jobs WHERE deployment = ?",
    "DELETE FROM log_sources WHERE deployment = ?",
    "DELETE FROM commented WHERE deployment = ?",
];

/// Everything that is a commit's.
const OF_A_COMMIT: [&str; 3] = [
    "DELETE FROM deploying_jobs WHERE project = ? AND commit_sha = ?",
    "DELETE FROM merged_by WHERE project = ? AND commit_sha = ?",
    "DELETE FROM commits WHERE project = ? AND commit_sha = ?",
];

impl Store {
    /// Removes some lines that were written for deployments which ended before then, and says how many.
    pub(crate) async fn forget_logs(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let [waiting, running] = open_states();
        let mut write = self.begin().await?;
        let forgotten = sqlx::query(
            "DELETE FROM deployment_events WHERE rowid IN (SELECT e.rowid FROM deployments d
             JOIN deployment_events e ON e.deployment = d.id AND e.kind = ?
             WHERE d.ended_at < ? AND d.state NOT IN (?, ?) LIMIT ?)",
        )
        .bind(EntryKind::Log.as_str())
        .bind(text(before))
        .bind(waiting)
        .bind(running)
        .bind(most)
        .execute(&mut *write)
        .await?
        .rows_affected();
        self.commit_in_silence(write).await?;
        Ok(forgotten)
    }

    /// Removes some deployments with all that belongs to them, and says how many.
    pub(crate) async fn forget_deployments(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let [waiting, running] = open_states();
        let over = sqlx::query(OVER)
            .bind(text(before))
            .bind(most)
            .bind(waiting)
            .bind(running)
            .bind(DeploymentState::Succeeded.as_str())
            .fetch_all(&mut *write)
            .await?;
        for row in &over {
            let id: &str = row.get("id");
            for sql in OF_A_DEPLOYMENT.into_iter().chain(["DELETE FROM deployments WHERE id = ?"]) {
                sqlx::query(sql).bind(id).execute(&mut *write).await?;
            }
        }
        self.end_forgetting(write, over.len()).await
    }

    /// Removes some lines of one-off tasks that ended before then, and says how many.
    pub(crate) async fn forget_task_logs(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM task_log WHERE rowid IN (SELECT l.rowid FROM one_off_tasks t
            JOIN task_log l ON l.task = t.id WHERE t.ended_at < ? LIMIT ?)";
        self.forget_rows(sql, before, most).await
    }

    /// Removes some one-off tasks that ended before then and of whose log nothing is left, and says how many.
    pub(crate) async fn forget_tasks(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let sql = "DELETE FROM one_off_tasks WHERE id IN (SELECT t.id FROM one_off_tasks t WHERE t.ended_at < ?
            AND NOT EXISTS (SELECT 1 FROM task_log l WHERE l.task = t.id) LIMIT ?)";
        self.forget_rows(sql, before, most).await
    }

    /// Removes some entries of the audit from before then, and says how many.
    pub(crate) async fn forget_audit(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.forget_rows("DELETE FROM audit WHERE id IN (SELECT id FROM audit WHERE at < ? LIMIT ?)", before, most)
            .await
    }

    /// Removes some commits of which nothing was heard since then, nor is wanted or was deployed. Says how many.
    pub(crate) async fn forget_commits(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let over = sqlx::query(
            "SELECT c.project, c.commit_sha FROM commits c
             WHERE c.first_seen < ?1 AND COALESCE(c.checks_changed_at, c.first_seen) < ?1
             AND NOT EXISTS (SELECT 1 FROM wanted_commits w WHERE w.project = c.project AND w.commit_sha = c.commit_sha)
             AND NOT EXISTS (SELECT 1 FROM deployments d WHERE d.project = c.project AND d.commit_sha = c.commit_sha)
             AND NOT EXISTS (SELECT 1 FROM deployment_releases r WHERE r.commit_sha = c.commit_sha)
             LIMIT ?2",
        )
        .bind(text(before))
        .bind(most)
        .fetch_all(&mut *write)
        .await?;
        for row in &over {
            let of = |row: &SqliteRow| (row.get::<String, _>("project"), row.get::<String, _>("commit_sha"));
            let (project, commit) = of(row);
            for sql in OF_A_COMMIT {
                sqlx::query(sql).bind(&project).bind(&commit).execute(&mut *write).await?;
            }
        }
        self.end_forgetting(write, over.len()).await
    }

    async fn forget_rows(&self, sql: &'static str, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let forgotten = sqlx::query(sql).bind(text(before)).bind(most).execute(&mut *write).await?.rows_affected();
        self.commit_in_silence(write).await?;
        Ok(forgotten)
    }

    async fn end_forgetting(&self, write: Write, forgotten: usize) -> Result<u64, StoreError> {
        self.commit_in_silence(write).await?;
        Ok(u64::try_from(forgotten).unwrap_or(u64::MAX))
    }
}
