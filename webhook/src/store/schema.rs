//! The store's file and its schema, which only goes forward.

use std::path::Path;
use std::sync::LazyLock;

use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::sqlite::SqlitePool;
use sqlx::{Row, SqlSafeStr};

use super::StoreError;
use crate::data_folder;

/// By hand: the macro that reads the folder would have sqlx and SQLite compiled a second time, for the compiler.
macro_rules! changes {
    ($($name:literal,)*) => {
        [$(($name, include_str!(concat!("../../migrations/", $name, ".sql")))),*]
    };
}

/// The names of the changes' files, and what is in them. What has been published never changes.
const CHANGES: [(&str, &str); 15] = changes![
    "0001_the_house",
    "0002_jobs",
    "0003_uncommitted",
    "0004_deliveries",
    "0005_deploying_jobs",
    "0006_telling_github",
    "0009_jobs_locks_and_tasks",
    "0010_commits_of_a_deployment",
    "0011_how_they_ran",
    "0012_host_names",
    "0013_keeping",
    "0015_bounded_logs",
    "0017_one_spelling",
    "0018_maintenance",
    "0019_error_pages",
];

pub(super) static MIGRATIONS: LazyLock<Migrator> =
    LazyLock::new(|| Migrator::with_migrations(CHANGES.iter().map(|(name, text)| change(name, text)).collect()));

/// # Panics
///
/// When the name does not begin with the change's number, which a test sees.
fn change(name: &'static str, text: &'static str) -> Migration {
    let (number, title) = name.split_once('_').expect("a change has a number and a title");
    let number = number.parse().expect("a change's number is one");
    Migration::new(number, title.replace('_', " ").into(), MigrationType::Simple, text.into_sql_str(), false)
}

/// The database only says that it could not; the system says why.
pub(super) fn cannot_open(file: &Path, error: &sqlx::Error) -> StoreError {
    let folder = file.parent().unwrap_or(file);
    let opened = std::fs::OpenOptions::new().read(true).write(true).open(file).map(drop);
    let why = match opened {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        // Beside its file the database keeps others.
        _ => try_to_make(&folder.join("windlass.db.probe")),
    };
    let why = why.err().map_or_else(|| error.to_string(), |why| why.to_string());
    StoreError::Open { file: file.to_owned(), why: windlass_core::reason::plain(&why) }
}

fn try_to_make(file: &Path) -> std::io::Result<()> {
    std::fs::OpenOptions::new().write(true).create_new(true).open(file)?;
    std::fs::remove_file(file)
}

/// The schema only goes forward, and the store copies itself first.
pub(super) async fn bring_forward(writer: &SqlitePool, file: &Path) -> Result<(), StoreError> {
    let (found, known) = (found(writer).await?, newest_known());
    if found > known {
        return Err(StoreError::OtherSchema { found, known });
    }
    if found > 0 && found < known {
        copy_whole(writer, &file.with_extension(format!("before-{}.db", found + 1))).await?;
    }
    MIGRATIONS.run(writer).await?;
    Ok(())
}

/// The number of the newest change that this version knows.
pub(super) fn newest_known() -> i64 {
    MIGRATIONS.iter().map(|change| change.version).max().unwrap_or_default()
}

/// The number of the newest change that the store has; 0 for a store that has nothing yet.
pub(super) async fn found(writer: &SqlitePool) -> Result<i64, StoreError> {
    let begun =
        sqlx::query("SELECT 1 FROM sqlite_master WHERE name = '_sqlx_migrations'").fetch_optional(writer).await?;
    if begun.is_none() {
        return Ok(0);
    }
    let newest =
        sqlx::query("SELECT COALESCE(MAX(version), 0) AS newest FROM _sqlx_migrations").fetch_one(writer).await?;
    Ok(newest.get("newest"))
}

/// The copy is whole or it is not there: the disk may be full.
async fn copy_whole(writer: &SqlitePool, copy: &Path) -> Result<(), StoreError> {
    let fresh = copy.with_extension("new");
    remove(&fresh).await?;
    data_folder::make_file(&fresh).map_err(StoreError::Backup)?;
    let copied = sqlx::query("VACUUM INTO ?").bind(fresh.to_string_lossy().into_owned()).execute(writer).await;
    if let Err(error) = copied {
        remove(&fresh).await?;
        return Err(error.into());
    }
    tokio::fs::rename(&fresh, copy).await.map_err(StoreError::Backup)
}

async fn remove(file: &Path) -> Result<(), StoreError> {
    match tokio::fs::remove_file(file).await {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(StoreError::Backup(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
