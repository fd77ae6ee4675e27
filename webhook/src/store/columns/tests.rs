use std::path::Path;

use jiff::Timestamp;
use sqlx::AssertSqlSafe;

use super::*;
use crate::store::audit::Action;
use crate::store::whole::texts;
use crate::store::{Store, before};

const AUDIT_ACTION: Column<Action> = Column::new("audit", "action");
const COMMENTED_STATE: Column<DeploymentState> = Column::new("commented", "state");

/// Every column of the store that holds words, with them.
fn all() -> Vec<(&'static str, &'static str, Vec<&'static str>)> {
    fn of<T: Spelled>(column: &Column<T>) -> (&'static str, &'static str, Vec<&'static str>) {
        (column.table, column.name, T::VARIANTS.iter().map(|word| (*word).into()).collect())
    }
    vec![
        of(&AUDIT_ACTION),
        of(&COMMENTED_STATE),
        of(&DELIVERY_STATE),
        of(&DEPLOYMENT_KIND),
        of(&DEPLOYMENT_SOURCE),
        of(&DEPLOYMENT_STATE),
        of(&ENTRY_KIND),
        of(&WANTED_SOURCE),
    ]
}

/// One that was brought forward, with something in every table.
async fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    before::make(folder.path()).await;
    let store = Store::open(folder.path(), Timestamp::UNIX_EPOCH).await.unwrap();
    (folder, store)
}

#[tokio::test]
async fn a_column_holds_the_words_of_its_enum_and_nothing_around_them() {
    let (_folder, store) = store().await;
    for (table, name, words) in all() {
        let found = texts(&store.reader, &format!("SELECT DISTINCT {name} FROM {table}")).await;
        assert!(!found.is_empty(), "{table}.{name}");
        for word in found {
            assert!(words.contains(&word.as_str()), "{table}.{name}: {word}");
        }
    }
}

#[tokio::test]
async fn a_word_that_nobody_knows_is_an_error_that_names_it_and_its_column() {
    let (_folder, store) = store().await;
    let stage = "production".parse().unwrap();
    let stage = windlass_core::stage::Stage { project: "acme/shop".parse().unwrap(), name: stage };
    let id = "b00t1ngb00t1ngb0".parse().unwrap();
    let lose = async |table: &str, name: &str, lost: &str| {
        let sql = format!("UPDATE {table} SET {name} = {lost}");
        sqlx::query(AssertSqlSafe(sql)).execute(&store.writer).await.unwrap();
    };
    for (table, name, _) in all() {
        lose(table, name, &format!("'lost ' || {name}")).await;
        let error = match (table, name) {
            // Nothing is done with what stands there; it is only compared, or for people.
            ("audit", _) | ("commented", _) => continue,
            ("deliveries", _) => {
                store.missed_delivery("33333333-cccc-4ccc-8ccc-333333333333").await.map(drop).unwrap_err()
            }
            ("deployment_events", _) => store.messages(&id, 0, None).await.map(drop).unwrap_err(),
            ("deployments", _) => store.deployment(&id).await.map(drop).unwrap_err(),
            ("wanted_commits", _) => store.wanted_commit(&stage).await.map(drop).unwrap_err(),
            _ => panic!("{table} is read by nobody"),
        };
        let said = error.to_string();
        assert!(said.contains("`lost ") && said.contains(&format!("in {table}.{name},")), "{said}");
        lose(table, name, &format!("SUBSTR({name}, 6)")).await;
    }
}

#[tokio::test]
async fn a_literal_of_an_index_is_a_word_of_its_table() {
    let (_folder, store) = store().await;
    let mut literals = 0;
    for kind in ["index", "trigger", "view"] {
        let sql = format!("SELECT tbl_name || ' ' || sql FROM sqlite_master WHERE type = '{kind}' AND sql LIKE '%''%'");
        for made in texts(&store.reader, &sql).await {
            let table = made.split(' ').next().unwrap();
            let of_table = all().into_iter().filter(|(name, ..)| *name == table);
            let words: Vec<&str> = of_table.flat_map(|(_, _, words)| words).collect();
            for literal in made.split('\'').skip(1).step_by(2) {
                assert!(words.contains(&literal), "{literal}: {made}");
                literals += 1;
            }
        }
    }
    assert_eq!(literals, 1, "the deliveries that are due have an index of their own");
}

#[test]
fn no_statement_has_a_word_as_a_literal_of_its_own() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let files = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path());
    let files: Vec<_> = files.filter(|file| file.extension().is_some_and(|it| it == "rs")).collect();
    assert!(files.len() > 15, "{files:?}");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for (table, name, words) in all() {
            for word in words {
                for literal in [format!("'{word}'"), format!("\\\"{word}\\\"")] {
                    assert!(!text.contains(&literal), "{}: {literal} of {table}.{name}", file.display());
                }
            }
        }
    }
}
