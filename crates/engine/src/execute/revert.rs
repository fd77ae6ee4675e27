//! The way back. The old targets get the traffic first; only then does anything new go away.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::join_all;

use windlass_core::config::Stop;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{AwaitDrained, Discard, Switch, Target};
use windlass_core::names::HostName;
use windlass_core::plan::{Exchanged, HostService, Plan, RetiredTask, Revert, Step};
use windlass_core::task::HostTask;

use crate::error::{EngineError, GatewayError};
use crate::execute::switch::not_switched;
use crate::execute::verify::no_address;
use crate::execute::{Hosts, StepContext, all};

/// Whether the gateway asks old targets for their health before it sends to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HealthAsked {
    /// They have just been started.
    First,
    /// They have never stopped.
    Never,
}

/// What is to be taken back.
struct WayBack<'a> {
    plan: &'a Plan,
    exchanged: Exchanged,
    switched: bool,
    context: &'a StepContext,
}

impl Hosts {
    /// Puts back what was there before the plan, which had come to the step `reached`. `switched` says whether the switch
    /// had begun: then gateways may already send to the new targets. Can be done again after a crash at any point. A host
    /// that is away keeps no other from going back.
    ///
    /// # Errors
    ///
    /// The first host's that did not come all the way: its gateway cannot be told, and nothing is removed that it may
    /// still send to; or a container cannot be removed.
    pub async fn revert(
        &self,
        plan: &Plan,
        reached: usize,
        switched: bool,
        context: &StepContext,
    ) -> Result<(), Failure> {
        let way = WayBack { plan, exchanged: plan.exchanged(reached), switched, context };
        let hosts = way.hosts();
        let cleared = join_all(hosts.iter().map(|host| self.make_room(&way, host))).await;
        let first_failure = cleared.iter().find_map(|cleared| cleared.as_ref().err().cloned());
        let taken = hosts.iter().zip(cleared).map(|(host, cleared)| {
            // What starts here took its place from a task elsewhere, which must be gone for sure.
            let waits = first_failure.as_ref().filter(|_| way.moved_away_from(host));
            let cleared = waits.map_or(cleared, |failure| Err(failure.clone()));
            let way = &way;
            async move {
                cleared?;
                self.take_place(way, host).await
            }
        });
        all(taken).await.map(drop)
    }

    /// Nothing new on this host gets requests any more, and what took an old task's place is gone.
    async fn make_room(&self, way: &WayBack<'_>, host: &HostName) -> Result<(), Failure> {
        let WayBack { plan, exchanged, context, .. } = way;
        let beside = |service: &&HostService| service.host == *host && !exchanged.holds(service);
        if way.switched {
            let back = plan.revert.switch.iter().filter(beside);
            all(back.map(|service| self.switch_back(service, HealthAsked::Never, context))).await?;
            self.unroute(plan.revert.unroute.iter().filter(|service| service.host == *host)).await?;
            all(switched_to(plan).filter(beside).map(|service| self.drain(service))).await?;
        } else {
            all(prepared(plan).filter(beside).map(|service| self.discard(service))).await?;
        }
        let held = exchanged.hold.iter().filter(|service| service.host == *host);
        all(held.map(|service| self.hold(service, context))).await?;
        let drained = switched_to(plan).filter(|service| service.host == *host && exchanged.holds(service));
        all(drained.map(|service| self.drain(service))).await?;
        self.stop_and_remove_all(plan, exchanged.remove.iter().filter(|task| task.host == *host)).await
    }

    /// The old tasks that gave way run and serve again, and the last of the new is removed.
    async fn take_place(&self, way: &WayBack<'_>, host: &HostName) -> Result<(), Failure> {
        let WayBack { plan, exchanged, context, .. } = way;
        let restart = exchanged.restart.iter().filter(|old| old.task.host == *host);
        all(restart.map(|old| self.start_again(old, context))).await?;
        let held = plan.revert.switch.iter().filter(|service| service.host == *host && exchanged.holds(service));
        all(held.map(|service| self.switch_back(service, HealthAsked::First, context))).await?;
        let gone = plan.revert.remove.iter().chain(&context.one_offs).filter(|task| task.host == *host);
        self.stop_and_remove_all(plan, gone).await
    }

    /// One that was asked to stop and still runs may end any moment: it is waited for, and started then.
    async fn start_again(&self, old: &RetiredTask, context: &StepContext) -> Result<(), Failure> {
        let RetiredTask { task, signal, grace, .. } = old;
        let engine = self.engine(&task.host)?;
        let started = match engine.find_task(&task.name).await {
            Ok(Some(found)) if found.kept && found.task.status.is_alive() => Ok(()),
            Ok(Some(_)) => match engine.stop(&task.name, signal, grace.0).await {
                Ok(()) => engine.revive(&task.name).await,
                Err(error) => Err(error),
            },
            Ok(None) => {
                context.note(format!("{} is gone from {} and cannot come back", task.name, task.host));
                Ok(())
            }
            Err(error) => Err(error),
        };
        started.map_err(|error| error.into_failure(FailureCode::BootFailed))
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
    async fn switch_back(
        &self,
        service: &HostService,
        asked: HealthAsked,
        context: &StepContext,
    ) -> Result<(), Failure> {
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
        let mut request =
            Switch { service: context.spec(service, targets), deadline: service.deadline, unchecked: true };
        let gateway = self.gateway(&service.host)?;
        if asked == HealthAsked::First {
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

impl WayBack<'_> {
    /// Every host that has something to take back.
    fn hosts(&self) -> BTreeSet<HostName> {
        let Revert { switch, unroute, remove } = &self.plan.revert;
        let services = switch.iter().chain(&self.exchanged.hold).map(|service| &service.host);
        let routes = unroute.iter().map(|service| &service.host);
        let tasks =
            remove.iter().chain(&self.context.one_offs).chain(self.exchanged.restart.iter().map(|old| &old.task));
        services.chain(routes).chain(tasks.map(|task| &task.host)).cloned().collect()
    }

    fn moved_away_from(&self, host: &HostName) -> bool {
        self.exchanged.restart.iter().any(|old| old.task.host == *host)
            && !self.exchanged.remove.iter().any(|task| task.host == *host)
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
