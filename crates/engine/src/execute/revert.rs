//! The way back. The old targets get the traffic first; only then does anything new go away.

use std::collections::BTreeMap;

use windlass_core::config::Stop;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{AwaitDrained, Discard, Switch, Target};
use windlass_core::plan::{HostService, HostTask, Plan, Step};

use crate::error::{EngineError, GatewayError};
use crate::execute::switch::not_switched;
use crate::execute::verify::{no_address, spec};
use crate::execute::{Hosts, StepContext, all};

impl Hosts {
    /// Puts back what was there before the plan. `switched` says whether the switch had begun: then gateways may
    /// already send to the new targets. Can be done again after a crash at any point.
    ///
    /// # Errors
    ///
    /// When a gateway cannot be told, before anything is removed that it may still send to; or when a container
    /// cannot be removed.
    pub async fn revert(&self, plan: &Plan, switched: bool, context: &StepContext) -> Result<(), Failure> {
        if switched {
            all(plan.revert.switch.iter().map(|service| self.switch_back(service))).await?;
            self.unroute(&plan.revert.unroute).await?;
            all(switched_to(plan).map(|service| self.drain(service))).await?;
        } else {
            all(prepared(plan).map(|service| self.discard(service))).await?;
        }
        let stops = stops(plan);
        let fallback = Stop::default();
        let gone = plan
            .revert
            .remove
            .iter()
            .chain(&context.one_offs)
            .map(|task| self.stop_and_remove(task, stops.get(task).copied().unwrap_or(&fallback)));
        all(gone).await.map(drop)
    }

    /// Without asking for health: what served a moment ago serves again at once.
    async fn switch_back(&self, service: &HostService) -> Result<(), Failure> {
        let mut targets = Vec::new();
        let mut blocked = None;
        for name in &service.targets {
            match self.old_target(service, name).await {
                Ok(target) => targets.extend(target),
                // One that does not start again must not keep the others from serving.
                Err(failure) if failure.code == FailureCode::BootFailed => {
                    tracing::warn!(host = %service.host, target = name, %failure, "cannot go back to it");
                    blocked.get_or_insert(failure);
                }
                Err(failure) => return Err(failure),
            }
        }
        if let Some(failure) = blocked.filter(|_| targets.is_empty()) {
            return Err(failure);
        }
        let request = Switch { service: spec(service, targets), deadline: service.deadline, unchecked: true };
        match self.gateway(&service.host)?.switch(&request).await {
            Ok(_) => Ok(()),
            // Only this way back ever writes its generation: an earlier try has been here, with the targets of then.
            Err(GatewayError::Refused(problem)) if problem.code == "generation_conflict" => Ok(()),
            Err(error) => Err(not_switched(service, error)),
        }
    }

    /// Starts an old target that has ended meanwhile; one that is gone cannot serve.
    async fn old_target(&self, service: &HostService, name: &str) -> Result<Option<Target>, Failure> {
        let engine = self.engine(&service.host)?;
        let found = match engine.look(name).await {
            Ok(task) if !task.status.is_alive() => {
                engine.start(name).await.map_err(|error| error.into_failure(FailureCode::BootFailed))?;
                engine.look(name).await
            }
            found => found,
        };
        match found {
            Ok(task) => match task.address {
                Some(address) => Ok(Some(Target { name: name.to_owned(), address: (address, service.port).into() })),
                None => Err(no_address(engine, name).into_failure(FailureCode::BootFailed)),
            },
            Err(EngineError::NoContainer { .. }) => {
                tracing::warn!(host = %service.host, target = name, "cannot go back to it: it is gone");
                Ok(None)
            }
            Err(error) => Err(error.into_failure(FailureCode::BootFailed)),
        }
    }

    async fn drain(&self, service: &HostService) -> Result<(), Failure> {
        let request = AwaitDrained { key: service.key.clone(), targets: service.targets.clone() };
        let drained = self.gateway(&service.host)?.drained(&request).await;
        drained.map(drop).map_err(|error| error.into_failure(&service.host, FailureCode::SwitchFailed))
    }

    async fn discard(&self, service: &HostService) -> Result<(), Failure> {
        let request = Discard { key: service.key.clone(), generation: service.generation };
        match self.gateway(&service.host)?.discard(&request).await {
            Ok(()) => Ok(()),
            // What was prepared is known to a running gateway only, and none of it has traffic.
            Err(error @ (GatewayError::Unreachable { .. } | GatewayError::Silent { .. })) => {
                tracing::warn!(host = %service.host, %error, "nothing to discard");
                Ok(())
            }
            Err(error) => Err(error.into_failure(&service.host, FailureCode::SwitchFailed)),
        }
    }
}

fn switched_to(plan: &Plan) -> impl Iterator<Item = &HostService> {
    plan.steps.iter().flat_map(|step| match step {
        Step::Switch { services } => services.as_slice(),
        _ => &[],
    })
}

fn prepared(plan: &Plan) -> impl Iterator<Item = &HostService> {
    plan.steps.iter().flat_map(|step| match step {
        Step::Verify { services, .. } => services.as_slice(),
        _ => &[],
    })
}

/// How the plan's containers are asked to end.
fn stops(plan: &Plan) -> BTreeMap<HostTask, &Stop> {
    let tasks = plan.steps.iter().flat_map(|step| match step {
        Step::Boot { tasks } => tasks.iter().collect(),
        Step::Migrate { task, .. } => vec![task.as_ref()],
        _ => Vec::new(),
    });
    tasks.map(|task| (HostTask { host: task.host.clone(), name: task.name.clone() }, &task.stop)).collect()
}
