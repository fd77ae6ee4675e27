//! A store as an earlier version wrote it, with something in every table.

use std::collections::BTreeMap;
use std::path::Path;

use super::Store;
use super::schema::MIGRATIONS;
use super::whole::whole;
use crate::data_folder;

/// Which schema the rows are of.
pub(super) const SCHEMA: i64 = 15;
const ROWS: &str = include_str!("../../../fixtures/store/before-0017.sql");

/// Makes its file in a folder, and says what is in it.
pub(super) async fn make(folder: &Path) -> BTreeMap<String, Vec<String>> {
    let file = data_folder::make_file(&folder.join(data_folder::STORE)).unwrap();
    let store = Store::connect(&file).await.unwrap();
    MIGRATIONS.run_to(SCHEMA, &store.writer).await.unwrap();
    sqlx::raw_sql(ROWS).execute(&store.writer).await.unwrap();
    let rows = whole(&store.reader).await;
    store.close().await;
    rows
}
