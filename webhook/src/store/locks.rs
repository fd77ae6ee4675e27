//! Locks: a person's claim on a stage, with a reason. A lock never expires, and only the one that was read is changed.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::LockView;
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::{Store, StoreError, signed, text, time, unsigned};

/// Who locks: a person, or a job, which has its lock with all of its run of the workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holder {
    pub(crate) name: String,
    /// `None`: a person.
    pub(crate) run: Option<u64>,
}

/// A lock, and the mark by which it is told from a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLock {
    pub(crate) etag: String,
    pub(crate) lock: LockView,
    /// The run of a workflow whose job has locked.
    run: Option<u64>,
}

impl StoredLock {
    /// A job's lock is none of the person's whose login the job has.
    pub(crate) fn is_of(&self, holder: &Holder) -> bool {
        self.run == holder.run && (self.run.is_some() || self.lock.by == holder.name)
    }
}

/// What must hold for a lock to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing is said: a free stage, or a person's own lock.
    None,
    /// There is no lock.
    Free,
    /// It is this one.
    Is(String),
}

/// Why a lock was not changed, with the one that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is another one than was meant.
    Changed(Option<StoredLock>),
    /// Which one is meant was not said.
    Unread(StoredLock),
    /// It is another one's, and who asks is a job.
    Foreign(StoredLock),
}

impl Condition {
    fn check(&self, lock: Option<&StoredLock>, holder: &Holder) -> Result<(), Refused> {
        let own = |lock: &StoredLock| lock.is_of(holder);
        match (self, lock) {
            (_, Some(lock)) if holder.run.is_some() && !own(lock) => Err(Refused::Foreign(lock.clone())),
            (Self::None | Self::Free, None) => Ok(()),
            (Self::None, Some(lock)) if holder.run.is_none() && own(lock) => Ok(()),
            (Self::None, Some(lock)) => Err(Refused::Unread(lock.clone())),
            (Self::Is(etag), Some(lock)) if lock.etag == *etag => Ok(()),
            (Self::Free | Self::Is(_), there) => Err(Refused::Changed(there.cloned())),
        }
    }
}

const SELECT: &str = "SELECT etag, locked_by, reason, locked_at, run_id FROM locks WHERE project = ? AND stage = ?";

impl Store {
    /// The stage's lock.
    pub(crate) async fn lock(&self, stage: &Stage) -> Result<Option<StoredLock>, StoreError> {
        self.stage_row(SELECT, stage).await?.as_ref().map(lock).transpose()
    }

    /// Locks the stage, if the condition holds.
    pub(crate) async fn take_lock(
        &self,
        stage: &Stage,
        condition: &Condition,
        new: &LockView,
        holder: &Holder,
    ) -> Result<Result<StoredLock, Refused>, StoreError> {
        let mut write = self.begin().await?;
        let there = find(&mut write, stage).await?;
        if let Err(refused) = condition.check(there.as_ref(), holder) {
            return Ok(Err(refused));
        }
        let etag = uuid::Uuid::new_v4().simple().to_string();
        sqlx::query(
            "INSERT INTO locks (project, stage, etag, reason, locked_by, locked_at, run_id) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (project, stage) DO UPDATE SET etag = excluded.etag, reason = excluded.reason,
             locked_by = excluded.locked_by, locked_at = excluded.locked_at,
             run_id = excluded.run_id",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(&etag)
        .bind(&new.reason)
        .bind(&new.by)
        .bind(text(new.since))
        .bind(holder.run.map(signed))
        .execute(&mut *write)
        .await?;
        let deed =
            Deed { actor: &new.by, action: Action::TakeLock, stage: Some(stage), detail: &new.reason, at: new.since };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Ok(StoredLock { etag, lock: new.clone(), run: holder.run }))
    }

    /// Unlocks the stage, if the condition holds. `Err`: it does not. `Ok(false)`: there was no lock.
    pub(crate) async fn release_lock(
        &self,
        stage: &Stage,
        condition: &Condition,
        holder: &Holder,
        now: Timestamp,
    ) -> Result<Result<bool, Refused>, StoreError> {
        let mut write = self.begin().await?;
        let there = find(&mut write, stage).await?;
        if let Err(refused) = condition.check(there.as_ref(), holder) {
            return Ok(Err(refused));
        }
        let Some(there) = there else { return Ok(Ok(false)) };
        sqlx::query("DELETE FROM locks WHERE project = ? AND stage = ?")
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .execute(&mut *write)
            .await?;
        let detail = format!("{} had locked it: {}", there.lock.by, there.lock.reason);
        let deed =
            Deed { actor: &holder.name, action: Action::ReleaseLock, stage: Some(stage), detail: &detail, at: now };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Ok(true))
    }
}

