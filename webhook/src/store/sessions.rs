//! What jobs signed in as. Like tokens, only their hash is kept.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::names::CommitSha;
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::locks::Holder;
use super::tokens::hash;
use super::{Store, StoreError, count_up, signed, text, time, unsigned, word};

/// A job as it signed in: what it may do is bound to all of this.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Session {
    pub(crate) stage: Stage,
    /// The full ref that its workflow runs on.
    pub(crate) reference: String,
    pub(crate) commit: CommitSha,
    /// What started the workflow.
    pub(crate) event: String,
    pub(crate) run_id: u64,
    pub(crate) run_attempt: u64,
    /// GitHub's id of its own check run.
    pub(crate) check_run_id: Option<u64>,
    /// The login of whoever started the workflow.
    pub(crate) actor: String,
    pub(crate) workflow_ref: Option<String>,
    pub(crate) expires_at: Timestamp,
}

impl Session {
    /// As who its job locks, and starts tasks.
    pub(crate) fn holder(&self) -> Holder {
        Holder { name: self.actor.clone(), run: Some(self.run_id) }
    }

    /// Who starts a workflow by hand means it; other jobs do what somebody has set up.
    pub(crate) fn is_by_hand(&self) -> bool {
        self.event == "workflow_dispatch"
    }
}

/// For the audit and the log.
impl std::fmt::Display for Session {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { event, reference, commit, run_id, run_attempt, workflow_ref, .. } = self;
        let workflow = workflow_ref.as_deref().unwrap_or("a workflow");
        write!(
            formatter,
            "{event} on {reference} at {}; run {run_id}, attempt {run_attempt} of {workflow}",
            commit.short()
        )
    }
}

/// A session that is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredSession {
    pub(crate) id: i64,
    pub(crate) session: Session,
}

/// What became of a sign-in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// The job is signed in.
    New,
    /// It was already, by the same request; this is until when.
    Again(Timestamp),
    /// GitHub's token was exchanged before, by another request.
    Used,
}

const COLUMNS: &str =
    "id, project, stage, ref, commit_sha, event, run_id, run_attempt, check_run_id, actor, workflow_ref, expires_at";

impl Store {
    /// Signs a job in, once per `jti`. The same token again means the same request again.
    pub(crate) async fn sign_in(
        &self,
        jti: &str,
        token: &str,
        session: &Session,
        now: Timestamp,
    ) -> Result<Exchange, StoreError> {
        let mut write = self.begin().await?;
        let before = sqlx::query("SELECT hash, expires_at FROM sessions WHERE jti = ?")
            .bind(jti)
            .fetch_optional(&mut *write)
            .await?;
        if let Some(before) = before {
            let same = before.get::<&str, _>("hash") == hash(token);
            return Ok(if same { Exchange::Again(time(before.get("expires_at"))?) } else { Exchange::Used });
        }
        let id = count_up(&mut write, "session", 1).await?;
        sqlx::query(
            "INSERT INTO sessions (id, jti, hash, project, stage, ref, commit_sha, event, run_id, run_attempt,
             check_run_id, actor, workflow_ref, created_at, expires_at)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(id)
        .bind(jti)
        .bind(hash(token))
        .bind(session.stage.project.as_str())
        .bind(session.stage.name.as_str())
        .bind(&session.reference)
        .bind(session.commit.as_str())
        .bind(&session.event)
        .bind(signed(session.run_id))
        .bind(signed(session.run_attempt))
        .bind(session.check_run_id.map(signed))
        .bind(&session.actor)
        .bind(&session.workflow_ref)
        .bind(text(now))
        .bind(text(session.expires_at))
        .execute(&mut *write)
        .await?;
        let detail = session.to_string();
        let deed = Deed {
            actor: &session.actor,
            action: Action::SignIn,
            stage: Some(&session.stage),
            detail: &detail,
            at: now,
        };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Exchange::New)
    }

    /// The session with this token, whether it is still good or not.
    pub(crate) async fn find_session(&self, token: &str) -> Result<Option<StoredSession>, StoreError> {
        let sql = format!("SELECT {COLUMNS} FROM sessions WHERE hash = ?");
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(hash(token)).fetch_optional(&self.reader).await?;
        row.as_ref().map(stored_session).transpose()
    }

    /// The last job of this commit that has signed in to the stage and may still be at work.
    pub(crate) async fn signed_in_for(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        now: Timestamp,
    ) -> Result<Option<StoredSession>, StoreError> {
        let sql = format!(
            "SELECT {COLUMNS} FROM sessions WHERE project = ? AND stage = ? AND commit_sha = ? AND expires_at > ?
             ORDER BY id DESC LIMIT 1"
        );
        let row = sqlx::query(sqlx::AssertSqlSafe(sql))
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .bind(commit.as_str())
            .bind(text(now))
            .fetch_optional(&self.reader)
            .await?;
        row.as_ref().map(stored_session).transpose()
    }

    /// Removes the sessions that ended before this, and says how many.
    pub(crate) async fn forget_sessions(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let removed = sqlx::query("DELETE FROM sessions WHERE expires_at < ?")
            .bind(text(before))
            .execute(&mut *write)
            .await?
            .rows_affected();
        self.commit(write).await?;
        Ok(removed)
    }
}

