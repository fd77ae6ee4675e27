//! The end of a deployment, asked for by somebody.

use jiff::Timestamp;
use windlass_core::deployment::{Deployment, DeploymentState, Event, Failure, FailureCode, Outcome};
use windlass_core::plan::DeploymentKind;

use super::audit::{Action, Deed, record};
use super::deployments::{Request, StoredDeployment};
use super::journal::Effect;
use super::{Store, StoreError, Write};

/// Until when a cancellation counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Until {
    /// A job's: its traffic has moved, and the job's end is no reason to move it back.
    Switch,
    /// A person's: until success is said, the old release gets its traffic back.
    Success,
}

impl Until {
    const fn back(self) -> bool {
        matches!(self, Self::Success)
    }
}

impl Store {
    /// Asks for the end of a deployment. One that has not begun ends at once, also while another one runs. `None`: it came
    /// too late, and nothing was written.
    pub(crate) async fn cancel(
        &self,
        deployment: &StoredDeployment,
        by: &str,
        until: Until,
        now: Timestamp,
    ) -> Result<Option<Deployment>, StoreError> {
        let mut write = self.begin().await?;
        let event = Event::CancelRequested { by: by.to_owned(), back: until.back() };
        let mut after = self.append_in(&mut write, deployment, &event, &Effect::None, now).await?;
        // What is being undone already ends as is asked.
        if after.cancelled_by().is_none() && after.failure().is_none() {
            return Ok(None);
        }
        if after.state() == DeploymentState::Waiting {
            let failure = Failure::new(FailureCode::Cancelled, format!("{by} cancelled it"));
            let event = Event::Ended { outcome: Outcome::Cancelled, failure: Some(failure) };
            after = self.append_in(&mut write, deployment, &event, &Effect::None, now).await?;
        }
        record_cancel(&mut write, deployment, by, now).await?;
        self.commit(write).await?;
        Ok(Some(after))
    }

    /// Ends the watch of what a rollback is to take back: it goes back now, and the rollback has its turn. Where the
    /// rollback itself has to wait for somebody, what is watched is not touched; nor is a rollback, which would bring back
    /// what somebody went away from.
    pub(super) async fn end_watch_for(
        &self,
        write: &mut Write,
        rollback: &Request,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let stage = &rollback.stage;
        let held = rollback.source.is_automatic() && self.hold(stage).await?.is_some();
        if rollback.kind != DeploymentKind::Rollback || held || self.lock(stage).await?.is_some() {
            return Ok(());
        }
        for (app, release) in &rollback.releases {
            if !self.has_served(stage, app, *release).await? {
                return Ok(());
            }
        }
        let replaces = |it: &StoredDeployment| {
            let mut apps = it.releases.iter();
            apps.any(|(app, release)| rollback.releases.get(app).is_some_and(|to| to != release))
        };
        for running in self.open_deployments().await? {
            if running.stage != *stage || running.state != DeploymentState::Running || !replaces(&running) {
                continue;
            }
            if running.kind == DeploymentKind::Rollback {
                continue;
            }
            let standing = self.standing(&running.id).await?;
            if standing.has_begun_switch() && standing.cancelled_by().is_none() && standing.may_be_cancelled(true) {
                let by = rollback.requested_by.as_str();
                let event = Event::CancelRequested { by: by.to_owned(), back: true };
                self.append_in(write, &running, &event, &Effect::None, now).await?;
                record_cancel(write, &running, by, now).await?;
            }
        }
        Ok(())
    }
}

async fn record_cancel(
    write: &mut Write,
    deployment: &StoredDeployment,
    by: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (detail, stage) = (deployment.id.as_str(), Some(&deployment.stage));
    record(write, &Deed { actor: by, action: Action::CancelDeployment, stage, detail, at: now }).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_of_before_there_was_a_way_back_reads_as_it_was_meant() {
        let read: Event = serde_json::from_str(r#"{"event":"cancel_requested","by":"ada"}"#).unwrap();
        assert_eq!(read, Event::CancelRequested { by: "ada".to_owned(), back: false });
    }
}
