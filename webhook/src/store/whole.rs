//! All that a store holds, for tests that compare what was before with what is after.

use std::collections::BTreeMap;

use sqlx::sqlite::SqlitePool;
use sqlx::{AssertSqlSafe, Row};

/// Every row of every table, each value as SQL writes it.
pub(super) async fn whole(pool: &SqlitePool) -> BTreeMap<String, Vec<String>> {
    let mut whole = BTreeMap::new();
    let tables =
        texts(pool, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_%' ESCAPE '\\'");
    for table in tables.await {
        let columns = texts(pool, &format!("SELECT 'quote(' || name || ')' FROM pragma_table_info('{table}')")).await;
        let row = columns.join(" || ', ' || ");
        whole.insert(table.clone(), texts(pool, &format!("SELECT {row} FROM {table} ORDER BY rowid")).await);
    }
    whole
}

/// The first column of what this gives.
pub(super) async fn texts(pool: &SqlitePool, sql: &str) -> Vec<String> {
    let rows = sqlx::query(AssertSqlSafe(sql.to_owned())).fetch_all(pool).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}
