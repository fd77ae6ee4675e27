//! Deliveries: stored before GitHub gets its answer, worked on later, each once, and forgotten in the end.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use jiff::Timestamp;
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{QueryBuilder, Row, Sqlite};

use super::columns::DELIVERY_STATE;
use super::{Store, StoreError, optional_time, text, time, unsigned};

/// A delivery that is to be stored.
#[derive(Debug, Clone)]
pub(crate) struct NewDelivery {
    /// GitHub's; a redelivery keeps it.
    pub(crate) guid: Arc<str>,
    pub(crate) event: Arc<str>,
    pub(crate) body: Arc<str>,
    /// What came of it, where that is clear without any work.
    pub(crate) outcome: Option<String>,
}

windlass_core::spelled! {
    "snake_case",
    /// How far a delivery has come.
    pub(crate) enum DeliveryState {
        /// It is stored, and to be worked on.
        Received,
        /// It was worked on.
        Processed,
        /// It could not be; it may be sent again.
        Failed,
    }
}

/// Whether a delivery was new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stored {
    /// It is stored now, or again after its first processing failed.
    Accepted,
    /// It was there, worked on or about to be.
    Known,
}

/// A delivery whose time for work has come.
#[derive(Debug, Clone)]
pub(crate) struct DueDelivery {
    pub(crate) guid: String,
    pub(crate) event: String,
    pub(crate) received_at: Timestamp,
    pub(crate) attempts: u64,
}

/// How work on a delivery goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum DeliveryProgress {
    /// Done; what came of it.
    Done(String),
    /// Not done; why. It may be sent again.
    Failed(String),
    /// Somebody is at it, and if nothing is heard of it, it is taken again then.
    Taken { until: Timestamp },
    /// Not done; why, and when it is tried again.
    Postponed { why: String, until: Timestamp },
}

/// What is known of a delivery that GitHub could not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MissedDelivery {
    /// Stored, and not in vain.
    pub(crate) stored: bool,
    /// When GitHub was last asked for it.
    pub(crate) asked_at: Option<Timestamp>,
}

impl Store {
    /// Stores deliveries, all in one transaction, and says of each whether it was new. A redelivery keeps GitHub's GUID:
    /// after a failure it is taken again, otherwise it is known.
    pub(crate) async fn store_deliveries(
        &self,
        deliveries: &[NewDelivery],
        now: Timestamp,
    ) -> Result<Vec<Stored>, StoreError> {
        let mut write = self.begin().await?;
        let mut known = QueryBuilder::<Sqlite>::new("SELECT guid FROM deliveries WHERE state <> ");
        known.push_bind(DeliveryState::Failed.as_str()).push(" AND guid IN (");
        let mut guids = known.separated(", ");
        for delivery in deliveries {
            guids.push_bind(Arc::clone(&delivery.guid));
        }
        guids.push_unseparated(")");
        let rows = known.build().fetch_all(&mut *write).await?;
        // One that comes twice at once is known the second time.
        let mut known: HashSet<&str> = rows.iter().map(|row| row.get("guid")).collect();
        let new: Vec<bool> = deliveries.iter().map(|delivery| known.insert(&delivery.guid)).collect();

        let accepted = || deliveries.iter().zip(&new).filter(|(_, new)| **new).map(|(delivery, _)| delivery);
        if accepted().next().is_some() {
            insert(accepted(), now).build().execute(&mut *write).await?;
        }
        // Nobody streams deliveries, so that nobody is told.
        self.commit_in_silence(write).await?;
        Ok(new.into_iter().map(|new| if new { Stored::Accepted } else { Stored::Known }).collect())
    }

    /// Deliveries whose time has come, those that have waited longest first.
    pub(crate) async fn due_deliveries(&self, now: Timestamp, most: u32) -> Result<Vec<DueDelivery>, StoreError> {
        let sql = format!(
            "SELECT guid, event, received_at, attempts FROM deliveries
             WHERE {} AND next_attempt_at <= ? ORDER BY next_attempt_at LIMIT ?",
            is_open()
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(text(now)).bind(most).fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| {
                Ok(DueDelivery {
                    guid: row.get("guid"),
                    event: row.get("event"),
                    received_at: time(row.get("received_at"))?,
                    attempts: unsigned(row.get("attempts")),
                })
            })
            .collect()
    }

    /// When the next delivery's time comes.
    pub(crate) async fn next_due_delivery(&self) -> Result<Option<Timestamp>, StoreError> {
        let sql = format!("SELECT MIN(next_attempt_at) AS at FROM deliveries WHERE {}", is_open());
        let row = sqlx::query(sqlx::AssertSqlSafe(sql)).fetch_one(&self.reader).await?;
        optional_time(row.get("at"))
    }

    /// A delivery's body. One at a time: a body may have 25 MB.
    pub(crate) async fn delivery_body(&self, guid: &str) -> Result<String, StoreError> {
        let row = sqlx::query("SELECT body FROM deliveries WHERE guid = ?").bind(guid).fetch_one(&self.reader).await?;
        Ok(row.get("body"))
    }

