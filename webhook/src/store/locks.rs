//! Locks: a person's claim on a stage, with a reason. A lock never expires, and only the one that was read is changed.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::LockView;

use super::audit::{Deed, record};
use super::{Store, StoreError, text, time};
use crate::stage::StageKey;

/// A lock, and the mark by which it is told from a later one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLock {
    pub(crate) etag: String,
    pub(crate) lock: LockView,
}

/// What must hold for a lock to be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Nothing.
    None,
    /// There is no lock.
    Free,
    /// It is this one.
    Is(String),
}

impl Condition {
    fn holds(&self, lock: Option<&StoredLock>) -> bool {
        match self {
            Self::None => true,
            Self::Free => lock.is_none(),
            Self::Is(etag) => lock.is_some_and(|lock| lock.etag == *etag),
        }
    }
}

const SELECT: &str = "SELECT etag, locked_by, reason, locked_at FROM locks WHERE project = ? AND stage = ?";

impl Store {
    /// The stage's lock.
    pub(crate) async fn lock(&self, stage: &StageKey) -> Result<Option<StoredLock>, StoreError> {
        self.stage_row(SELECT, stage).await?.as_ref().map(lock).transpose()
    }

    /// Locks the stage, if the condition holds. `Err`: it does not; the lock that is there.
    pub(crate) async fn take_lock(
        &self,
        stage: &StageKey,
        condition: &Condition,
        new: &LockView,
    ) -> Result<Result<StoredLock, Option<StoredLock>>, StoreError> {
        let mut write = self.begin().await?;
        let there = find(&mut write, stage).await?;
        if !condition.holds(there.as_ref()) {
            return Ok(Err(there));
        }
        let etag = uuid::Uuid::new_v4().simple().to_string();
        sqlx::query(
            "INSERT INTO locks (project, stage, etag, reason, locked_by, locked_at) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (project, stage) DO UPDATE SET etag = excluded.etag, reason = excluded.reason,
             locked_by = excluded.locked_by, locked_at = excluded.locked_at",
        )
        .bind(stage.project.as_str())
        .bind(stage.stage.as_str())
        .bind(&etag)
        .bind(&new.reason)
        .bind(&new.by)
        .bind(text(new.since))
        .execute(&mut *write)
        .await?;
        let deed = Deed { actor: &new.by, action: "lock.take", stage: Some(stage), detail: &new.reason, at: new.since };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Ok(StoredLock { etag, lock: new.clone() }))
    }

    /// Unlocks the stage, if the condition holds. `Err`: it does not. `Ok(false)`: there was no lock.
    pub(crate) async fn release_lock(
        &self,
        stage: &StageKey,
        condition: &Condition,
        by: &str,
        now: Timestamp,
    ) -> Result<Result<bool, ()>, StoreError> {
        let mut write = self.begin().await?;
        let there = find(&mut write, stage).await?;
        if !condition.holds(there.as_ref()) {
            return Ok(Err(()));
        }
        let Some(there) = there else { return Ok(Ok(false)) };
        sqlx::query("DELETE FROM locks WHERE project = ? AND stage = ?")
            .bind(stage.project.as_str())
            .bind(stage.stage.as_str())
            .execute(&mut *write)
            .await?;
        let detail = format!("{} had locked it: {}", there.lock.by, there.lock.reason);
        let deed = Deed { actor: by, action: "lock.release", stage: Some(stage), detail: &detail, at: now };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Ok(true))
    }
}

async fn find(write: &mut super::Write, stage: &StageKey) -> Result<Option<StoredLock>, StoreError> {
    let row = sqlx::query(SELECT)
        .bind(stage.project.as_str())
        .bind(stage.stage.as_str())
        .fetch_optional(&mut **write)
        .await?;
    row.as_ref().map(lock).transpose()
}

fn lock(row: &SqliteRow) -> Result<StoredLock, StoreError> {
    let since: Timestamp = time(row.get("locked_at"))?;
    let lock = LockView { by: row.get("locked_by"), reason: row.get("reason"), since };
    Ok(StoredLock { etag: row.get("etag"), lock })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rule_055_only_the_lock_that_was_read_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store = Store::open(folder.path(), now).await.unwrap();
        let stage = StageKey { project: "acme/shop".parse().unwrap(), stage: "production".parse().unwrap() };
        let by = |by: &str| LockView { by: by.to_owned(), reason: "a release freeze".to_owned(), since: now };
        let first = store.take_lock(&stage, &Condition::Free, &by("ada")).await.unwrap().unwrap();
        let refused = store.take_lock(&stage, &Condition::Free, &by("bob")).await.unwrap().unwrap_err();
        assert_eq!(refused, Some(first.clone()));
        let is_first = Condition::Is(first.etag);
        let second = store.take_lock(&stage, &is_first, &by("bob")).await.unwrap().unwrap();
        assert_eq!(
            store.release_lock(&stage, &is_first, "bob", now).await.unwrap(),
            Err(()),
            "it is another lock by now"
        );
        assert_eq!(store.release_lock(&stage, &Condition::Is(second.etag), "bob", now).await.unwrap(), Ok(true));
        assert_eq!(store.lock(&stage).await.unwrap(), None);
        assert_eq!(store.release_lock(&stage, &Condition::None, "bob", now).await.unwrap(), Ok(false));
    }
}
