//! Releases' own pages, by the status with which a gateway answers in the app's place.

use std::collections::BTreeMap;

use sqlx::Row;
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::stage::Stage;

use super::{Store, StoreError, Write, signed};

impl Store {
    /// A release's.
    pub(crate) async fn release_pages(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
    ) -> Result<BTreeMap<u16, String>, StoreError> {
        let rows = sqlx::query(
            "SELECT status, page FROM release_pages WHERE project = ? AND stage = ? AND app = ? AND release_number = ?",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .fetch_all(&self.reader)
        .await?;
        let page =
            |row: &sqlx::sqlite::SqliteRow| Some((u16::try_from(row.get::<i64, _>("status")).ok()?, row.get("page")));
        Ok(rows.iter().filter_map(page).collect())
    }

    /// One that was found in the image. What is there already stays: a release never changes.
    pub(crate) async fn add_page(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
        status: u16,
        page: &str,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        insert(&mut write, stage, app, signed(release.0), &BTreeMap::from([(status, page.to_owned())])).await?;
        self.commit(write).await
    }
}

/// Those that come with a release.
pub(super) async fn insert(
    write: &mut Write,
    stage: &Stage,
    app: &AppName,
    release: i64,
    pages: &BTreeMap<u16, String>,
) -> Result<(), StoreError> {
    for (status, page) in pages {
        sqlx::query(
            "INSERT INTO release_pages (project, stage, app, release_number, status, page) VALUES (?, ?, ?, ?, ?, ?)
             ON CONFLICT (project, stage, app, release_number, status) DO NOTHING",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(release)
        .bind(i64::from(*status))
        .bind(page)
        .execute(&mut **write)
        .await?;
    }
    Ok(())
}
