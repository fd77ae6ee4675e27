//! The end of a deployment, asked for by somebody.

use jiff::Timestamp;
use windlass_core::deployment::{Deployment, DeploymentState, Event, Failure, FailureCode, Outcome};

use super::audit::{Deed, record};
use super::deployments::StoredDeployment;
use super::journal::Effect;
use super::{Store, StoreError};

impl Store {
    /// Asks for the end of a deployment. One that has not begun ends at once, also while another one runs.
    pub(crate) async fn cancel(
        &self,
        deployment: &StoredDeployment,
        by: &str,
        now: Timestamp,
    ) -> Result<Deployment, StoreError> {
        let mut write = self.begin().await?;
        let event = Event::CancelRequested { by: by.to_owned() };
        let mut after = self.append_in(&mut write, deployment, &event, &Effect::None, now).await?;
        if after.state() == DeploymentState::Waiting {
            let failure = Failure::new(FailureCode::Cancelled, format!("{by} cancelled it"));
            let event = Event::Ended { outcome: Outcome::Cancelled, failure: Some(failure) };
            after = self.append_in(&mut write, deployment, &event, &Effect::None, now).await?;
        }
        let id = deployment.id.as_str();
        let stage = Some(&deployment.stage);
        record(&mut write, &Deed { actor: by, action: "deployment.cancel", stage, detail: id, at: now }).await?;
        self.commit(write).await?;
        Ok(after)
    }
}
