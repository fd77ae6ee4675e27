//! Deliveries: stored before GitHub gets its answer, worked on later, each once.

use jiff::Timestamp;
use sqlx::Row;

use super::{Store, StoreError, text};

/// A delivery that waits for its work.
#[derive(Debug)]
pub(crate) struct StoredDelivery {
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) body: String,
}

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is stored now, or again after its first processing failed.
    Accepted,
    /// It was there, worked on or about to be.
    Known,
}

/// How work on a delivery ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Processed<'a> {
    /// Done; what came of it.
    Done(&'a str),
    /// Not done; why. It may be tried again.
    Failed(&'a str),
}

impl Store {
    /// Stores a delivery. A redelivery keeps GitHub's GUID: after a failure it is taken again, otherwise it is known.
    pub(crate) async fn store_delivery(
        &self,
        guid: &str,
        event: &str,
        body: &str,
        now: Timestamp,
    ) -> Result<Stored, StoreError> {
        let mut write = self.begin().await?;
        let changed = sqlx::query(
            "INSERT INTO deliveries (guid, event, body, received_at, state) VALUES (?, ?, ?, ?, 'received')
             ON CONFLICT (guid) DO UPDATE SET state = 'received' WHERE deliveries.state = 'failed'",
        )
        .bind(guid)
        .bind(event)
        .bind(body)
        .bind(text(now))
        .execute(&mut *write)
        .await?
        .rows_affected();
        self.commit(write).await?;
        Ok(if changed > 0 { Stored::Accepted } else { Stored::Known })
    }

    /// It could not be worked on; after so many attempts it has failed.
    pub(crate) async fn postpone_delivery(
        &self,
        guid: &str,
        why: &str,
        most_attempts: u32,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "UPDATE deliveries SET attempts = attempts + 1, outcome = ?, processed_at = ?,
             state = CASE WHEN attempts + 1 >= ? THEN 'failed' ELSE state END WHERE guid = ?",
        )
        .bind(why)
        .bind(text(now))
        .bind(most_attempts)
        .bind(guid)
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// Deliveries that wait for their work, oldest first.
    pub(crate) async fn open_deliveries(&self) -> Result<Vec<StoredDelivery>, StoreError> {
        let rows = sqlx::query(
            "SELECT guid, event, body FROM deliveries WHERE state = 'received' ORDER BY received_at LIMIT 100",
        )
        .fetch_all(&self.reader)
        .await?;
        Ok(rows
            .iter()
            .map(|row| StoredDelivery { guid: row.get("guid"), event: row.get("event"), body: row.get("body") })
            .collect())
    }

    /// Writes down how it went.
    pub(crate) async fn finish_delivery(
        &self,
        guid: &str,
        processed: Processed<'_>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (state, outcome) = match processed {
            Processed::Done(outcome) => ("processed", outcome),
            Processed::Failed(why) => ("failed", why),
        };
        let mut write = self.begin().await?;
        sqlx::query(
            "UPDATE deliveries SET state = ?, outcome = ?, attempts = attempts + 1, processed_at = ? WHERE guid = ?",
        )
        .bind(state)
        .bind(outcome)
        .bind(text(now))
        .bind(guid)
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_redelivery_is_taken_again_only_after_a_failure() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store = Store::open(folder.path(), now).await.unwrap();
        let put = || store.store_delivery("guid", "push", "{}", now);
        assert_eq!(put().await.unwrap(), Stored::Accepted);
        assert_eq!(put().await.unwrap(), Stored::Known);
        store.finish_delivery("guid", Processed::Failed("boom"), now).await.unwrap();
        assert!(store.open_deliveries().await.unwrap().is_empty());
        assert_eq!(put().await.unwrap(), Stored::Accepted);
        assert_eq!(store.open_deliveries().await.unwrap().len(), 1);
        store.finish_delivery("guid", Processed::Done("nothing to do"), now).await.unwrap();
        assert_eq!(put().await.unwrap(), Stored::Known);
        assert!(store.open_deliveries().await.unwrap().is_empty());
    }
}
