//! One-off tasks that people start: what they are, how they ended, and what they wrote.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::TaskMessage;
use windlass_core::deployment::Failure;
use windlass_core::names::TaskId;
use windlass_core::stage::Stage;
use windlass_core::task::TaskSpec;

use super::audit::{Action, Deed, record};
use super::locks::Holder;
use super::{
    Progress, Store, StoreError, Write, from_json, optional_time, signed, text, time, to_json, unsigned, word,
};

/// A one-off task.
#[derive(Debug, Clone)]
pub(crate) struct OneOffTask {
    pub(crate) id: TaskId,
    pub(crate) stage: Stage,
    pub(crate) spec: TaskSpec,
    pub(crate) created_at: Timestamp,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) exit_code: Option<i64>,
    /// The run of a workflow whose job has started it; `None`: a person has.
    pub(crate) run: Option<u64>,
}

const COLUMNS: &str = "id, project, stage, spec, created_at, ended_at, exit_code, run_id";

impl Store {
    /// Stores a task before its container exists.
    pub(crate) async fn create_task(
        &self,
        id: &TaskId,
        stage: &Stage,
        spec: &TaskSpec,
        by: &Holder,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO one_off_tasks (id, project, stage, app, release_number, spec, requested_by, created_at,
                 run_id) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id.as_str())
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(spec.labels.app.as_str())
        .bind(signed(spec.labels.release.0))
        .bind(to_json("a task", spec)?)
        .bind(&by.name)
        .bind(text(now))
        .bind(by.run.map(signed))
        .execute(&mut *write)
        .await?;
        let detail = format!("{id} on release {}", spec.labels.release);
        let deed = Deed { actor: &by.name, action: Action::RunTask, stage: Some(stage), detail: &detail, at: now };
        record(&mut write, &deed).await?;
        self.commit(write).await
    }

    /// One task.
    pub(crate) async fn task(&self, id: &TaskId) -> Result<Option<OneOffTask>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM one_off_tasks WHERE id = ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(id.as_str()).fetch_optional(&self.reader).await?;
        row.as_ref().map(task).transpose()
    }

    /// Tasks that have not ended, as far as is known.
    pub(crate) async fn open_tasks(&self) -> Result<Vec<OneOffTask>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM one_off_tasks WHERE ended_at IS NULL ORDER BY created_at");
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        rows.iter().map(task).collect()
    }

    /// A stage's tasks that have not ended, and the last of those that have; newest first.
    pub(crate) async fn tasks(&self, stage: &Stage, ended: u32) -> Result<Vec<OneOffTask>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM one_off_tasks WHERE project = ? AND stage = ? AND (ended_at IS NULL OR id IN
             (SELECT id FROM one_off_tasks WHERE project = ? AND stage = ? AND ended_at IS NOT NULL
              ORDER BY created_at DESC LIMIT ?)) ORDER BY created_at DESC"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .bind(ended)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(task).collect()
    }

    /// Whether any has ended, of all stages.
    pub(crate) async fn has_ended_tasks(&self) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM one_off_tasks WHERE ended_at IS NOT NULL LIMIT 1";
        Ok(sqlx::query(sql).fetch_optional(&self.reader).await?.is_some())
    }

    /// Whether a container of this name is of a task that has ended, however long ago.
    pub(crate) async fn is_of_ended_task(&self, container: &str) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM one_off_tasks WHERE ended_at IS NOT NULL AND json_extract(spec, '$.name') = ? LIMIT 1";
        Ok(sqlx::query(sql).bind(container).fetch_optional(&self.reader).await?.is_some())
    }

    /// Appends what it wrote; the first of these has this place in the sequence.
    pub(crate) async fn append_task_log(
        &self,
        id: &TaskId,
        first: u64,
        messages: &[TaskMessage],
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        append(&mut write, id, signed(first), messages).await?;
        self.commit(write).await
    }

    /// The place of its last message.
    pub(crate) async fn last_of_task_log(&self, id: &TaskId) -> Result<u64, StoreError> {
        let sql = "SELECT COALESCE(MAX(seq), 0) AS last FROM task_log WHERE task = ?";
        Ok(unsigned(sqlx::query(sql).bind(id.as_str()).fetch_one(&self.reader).await?.get("last")))
    }

    /// How far a one-off task has come.
    pub(crate) async fn task_progress(&self, id: &TaskId) -> Result<Option<Progress>, StoreError> {
        let row = sqlx::query(
            "SELECT ended_at IS NOT NULL AS ended,
             (SELECT COALESCE(MAX(seq), 0) FROM task_log WHERE task = one_off_tasks.id) AS newest
             FROM one_off_tasks WHERE id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(|row| Progress { ended: row.get("ended"), newest: unsigned(row.get("newest")) }))
    }

    /// What it wrote after a place in the sequence.
    pub(crate) async fn task_log(&self, id: &TaskId, after: u64) -> Result<Vec<(u64, TaskMessage)>, StoreError> {
        let rows = sqlx::query("SELECT seq, body FROM task_log WHERE task = ? AND seq > ? ORDER BY seq LIMIT 1000")
            .bind(id.as_str())
            .bind(signed(after))
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((unsigned(row.get("seq")), from_json("a task's message", row.get("body"))?))).collect()
    }

    /// Writes down how it ended, once.
    pub(crate) async fn end_task(
        &self,
        id: &TaskId,
        end: Result<i64, &Failure>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let message = match end {
            Ok(code) => TaskMessage::Exit { code },
            Err(failure) => TaskMessage::Failed(failure.clone()),
        };
        let mut write = self.begin().await?;
        let sql = "SELECT COALESCE(MAX(seq), 0) AS last FROM task_log WHERE task = ?";
        let last: i64 = sqlx::query(sql).bind(id.as_str()).fetch_one(&mut *write).await?.get("last");
        append(&mut write, id, last + 1, &[message]).await?;
        sqlx::query(
            "UPDATE one_off_tasks SET ended_at = ?, exit_code = ?, failure = ? WHERE id = ? AND ended_at IS NULL",
        )
        .bind(text(now))
        .bind(end.ok())
        .bind(end.err().map(|failure| to_json("a failure", failure)).transpose()?)
        .bind(id.as_str())
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }
}

async fn append(write: &mut Write, id: &TaskId, first: i64, messages: &[TaskMessage]) -> Result<(), StoreError> {
    for (seq, message) in (first..).zip(messages) {
        sqlx::query("INSERT INTO task_log (task, seq, body) VALUES (?, ?, ?)")
            .bind(id.as_str())
            .bind(seq)
            .bind(to_json("a task's message", message)?)
            .execute(&mut **write)
            .await?;
    }
    Ok(())
}

fn task(row: &SqliteRow) -> Result<OneOffTask, StoreError> {
    Ok(OneOffTask {
        id: word("a task's id", row.get("id"))?,
        stage: Stage { project: word("a project", row.get("project"))?, name: word("a stage", row.get("stage"))? },
        spec: from_json("a task", row.get("spec"))?,
        created_at: time(row.get("created_at"))?,
        ended_at: optional_time(row.get("ended_at"))?,
        exit_code: row.get("exit_code"),
        run: row.get::<Option<i64>, _>("run_id").map(unsigned),
    })
}
