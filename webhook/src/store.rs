//! The store: SQLite in the data folder, one writer, several readers. SQL stays within what PostgreSQL also speaks.
//!
//! No transaction is held while GitHub, Docker or a gateway is asked: claim, commit, work, commit.

pub(crate) mod audit;
#[cfg(test)]
mod before;
pub(crate) mod cancel;
pub(crate) mod claims;
mod columns;
pub(crate) mod comments;
pub(crate) mod deliveries;
pub(crate) mod deployments;
pub(crate) mod images;
pub(crate) mod jobs;
pub(crate) mod journal;
mod keep;
pub(crate) mod leases;
pub(crate) mod locks;
pub(crate) mod maintenance;
pub(crate) mod outbox;
mod pages;
pub(crate) mod releases;
mod schema;
pub(crate) mod sessions;
pub(crate) mod stages;
pub(crate) mod tasks;
pub(crate) mod tokens;
#[cfg(test)]
mod whole;

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Row, Sqlite, Transaction};
use tokio::sync::{Notify, watch};
use windlass_core::names::InstallationId;

use crate::data_folder;

/// A write under way. Dropped without `commit`, it never was.
pub(crate) type Write = Transaction<'static, Sqlite>;

/// The store. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    writer: SqlitePool,
    reader: SqlitePool,
    changes: watch::Sender<u64>,
    trouble: Arc<Trouble>,
}

/// That writes fail: the disk is full, say. Whoever looks after it is woken.
#[derive(Debug, Default)]
struct Trouble {
    is_there: AtomicBool,
    bell: Arc<Notify>,
}

/// How far something has come of which messages are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Nothing comes any more.
    pub(crate) ended: bool,
    /// The newest message's place; 0 where there is none.
    pub(crate) newest: u64,
}

