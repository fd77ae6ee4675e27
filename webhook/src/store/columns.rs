//! The columns that hold an enum's own word, as the API writes it too. What is compared with one is bound; where SQL cannot
//! be without a literal, a test sees that it is a word.

use std::marker::PhantomData;

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::deployment::DeploymentState;
use windlass_core::plan::DeploymentKind;
use windlass_core::spelling::Spelled;

use super::StoreError;
use super::deliveries::DeliveryState;
use super::deployments::Source;
use super::journal::EntryKind;

pub(super) const DELIVERY_STATE: Column<DeliveryState> = Column::new("deliveries", "state");
pub(super) const DEPLOYMENT_KIND: Column<DeploymentKind> = Column::new("deployments", "kind");
pub(super) const DEPLOYMENT_SOURCE: Column<Source> = Column::new("deployments", "source");
pub(super) const DEPLOYMENT_STATE: Column<DeploymentState> = Column::new("deployments", "state");
pub(super) const ENTRY_KIND: Column<EntryKind> = Column::new("deployment_events", "kind");
pub(super) const WANTED_SOURCE: Column<Source> = Column::new("wanted_commits", "source");

/// A column whose values are an enum's words.
#[derive(Debug)]
pub(super) struct Column<T> {
    table: &'static str,
    name: &'static str,
    words: PhantomData<T>,
}

impl<T: Spelled> Column<T> {
    const fn new(table: &'static str, name: &'static str) -> Self {
        Self { table, name, words: PhantomData }
    }

    /// What a row has in it, under the column's own name.
    pub(super) fn read(&self, row: &SqliteRow) -> Result<T, StoreError> {
        self.value(row.try_get(self.name)?)
    }

    /// The same, of what may have no row.
    pub(super) fn read_optional(&self, row: &SqliteRow) -> Result<Option<T>, StoreError> {
        row.try_get::<Option<&str>, _>(self.name)?.map(|word| self.value(word)).transpose()
    }

    fn value(&self, word: &str) -> Result<T, StoreError> {
        word.parse().map_err(|_| StoreError::UnknownWord {
            table: self.table,
            column: self.name,
            word: word.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
