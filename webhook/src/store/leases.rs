//! Who works on a stage, and what a rollback left against what comes by itself.

use jiff::Timestamp;
use sqlx::Row;
use windlass_core::api::{HoldView, LeaseView};
use windlass_core::names::DeploymentId;
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::deployments::StoredDeployment;
use super::{Store, StoreError, Write, text, time, word};

impl Store {
    /// Claims the stage for a deployment, or prolongs the claim. `false`: somebody else's claim has not expired.
    pub(crate) async fn take_lease(
        &self,
        stage: &Stage,
        holder: &str,
        deployment: &DeploymentId,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin().await?;
        let changed = sqlx::query(
            "INSERT INTO leases (project, stage, holder, deployment, expires_at) VALUES (?, ?, ?, ?, ?)
             ON CONFLICT (project, stage) DO UPDATE SET holder = excluded.holder, deployment = excluded.deployment,
             expires_at = excluded.expires_at
             WHERE (leases.holder = excluded.holder AND leases.deployment = excluded.deployment)
             OR leases.expires_at < ?",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(holder)
        .bind(deployment.as_str())
        .bind(text(expires_at))
        .bind(text(now))
        .execute(&mut *write)
        .await?
        .rows_affected();
        self.commit(write).await?;
        Ok(changed > 0)
    }

    /// Gives the claim back; only the one that is held.
    pub(crate) async fn release_lease(&self, stage: &Stage, holder: &str) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("DELETE FROM leases WHERE project = ? AND stage = ? AND holder = ?")
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .bind(holder)
            .execute(&mut *write)
            .await?;
        self.commit(write).await
    }

    /// Ends the claims of every other process. Only for a process that knows that it is alone, having locked the folder.
    pub(crate) async fn end_leases_of_the_dead(&self, holder: &str) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("DELETE FROM leases WHERE holder <> ?").bind(holder).execute(&mut *write).await?;
        self.commit(write).await
    }

    /// Who works on the stage.
    pub(crate) async fn lease(&self, stage: &Stage) -> Result<Option<LeaseView>, StoreError> {
        let row =
            self.stage_row("SELECT deployment, expires_at FROM leases WHERE project = ? AND stage = ?", stage).await?;
        row.map(|row| {
            Ok(LeaseView {
                deployment: word("a deployment's id", row.get("deployment"))?,
                expires_at: time(row.get("expires_at"))?,
            })
        })
        .transpose()
    }

    /// Lifts the hold. `false`: there was none.
    pub(crate) async fn lift_hold(&self, stage: &Stage, by: &str, now: Timestamp) -> Result<bool, StoreError> {
        let mut write = self.begin().await?;
        let changed = sqlx::query("DELETE FROM holds WHERE project = ? AND stage = ?")
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .execute(&mut *write)
            .await?
            .rows_affected();
        if changed > 0 {
            let deed = Deed { actor: by, action: Action::LiftHold, stage: Some(stage), detail: "", at: now };
            record(&mut write, &deed).await?;
        }
        self.commit(write).await?;
        Ok(changed > 0)
    }

    /// The hold that a rollback left.
    pub(crate) async fn hold(&self, stage: &Stage) -> Result<Option<HoldView>, StoreError> {
        let row =
            self.stage_row("SELECT deployment, held_at FROM holds WHERE project = ? AND stage = ?", stage).await?;
        row.map(|row| {
            Ok(HoldView {
                deployment: word("a deployment's id", row.get("deployment"))?,
                since: time(row.get("held_at"))?,
            })
        })
        .transpose()
    }
}

/// Leaves a hold: automatic deployments wait until somebody lifts it.
pub(super) async fn hold(write: &mut Write, deployment: &StoredDeployment, now: Timestamp) -> Result<(), StoreError> {
    let stage = &deployment.stage;
    sqlx::query(
        "INSERT INTO holds (project, stage, deployment, held_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (project, stage) DO UPDATE SET deployment = excluded.deployment, held_at = excluded.held_at",
    )
    .bind(stage.project.as_str())
    .bind(stage.name.as_str())
    .bind(deployment.id.as_str())
    .bind(text(now))
    .execute(&mut **write)
    .await?;
    let (actor, detail) = (deployment.requested_by.as_str(), deployment.id.as_str());
    record(write, &Deed { actor, action: Action::SetHold, stage: Some(stage), detail, at: now }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + second).unwrap()
    }

    #[tokio::test]
    async fn rule_055_a_lease_is_taken_over_only_when_it_has_expired_and_given_back_only_by_its_holder() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), at(0)).await.unwrap();
        let stage = Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() };
        let deployment = |number| DeploymentId::from_random([number; 16]);
        let take = async |holder: &str, number, now| {
            store.take_lease(&stage, holder, &deployment(number), at(now + 30), at(now)).await.unwrap()
        };
        assert!(take("a", 1, 0).await);
        assert!(!take("b", 2, 29).await, "it works");
        assert!(!take("a", 2, 29).await, "one at a time, also of the same holder");
        assert!(take("a", 1, 29).await, "and prolongs it");
        assert!(!take("b", 2, 58).await);
        assert!(take("b", 2, 60).await, "it died");
        assert!(!take("a", 1, 61).await, "and has lost it, should it live after all");
        store.release_lease(&stage, "a").await.unwrap();
        assert_eq!(store.lease(&stage).await.unwrap().unwrap().deployment, deployment(2));
        store.end_leases_of_the_dead("c").await.unwrap();
        assert!(take("c", 3, 62).await, "whoever is alone need not wait for the dead");
        store.release_lease(&stage, "c").await.unwrap();
        assert_eq!(store.lease(&stage).await.unwrap(), None);
    }
}
