//! The way back. The old targets get the traffic first; only then does anything new go away.

use std::collections::BTreeMap;

use windlass_core::config::Stop;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{AwaitDrained, Discard, Switch, Target};
use windlass_core::plan::{Exchanged, HostService, HostTask, Plan, Step};

use crate::error::{EngineError, GatewayError};
use crate::execute::switch::not_switched;
use crate::execute::verify::{no_address, spec};
use crate::execute::{Hosts, Progress, StepContext, all};

/// Whether the gateway asks old targets for their health before it sends to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// They have just been started.
    First,
    /// They have never stopped.
    Never,
}

impl Hosts {
    /// Puts back what was there before the plan, which had come to the step `reached`. `switched` says whether the switch
    /// had begun: then gateways may already send to the new targets. Can be done again after a crash at any point.
    ///
    /// # Errors
    ///
    /// When a gateway cannot be told, before anything is removed that it may still send to; or when a container
    /// cannot be removed.
    pub async fn revert(
        &self,
        plan: &Plan,
        reached: usize,
        switched: bool,
        context: &StepContext,
    ) -> Result<(), Failure> {
        let exchanged = plan.exchanged(reached);
        let beside = |service: &&HostService| !exchanged.holds(service);
        if switched {
            all(plan.revert.switch.iter().filter(beside).map(|service| self.switch_back(service, Asked::Never)))
                .await?;
            self.unroute(&plan.revert.unroute).await?;
            all(switched_to(plan).filter(beside).map(|service| self.drain(service))).await?;
        } else {
            all(prepared(plan).filter(beside).map(|service| self.discard(service))).await?;
        }
        self.change_back(plan, &exchanged, context).await?;
        let gone = plan.revert.remove.iter().chain(&context.one_offs);
        self.stop_and_remove_all(plan, gone).await
    }

    /// What gave way to a new task takes its place again; as on the way there, never two at once.
    async fn change_back(&self, plan: &Plan, exchanged: &Exchanged, context: &StepContext) -> Result<(), Failure> {
        all(exchanged.hold.iter().map(|service| self.hold(service))).await?;
        all(switched_to(plan).filter(|service| exchanged.holds(service)).map(|service| self.drain(service))).await?;
        self.stop_and_remove_all(plan, exchanged.remove.iter()).await?;
        all(exchanged.restart.iter().map(|task| self.start_again(task, context))).await?;
        let held = plan.revert.switch.iter().filter(|service| exchanged.holds(service));
        all(held.map(|service| self.switch_back(service, Asked::First))).await.map(drop)
    }

    async fn start_again(&self, task: &HostTask, context: &StepContext) -> Result<(), Failure> {
        let engine = self.engine(&task.host)?;
        let started = match engine.look(&task.name).await {
            Ok(found) if !found.status.is_alive() => engine.start(&task.name).await,
            found => found.map(drop),
        };
        match started {
            Ok(()) => engine.keep(&task.name).await.map_err(|error| error.into_failure(FailureCode::BootFailed)),
            Err(EngineError::NoContainer { .. }) => {
                context.tell(Progress::Note(format!("{} is gone from {} and cannot come back", task.name, task.host)));
                Ok(())
            }
            Err(error) => Err(error.into_failure(FailureCode::BootFailed)),
        }
    }

    async fn stop_and_remove_all<'a>(
        &self,
        plan: &Plan,
        tasks: impl Iterator<Item = &'a HostTask>,
    ) -> Result<(), Failure> {
        let stops = stops(plan);
        let fallback = Stop::default();
        all(tasks.map(|task| self.stop_and_remove(task, stops.get(task).copied().unwrap_or(&fallback)))).await.map(drop)
    }

    /// Without asking for health where the targets never stopped: what served a moment ago serves again at once.
    async fn switch_back(&self, service: &HostService, asked: Asked) -> Result<(), Failure> {
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
        let mut request = Switch { service: spec(service, targets), deadline: service.deadline, unchecked: true };
        let gateway = self.gateway(&service.host)?;
        if asked == Asked::First {
            request.unchecked = false;
            match gateway.switch(&request).await {
                // Nobody else is there to serve, so it may try.
                Err(GatewayError::Refused(problem)) if problem.code == "unhealthy" => request.unchecked = true,
                Err(GatewayError::Refused(problem)) if problem.code == "generation_conflict" => return Ok(()),
                switched => return switched.map(drop).map_err(|error| not_switched(service, error)),
            }
        }
        match gateway.switch(&request).await {
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
        Step::Boot { tasks, .. } => tasks.iter().collect(),
        Step::Migrate { task, .. } => vec![task.as_ref()],
        _ => Vec::new(),
    });
    tasks.map(|task| (HostTask { host: task.host.clone(), name: task.name.clone() }, &task.stop)).collect()
}