fn stored_session(row: &SqliteRow) -> Result<StoredSession, StoreError> {
    let session = Session {
        stage: Stage { project: word("a project", row.get("project"))?, name: word("a stage", row.get("stage"))? },
        reference: row.get("ref"),
        commit: word("a commit", row.get("commit_sha"))?,
        event: row.get("event"),
        run_id: unsigned(row.get("run_id")),
        run_attempt: unsigned(row.get("run_attempt")),
        check_run_id: row.get::<Option<i64>, _>("check_run_id").map(unsigned),
        actor: row.get("actor"),
        workflow_ref: row.get("workflow_ref"),
        expires_at: time(row.get("expires_at"))?,
    };
    Ok(StoredSession { id: row.get("id"), session })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(expires_at: Timestamp) -> Session {
        Session {
            stage: Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() },
            reference: "refs/heads/main".to_owned(),
            commit: "a".repeat(40).parse().unwrap(),
            event: "push".to_owned(),
            run_id: 4_442_074_271,
            run_attempt: 1,
            check_run_id: Some(4_442_074_272),
            actor: "octavia".to_owned(),
            workflow_ref: None,
            expires_at,
        }
    }

    #[tokio::test]
    async fn rule_076_a_jti_is_good_for_one_token_and_only_that_tokens_hash_is_kept() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let store = Store::open(folder.path(), now).await.unwrap();
        let session = session(Timestamp::from_second(1_800_021_600).unwrap());
        assert_eq!(store.sign_in("jti", "wns_one", &session, now).await.unwrap(), Exchange::New);
        let again = store.sign_in("jti", "wns_one", &session, now).await.unwrap();
        assert_eq!(again, Exchange::Again(session.expires_at));
        assert_eq!(store.sign_in("jti", "wns_two", &session, now).await.unwrap(), Exchange::Used);
        assert_eq!(store.find_session("wns_one").await.unwrap().unwrap().session, session);
        assert_eq!(store.find_session("wns_two").await.unwrap(), None);
        store.close().await;
        for file in ["windlass.db", "windlass.db-wal"] {
            let stored = std::fs::read(folder.path().join(file)).unwrap_or_default();
            assert!(!String::from_utf8_lossy(&stored).contains("wns_one"), "{file}");
        }
    }

    #[tokio::test]
    async fn sessions_are_forgotten_when_their_time_is_over_and_not_before() {
        let folder = tempfile::tempdir().unwrap();
        let at = |second| Timestamp::from_second(second).unwrap();
        let store = Store::open(folder.path(), at(0)).await.unwrap();
        store.sign_in("jti", "wns_one", &session(at(100)), at(0)).await.unwrap();
        assert_eq!(store.forget_sessions(at(100)).await.unwrap(), 0);
        assert_eq!(store.forget_sessions(at(101)).await.unwrap(), 1);
        assert_eq!(store.find_session("wns_one").await.unwrap(), None);
    }
}