/// Why the store could not do it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database said no.
    #[error("the store failed")]
    Database(#[from] sqlx::Error),
    /// Its file could not be opened.
    #[error("the store {} cannot be opened: {why}", file.display())]
    Open {
        file: PathBuf,
        /// In the system's words, or the database's.
        why: String,
    },
    /// Its schema could not be brought forward.
    #[error("the store's schema could not be brought forward")]
    Migration(#[from] sqlx::migrate::MigrateError),
    /// The copy before that could not be made.
    #[error("the store could not be copied before its schema is brought forward")]
    Backup(#[source] std::io::Error),
    /// Another version of Windlass made it what it is.
    #[error("the store has schema {found}, and this version of Windlass knows {known}")]
    OtherSchema {
        /// Its newest change.
        found: i64,
        /// The newest one that is known here.
        known: i64,
    },
    /// What is stored is not what this version writes.
    #[error("the store holds {what} that cannot be read: {why}")]
    Corrupt {
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// A word that none of this version's enums has.
    #[error("the store has `{word}` in {table}.{column}, and this version of Windlass has no such word")]
    UnknownWord {
        table: &'static str,
        /// Of which of its columns.
        column: &'static str,
        /// What stands there.
        word: String,
    },
    /// An event that cannot follow what happened before it.
    #[error(transparent)]
    IllegalTransition(#[from] windlass_core::deployment::IllegalTransition),
}

impl Store {
    /// Opens the store in a folder, which must exist, and brings its schema forward.
    pub(crate) async fn open(folder: &Path, now: Timestamp) -> Result<Self, StoreError> {
        let file = folder.join(data_folder::STORE);
        let file = data_folder::make_file(&file)
            .map_err(|error| StoreError::Open { why: windlass_core::reason::plain(&error.to_string()), file })?;
        let store = Self::connect(&file).await?;
        schema::bring_forward(&store.writer, &file).await?;
        store.found_installation(now).await?;
        Ok(store)
    }

    /// Opens the store of a service that runs. Its schema is that service's: nothing is changed of it.
    pub(crate) async fn open_as_it_is(folder: &Path, patience: Duration) -> Result<Self, StoreError> {
        let store = Self::connect(&folder.join(data_folder::STORE)).await?;
        let known = schema::newest_known();
        let begun = tokio::time::Instant::now();
        loop {
            let found = schema::found(&store.writer).await?;
            if found == known
                && sqlx::query("SELECT 1 FROM installation").fetch_optional(&store.reader).await?.is_some()
            {
                return Ok(store);
            }
            // It may be about to bring it forward itself.
            if found > known || begun.elapsed() > patience {
                return Err(StoreError::OtherSchema { found, known });
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn connect(file: &Path) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            // Not made here: it would be everybody's to read.
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(Duration::from_secs(10))
            // Deliveries are stored in batches of any size, and each size is a statement of its own.
            .statement_cache_capacity(256);
        // A file does not go away like a server does: its connections need no test before each use.
        let pool = || SqlitePoolOptions::new().test_before_acquire(false);
        let writer = pool()
            .max_connections(1)
            // Where a transaction could neither be ended nor undone, nobody knows what the connection holds: there is
            // another.
            .before_acquire(|connection, _| Box::pin(std::future::ready(Ok(!connection.is_in_transaction()))))
            .connect_with(options.clone())
            .await
            .map_err(|error| schema::cannot_open(file, &error))?;
        let reader = pool().max_connections(8).connect_lazy_with(options.read_only(true));
        let (changes, _) = watch::channel(0);
        Ok(Self { writer, reader, changes, trouble: Arc::default() })
    }

    /// Whether anything was ever asked for.
    pub(crate) async fn is_used(&self) -> Result<bool, StoreError> {
        let used = sqlx::query("SELECT 1 FROM secret_versions LIMIT 1").fetch_optional(&self.reader).await?;
        Ok(used.is_some())
    }

    /// Which installation this store is of.
    pub(crate) async fn installation(&self) -> Result<InstallationId, StoreError> {
        let row = sqlx::query("SELECT id FROM installation").fetch_one(&self.reader).await?;
        parse("an installation's id", row.get::<&str, _>("id"), uuid::Uuid::from_str).map(InstallationId)
    }

    /// Told of every write: for whoever streams what happens.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// Closes the files. Writes that were committed are on disk in any case.
    pub(crate) async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }

    async fn begin(&self) -> Result<Write, StoreError> {
        // IMMEDIATE: the one writer may have a neighbour, `windlass token create` beside a running service.
        let begun = self.writer.begin_with("BEGIN IMMEDIATE").await;
        begun.map_err(|error| self.in_trouble(error))
    }

    async fn commit(&self, write: Write) -> Result<(), StoreError> {
        self.commit_in_silence(write).await?;
        self.changes.send_modify(|change| *change += 1);
        Ok(())
    }

    /// Of what nobody streams, nobody is told.
    async fn commit_in_silence(&self, write: Write) -> Result<(), StoreError> {
        write.commit().await.map_err(|error| self.in_trouble(error))
    }

    fn in_trouble(&self, error: sqlx::Error) -> StoreError {
        self.trouble.is_there.store(true, Ordering::Relaxed);
        self.trouble.bell.notify_one();
        error.into()
    }

    /// Rings when a write has failed.
    pub(crate) fn trouble(&self) -> Arc<Notify> {
        Arc::clone(&self.trouble.bell)
    }

    /// Whether a write has failed since this was asked last.
    pub(crate) fn was_in_trouble(&self) -> bool {
        self.trouble.is_there.swap(false, Ordering::Relaxed)
    }

    /// Writes a little, as every other write is written: whether that works now.
    pub(crate) async fn try_to_write(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO counters (name, value) VALUES ('writable', ?)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(now.as_microsecond())
        .execute(&mut *write)
        .await?;
        self.commit_in_silence(write).await
    }

    /// How far a counter has come.
    pub(crate) async fn counter(&self, name: &str) -> Result<u64, StoreError> {
        let row =
            sqlx::query("SELECT value FROM counters WHERE name = ?").bind(name).fetch_optional(&self.reader).await?;
        Ok(row.map_or(0, |row| unsigned(row.get("value"))))
    }

    /// Has a counter go on above this. `false`: it does already.
    pub(crate) async fn raise(&self, name: &str, to: u64) -> Result<bool, StoreError> {
        if self.counter(name).await? >= to {
            return Ok(false);
        }
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO counters (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value
             WHERE counters.value < excluded.value",
        )
        .bind(name)
        .bind(signed(to))
        .execute(&mut *write)
        .await?;
        self.commit(write).await?;
        Ok(true)
    }

    async fn found_installation(&self, now: Timestamp) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO installation (id, created_at) SELECT ?, ? WHERE NOT EXISTS (SELECT 1 FROM installation)",
        )
        .bind(uuid::Uuid::new_v4().to_string())
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }
}

/// The next value of a counter that only ever grows.
async fn count_up(write: &mut Write, name: &str, by: i64) -> Result<i64, StoreError> {
    let row = sqlx::query(
        "INSERT INTO counters (name, value) VALUES (?, ?)
         ON CONFLICT (name) DO UPDATE SET value = counters.value + excluded.value RETURNING value",
    )
    .bind(name)
    .bind(by)
    .fetch_one(&mut **write)
    .await?;
    Ok(row.get("value"))
}

/// As times are stored: of one length, so that they sort as text.
fn text(time: Timestamp) -> String {
    format!("{time:.6}")
}

fn time(value: &str) -> Result<Timestamp, StoreError> {
    parse("a time", value, Timestamp::from_str)
}

fn optional_time(value: Option<&str>) -> Result<Option<Timestamp>, StoreError> {
    value.map(time).transpose()
}

fn parse<'a, T, E: std::fmt::Display>(
    what: &'static str,
    value: &'a str,
    read: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<T, StoreError> {
    read(value).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// A word that was checked when it was stored.
fn word<T: FromStr<Err: std::fmt::Display>>(what: &'static str, value: &str) -> Result<T, StoreError> {
    parse(what, value, T::from_str)
}

fn from_json<T: serde::de::DeserializeOwned>(what: &'static str, value: &str) -> Result<T, StoreError> {
    parse(what, value, serde_json::from_str)
}

fn to_json<T: serde::Serialize>(what: &'static str, value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Corrupt { what, why: error.to_string() })
}

/// SQLite's integers are signed; ours are counts.
fn unsigned(value: i64) -> u64 {
    u64::try_from(value).unwrap_or(0)
}

fn signed(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_store_keeps_its_installation_and_counts_only_up() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store = Store::open(folder.path(), now).await.unwrap();
        let installation = store.installation().await.unwrap();
        let mut write = store.begin().await.unwrap();
        assert_eq!(count_up(&mut write, "x", 1).await.unwrap(), 1);
        assert_eq!(count_up(&mut write, "x", 2).await.unwrap(), 3);
        store.commit(write).await.unwrap();
        store.close().await;
        let again = Store::open(folder.path(), now).await.unwrap();
        assert_eq!(again.installation().await.unwrap(), installation);
    }
}
