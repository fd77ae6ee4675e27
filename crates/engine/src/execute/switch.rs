//! Every gateway sends to the new containers: all hosts or none.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::Switch;
use windlass_core::plan::HostService;

use crate::error::GatewayError;
use crate::execute::verify::resolve;
use crate::execute::{Hosts, StepContext, all};

impl Hosts {
    pub(super) async fn switch(
        &self,
        services: &[HostService],
        context: &StepContext,
    ) -> Result<Option<String>, Failure> {
        let switch = services.iter().map(|service| async move {
            let spec = resolve(self.engine(&service.host)?, service, context).await?;
            let request = Switch { service: spec, deadline: service.deadline, unchecked: false };
            let switched = self.gateway(&service.host)?.switch(&request).await;
            switched.map_err(|error| not_switched(service, error))?;
            context.note(format!("{} sends to release {}", service.host, service.release));
            Ok(())
        });
        all(switch).await.map(|_| None)
    }
}

impl Hosts {
    /// Nobody to send to: the old targets finish what they have, and what comes waits for the switch. A gateway that has
    /// heard a later word by now is past that.
    pub(super) async fn hold(&self, service: &HostService, context: &StepContext) -> Result<(), Failure> {
        let spec = context.spec(service, Vec::new());
        let request = Switch { service: spec, deadline: service.deadline, unchecked: true };
        match self.gateway(&service.host)?.switch(&request).await {
            Ok(_) => Ok(()),
            Err(GatewayError::Refused(problem)) if problem.code == "older_generation" => Ok(()),
            Err(error) => Err(not_switched(service, error)),
        }
    }
}

pub(super) fn not_switched(service: &HostService, error: GatewayError) -> Failure {
    let host = &service.host;
    let release = service.release;
    match error {
        GatewayError::Refused(problem) => {
            let mut summary = format!("the gateway of {host} did not switch to release {release}: {problem}");
            if !problem.errors.is_empty() {
                summary = format!("{summary}: {}", problem.errors.join("; "));
            }
            let mut failure = Failure::new(FailureCode::SwitchFailed, summary);
            failure.hint = problem.hint;
            failure
        }
        error => error.into_failure(host, FailureCode::SwitchFailed),
    }
}