    /// Writes down how it went, all in one transaction.
    pub(crate) async fn deliveries_went(
        &self,
        went: &[(String, DeliveryProgress)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if went.is_empty() {
            return Ok(());
        }
        let mut write = self.begin().await?;
        for (guid, progress) in went {
            let query = match progress {
                DeliveryProgress::Done(outcome) => ended(DeliveryState::Processed, outcome, now),
                DeliveryProgress::Failed(why) => ended(DeliveryState::Failed, why, now),
                DeliveryProgress::Taken { until } => {
                    sqlx::query("UPDATE deliveries SET next_attempt_at = ? WHERE guid = ?").bind(text(*until))
                }
                DeliveryProgress::Postponed { why, until } => sqlx::query(
                    "UPDATE deliveries SET outcome = ?, attempts = attempts + 1, next_attempt_at = ? WHERE guid = ?",
                )
                .bind(why)
                .bind(text(*until)),
            };
            query.bind(guid).execute(&mut *write).await?;
        }
        self.commit(write).await
    }

    /// What is known of a delivery that GitHub says it could not deliver.
    pub(crate) async fn missed_delivery(&self, guid: &str) -> Result<MissedDelivery, StoreError> {
        let row = sqlx::query(
            "SELECT (SELECT state FROM deliveries WHERE guid = ?) AS state,
             (SELECT asked_at FROM redeliveries WHERE guid = ?) AS asked_at",
        )
        .bind(guid)
        .bind(guid)
        .fetch_one(&self.reader)
        .await?;
        let state = DELIVERY_STATE.read_optional(&row)?;
        Ok(MissedDelivery {
            stored: state.is_some_and(|state| state != DeliveryState::Failed),
            asked_at: optional_time(row.get("asked_at"))?,
        })
    }

    /// GitHub is asked to deliver it again.
    pub(crate) async fn redelivery_asked(&self, guid: &str, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO redeliveries (guid, asked_at) VALUES (?, ?)
             ON CONFLICT (guid) DO UPDATE SET asked_at = excluded.asked_at",
        )
        .bind(guid)
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// Empties the bodies of some deliveries that were worked on before then, and says of how many.
    pub(crate) async fn empty_deliveries(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.forget(
            "UPDATE deliveries SET body = '' WHERE guid IN (SELECT guid FROM deliveries
             WHERE received_at < ?1 AND state = ?3 AND body <> '' LIMIT ?2)",
            before,
            most,
            Some(DeliveryState::Processed),
        )
        .await
    }

    /// Removes some deliveries that nothing is done with since then, and says how many.
    pub(crate) async fn forget_deliveries(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.forget(
            "DELETE FROM deliveries WHERE guid IN (SELECT guid FROM deliveries
             WHERE received_at < ?1 AND state <> ?3 LIMIT ?2)",
            before,
            most,
            Some(DeliveryState::Received),
        )
        .await
    }

    /// Removes some memories of what GitHub was asked for before then, and says how many.
    pub(crate) async fn forget_redeliveries(&self, before: Timestamp, most: u32) -> Result<u64, StoreError> {
        self.forget(
            "DELETE FROM redeliveries WHERE guid IN (SELECT guid FROM redeliveries WHERE asked_at < ?1 LIMIT ?2)",
            before,
            most,
            None,
        )
        .await
    }

    async fn forget(
        &self,
        sql: &'static str,
        before: Timestamp,
        most: u32,
        state: Option<DeliveryState>,
    ) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let mut query = sqlx::query(sql).bind(text(before)).bind(most);
        if let Some(state) = state {
            query = query.bind(state.as_str());
        }
        let forgotten = query.execute(&mut *write).await?.rows_affected();
        self.commit(write).await?;
        Ok(forgotten)
    }
}

/// A literal, for the index of these: it is not used for what is bound.
fn is_open() -> String {
    format!("state = '{}'", DeliveryState::Received)
}

fn ended(state: DeliveryState, outcome: &str, now: Timestamp) -> Query<'_, Sqlite, SqliteArguments> {
    sqlx::query(
        "UPDATE deliveries SET state = ?, outcome = ?, attempts = attempts + 1, processed_at = ?
         WHERE guid = ?",
    )
    .bind(state.as_str())
    .bind(outcome)
    .bind(text(now))
}

/// What means nothing here is known by its GUID and by what came of it. GitHub shows its body for three days.
static NO_BODY: LazyLock<Arc<str>> = LazyLock::new(|| "".into());

/// Of a failed one everything begins anew.
fn insert<'a>(deliveries: impl Iterator<Item = &'a NewDelivery>, now: Timestamp) -> QueryBuilder<Sqlite> {
    let now: Arc<str> = text(now).into();
    let mut insert = QueryBuilder::new(
        "INSERT INTO deliveries (guid, event, received_at, state, next_attempt_at, outcome, processed_at, body) ",
    );
    insert.push_values(deliveries, |mut row, delivery| {
        let done = delivery.outcome.is_some();
        row.push_bind(Arc::clone(&delivery.guid))
            .push_bind(Arc::clone(&delivery.event))
            .push_bind(Arc::clone(&now))
            .push_bind(if done { DeliveryState::Processed } else { DeliveryState::Received }.as_str())
            .push_bind(Arc::clone(&now))
            .push_bind(delivery.outcome.clone())
            .push_bind(done.then(|| Arc::clone(&now)))
            .push_bind(if done { NO_BODY.clone() } else { Arc::clone(&delivery.body) });
    });
    insert.push(
        " ON CONFLICT (guid) DO UPDATE SET received_at = excluded.received_at, state = excluded.state, attempts = 0,
         next_attempt_at = excluded.next_attempt_at, outcome = excluded.outcome, processed_at = excluded.processed_at,
         body = excluded.body WHERE deliveries.state = ",
    );
    insert.push_bind(DeliveryState::Failed.as_str());
    insert
}

#[cfg(test)]
mod tests;
