//! The audit: who did what. An entry stands in the transaction of the change that it tells of, so that there is never one
//! without the other.

use windlass_core::stage::Stage;

use jiff::Timestamp;

use super::{Store, StoreError, Write, count_up, text};

/// Who did what, where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: &'static str,
    /// `None`: it is nobody's in particular.
    pub(crate) stage: Option<&'a Stage>,
    pub(crate) detail: &'a str,
    pub(crate) at: Timestamp,
}

impl Store {
    /// Of what is about to be done on a host: before it, since what cannot be recorded is not done.
    pub(crate) async fn record(&self, deed: &Deed<'_>) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        record(&mut write, deed).await?;
        self.commit(write).await
    }
}

pub(super) async fn record(write: &mut Write, deed: &Deed<'_>) -> Result<(), StoreError> {
    let id = count_up(write, "audit", 1).await?;
    sqlx::query("INSERT INTO audit (id, at, actor, action, project, stage, detail) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(id)
        .bind(text(deed.at))
        .bind(deed.actor)
        .bind(deed.action)
        .bind(deed.stage.map(|stage| stage.project.as_str()))
        .bind(deed.stage.map(|stage| stage.name.as_str()))
        .bind(deed.detail)
        .execute(&mut **write)
        .await?;
    Ok(())
}
