//! The audit: who did what. An entry stands in the transaction of the change that it tells of, so that there is never one
//! without the other. What is done elsewhere, on a host, is recorded before it, and is only done by who can show that.

use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr, VariantArray};
use windlass_core::spelling::Spelled;
use windlass_core::stage::Stage;

use super::{Store, StoreError, Write, count_up, text};

/// What somebody did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr, VariantArray)]
pub(crate) enum Action {
    /// Asked for the end of a deployment.
    #[strum(serialize = "deployment.cancel")]
    CancelDeployment,
    /// Asked for a deployment.
    #[strum(serialize = "deployment.create")]
    CreateDeployment,
    /// Was given the deployment that somebody had asked for already, and waits for it.
    #[strum(serialize = "deployment.join")]
    JoinDeployment,
    /// Asked for a deployment whose gate is not asked.
    #[strum(serialize = "deployment.override_gate")]
    OverrideGate,
    /// Lifted the hold of a stage.
    #[strum(serialize = "hold.lift")]
    LiftHold,
    /// Left a hold on a stage, by a rollback that succeeded.
    #[strum(serialize = "hold.set")]
    SetHold,
    /// Signed in, as a job.
    #[strum(serialize = "job.sign_in")]
    SignIn,
    /// Unlocked a stage.
    #[strum(serialize = "lock.release")]
    ReleaseLock,
    /// Locked a stage.
    #[strum(serialize = "lock.take")]
    TakeLock,
    /// Keeps an app from its clients.
    #[strum(serialize = "maintenance.begin")]
    BeginMaintenance,
    /// Lets an app's clients in again.
    #[strum(serialize = "maintenance.end")]
    EndMaintenance,
    /// Registered a release.
    #[strum(serialize = "release.create")]
    CreateRelease,
    /// Has containers stopped that nothing accounts for.
    #[strum(serialize = "stale.stop")]
    StopStale,
    /// Started a one-off task.
    #[strum(serialize = "task.run")]
    RunTask,
    /// Has a one-off task stopped.
    #[strum(serialize = "task.stop")]
    StopTask,
    /// Made a token.
    #[strum(serialize = "token.create")]
    CreateToken,
    /// Revoked a token.
    #[strum(serialize = "token.revoke")]
    RevokeToken,
}

impl Spelled for Action {}

/// Who did what, where and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed<'a> {
    pub(crate) actor: &'a str,
    pub(crate) action: Action,
    /// `None`: it is nobody's in particular.
    pub(crate) stage: Option<&'a Stage>,
    pub(crate) detail: &'a str,
    pub(crate) at: Timestamp,
}

/// That a deed is on record. Who does it asks for this.
#[derive(Debug)]
pub(crate) struct Recorded(());

impl Store {
    /// Of what is about to be done on a host: before it, since what cannot be recorded is not done.
    pub(crate) async fn record(&self, deed: &Deed<'_>) -> Result<Recorded, StoreError> {
        let mut write = self.begin().await?;
        record(&mut write, deed).await?;
        self.commit(write).await?;
        Ok(Recorded(()))
    }
}

pub(super) async fn record(write: &mut Write, deed: &Deed<'_>) -> Result<(), StoreError> {
    let id = count_up(write, "audit", 1).await?;
    sqlx::query("INSERT INTO audit (id, at, actor, action, project, stage, detail) VALUES (?, ?, ?, ?, ?, ?, ?)")
        .bind(id)
        .bind(text(deed.at))
        .bind(deed.actor)
        .bind(<&'static str>::from(deed.action))
        .bind(deed.stage.map(|stage| stage.project.as_str()))
        .bind(deed.stage.map(|stage| stage.name.as_str()))
        .bind(deed.detail)
        .execute(&mut **write)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests;