async fn find(write: &mut super::Write, stage: &Stage) -> Result<Option<StoredLock>, StoreError> {
    let row =
        sqlx::query(SELECT).bind(stage.project.as_str()).bind(stage.name.as_str()).fetch_optional(&mut **write).await?;
    row.as_ref().map(lock).transpose()
}

fn lock(row: &SqliteRow) -> Result<StoredLock, StoreError> {
    let since: Timestamp = time(row.get("locked_at"))?;
    let lock = LockView { by: row.get("locked_by"), reason: row.get("reason"), since };
    let run = row.get::<Option<i64>, _>("run_id").map(unsigned);
    Ok(StoredLock { etag: row.get("etag"), lock, run })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stage() -> Stage {
        Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() }
    }

    fn person(name: &str) -> Holder {
        Holder { name: name.to_owned(), run: None }
    }

    fn job(run: u64) -> Holder {
        Holder { name: "ada".to_owned(), run: Some(run) }
    }

    async fn take(store: &Store, condition: &Condition, holder: &Holder) -> Result<StoredLock, Refused> {
        let by = holder.name.clone();
        let new = LockView { by, reason: "a release freeze".to_owned(), since: Timestamp::UNIX_EPOCH };
        store.take_lock(&stage(), condition, &new, holder).await.unwrap()
    }

    async fn release(store: &Store, condition: &Condition, holder: &Holder) -> Result<bool, Refused> {
        store.release_lock(&stage(), condition, holder, Timestamp::UNIX_EPOCH).await.unwrap()
    }

    #[tokio::test]
    async fn rule_055_only_the_lock_that_was_read_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
        let (ada, bob) = (person("ada"), person("bob"));
        let first = take(&store, &Condition::Free, &ada).await.unwrap();
        let refused = take(&store, &Condition::Free, &bob).await.unwrap_err();
        assert_eq!(refused, Refused::Changed(Some(first.clone())));
        for refused in [
            take(&store, &Condition::None, &bob).await.unwrap_err(),
            release(&store, &Condition::None, &bob).await.unwrap_err(),
        ] {
            assert_eq!(refused, Refused::Unread(first.clone()), "somebody else's is named");
        }
        let again = take(&store, &Condition::None, &ada).await.unwrap();
        let is_first = Condition::Is(first.etag);
        assert!(take(&store, &is_first, &bob).await.is_err(), "it is another lock by now");
        let second = take(&store, &Condition::Is(again.etag), &bob).await.unwrap();
        assert_eq!(release(&store, &is_first, &bob).await, Err(Refused::Changed(Some(second.clone()))));
        assert_eq!(release(&store, &Condition::Is(second.etag), &bob).await, Ok(true));
        assert_eq!(store.lock(&stage()).await.unwrap(), None);
        assert_eq!(release(&store, &Condition::None, &bob).await, Ok(false));
    }

    #[tokio::test]
    async fn rule_104_a_job_changes_the_lock_of_its_own_run_alone_and_says_which_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
        // Of the same name: the login of whoever started the workflow.
        let of_ada = take(&store, &Condition::Free, &person("ada")).await.unwrap();
        let is_of_ada = Condition::Is(of_ada.etag.clone());
        for condition in [&Condition::None, &Condition::Free, &is_of_ada] {
            let foreign = Err(Refused::Foreign(of_ada.clone()));
            assert_eq!(take(&store, condition, &job(1)).await, foreign);
            assert_eq!(release(&store, condition, &job(1)).await, foreign.map(|_| true));
        }
        release(&store, &is_of_ada, &person("ada")).await.unwrap();

        let of_job = take(&store, &Condition::Free, &job(1)).await.unwrap();
        assert!(of_job.is_of(&job(1)) && !of_job.is_of(&job(2)) && !of_job.is_of(&person("ada")));
        let is_of_job = Condition::Is(of_job.etag.clone());
        assert_eq!(release(&store, &is_of_job, &job(2)).await, Err(Refused::Foreign(of_job.clone())));
        assert_eq!(release(&store, &Condition::None, &job(1)).await, Err(Refused::Unread(of_job.clone())));
        assert_eq!(release(&store, &Condition::None, &person("ada")).await, Err(Refused::Unread(of_job)));
        assert_eq!(release(&store, &is_of_job, &job(1)).await, Ok(true));
    }
}
