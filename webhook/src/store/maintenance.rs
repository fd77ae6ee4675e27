//! Apps that are kept from their clients, and those that were.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::MaintenanceView;
use windlass_core::names::AppName;
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::{Store, StoreError, Write, count_up, text, time, unsigned, word};

/// What was said last about an app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredMaintenance {
    pub(crate) app: AppName,
    /// Orders what is said.
    pub(crate) number: u64,
    /// `None`: it has ended.
    pub(crate) on: Option<MaintenanceView>,
}

/// The counter that gives the numbers.
pub(crate) const NUMBERS: &str = "maintenance";

impl Store {
    /// Of every app of the stage that anything was ever said about.
    pub(crate) async fn maintenance(&self, stage: &Stage) -> Result<Vec<StoredMaintenance>, StoreError> {
        let rows = sqlx::query(
            "SELECT app, number, message, begun_by, begun_at, ended_at FROM maintenance
             WHERE project = ? AND stage = ? ORDER BY app",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(stored).collect()
    }

    /// From now on, or in other words than before.
    pub(crate) async fn begin_maintenance(
        &self,
        stage: &Stage,
        app: &AppName,
        new: &MaintenanceView,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        let number = count_up(&mut write, NUMBERS, 1).await?;
        sqlx::query(
            "INSERT INTO maintenance (project, stage, app, number, message, begun_by, begun_at) VALUES (?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (project, stage, app) DO UPDATE SET number = excluded.number, message = excluded.message,
             begun_by = excluded.begun_by, begun_at = excluded.begun_at, ended_at = NULL",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(number)
        .bind(&new.message)
        .bind(&new.by)
        .bind(text(new.since))
        .execute(&mut *write)
        .await?;
        let detail = match &new.message {
            Some(message) => format!("{app}: {message}"),
            None => app.to_string(),
        };
        record_of(&mut write, Action::BeginMaintenance, stage, &new.by, &detail, new.since).await?;
        self.commit(write).await
    }

    /// `false`: it was not on.
    pub(crate) async fn end_maintenance(
        &self,
        stage: &Stage,
        app: &AppName,
        by: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin().await?;
        let number = count_up(&mut write, NUMBERS, 1).await?;
        let ended = sqlx::query(
            "UPDATE maintenance SET number = ?, ended_at = ?
             WHERE project = ? AND stage = ? AND app = ? AND ended_at IS NULL",
        )
        .bind(number)
        .bind(text(now))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .execute(&mut *write)
        .await?;
        if ended.rows_affected() == 0 {
            return Ok(false);
        }
        record_of(&mut write, Action::EndMaintenance, stage, by, app.as_str(), now).await?;
        self.commit(write).await?;
        Ok(true)
    }
}

async fn record_of(
    write: &mut Write,
    action: Action,
    stage: &Stage,
    actor: &str,
    detail: &str,
    at: Timestamp,
) -> Result<(), StoreError> {
    record(write, &Deed { actor, action, stage: Some(stage), detail, at }).await
}

fn stored(row: &SqliteRow) -> Result<StoredMaintenance, StoreError> {
    let ended: Option<String> = row.get("ended_at");
    let view =
        MaintenanceView { by: row.get("begun_by"), since: time(row.get("begun_at"))?, message: row.get("message") };
    Ok(StoredMaintenance {
        app: word("an app's name", row.get("app"))?,
        number: unsigned(row.get("number")),
        on: ended.is_none().then_some(view),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_word_about_an_app_has_a_larger_number_and_its_end_is_remembered() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
        let stage = Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() };
        let app = AppName::unnamed();
        let view = |message: &str| MaintenanceView {
            by: "ada".to_owned(),
            since: Timestamp::UNIX_EPOCH,
            message: Some(message.to_owned()),
        };
        let end = || store.end_maintenance(&stage, &app, "ada", Timestamp::UNIX_EPOCH);
        assert!(!end().await.unwrap(), "there is none");
        store.begin_maintenance(&stage, &app, &view("one")).await.unwrap();
        let first = store.maintenance(&stage).await.unwrap().remove(0);
        assert_eq!(first.on, Some(view("one")));
        store.begin_maintenance(&stage, &app, &view("two")).await.unwrap();
        let second = store.maintenance(&stage).await.unwrap().remove(0);
        assert_eq!(second.on, Some(view("two")));
        assert!(end().await.unwrap());
        let third = store.maintenance(&stage).await.unwrap().remove(0);
        assert_eq!(third.on, None);
        assert!(first.number < second.number && second.number < third.number);
        assert!(!end().await.unwrap(), "it has ended");
        store.begin_maintenance(&stage, &app, &view("three")).await.unwrap();
        assert_eq!(store.maintenance(&stage).await.unwrap()[0].on, Some(view("three")));
    }
}
