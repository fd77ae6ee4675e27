//! Healthy twice: for the container's engine, and for a request through its host's gateway.

use futures_util::future::{select_all, try_join, try_join_all};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{Prepare, ServiceSpec, Target};
use windlass_core::plan::{HostService, TaskHealthCheck};

use crate::engine::Engine;
use crate::error::{EngineError, GatewayError};
use crate::execute::unhealthy::unhealthy;
use crate::execute::{Hosts, StepContext};

impl Hosts {
    pub(super) async fn verify(
        &self,
        tasks: &[TaskHealthCheck],
        services: &[HostService],
        context: &StepContext,
    ) -> Result<Option<String>, Failure> {
        let engines = tasks
            .iter()
            .map(|check| async move { self.engine(&check.task.host)?.await_healthy(check, context.masker()).await });
        let gateways = services.iter().map(|service| self.prepare_service(service, context));
        let healthy = try_join(try_join_all(engines), try_join_all(gateways));
        if tasks.is_empty() {
            return healthy.await.map(|_| None);
        }
        // A task whose engine is content may still end while its gateway asks.
        let ends = tasks.iter().map(|check| Box::pin(self.end_of(check, context)));
        tokio::select! {
            biased;
            healthy = healthy => healthy.map(|_| None),
            (failure, _, _) = select_all(ends) => Err(failure),
        }
    }

    async fn end_of(&self, check: &TaskHealthCheck, context: &StepContext) -> Failure {
        match self.engine(&check.task.host) {
            Ok(engine) => engine.unwanted_end(&check.task.name, context.masker()).await,
            Err(failure) => failure,
        }
    }

    async fn prepare_service(&self, service: &HostService, context: &StepContext) -> Result<(), Failure> {
        let engine = self.engine(&service.host)?;
        let request = Prepare { service: resolve(engine, service, context).await?, deadline: service.deadline };
        match self.gateway(&service.host)?.prepare(&request).await {
            Ok(_) => Ok(()),
            Err(GatewayError::Refused(problem)) if problem.code == "unhealthy" => {
                Err(unhealthy(engine, &request, &problem, context).await)
            }
            Err(error) => Err(error.into_failure(&service.host, FailureCode::SwitchFailed)),
        }
    }
}

/// The service with the addresses that its targets have now.
pub(super) async fn resolve(
    engine: &Engine,
    service: &HostService,
    context: &StepContext,
) -> Result<ServiceSpec, Failure> {
    let targets = service.targets.iter().map(|name| async move {
        let task = engine.look(name).await.map_err(|error| error.into_failure(FailureCode::TaskExited))?;
        match (task.address, task.exit) {
            (Some(address), _) => Ok(Target { name: name.clone(), address: (address, service.port).into() }),
            (None, Some(exit)) => Err(engine.exited(name, exit, context.masker()).await),
            (None, None) => Err(no_address(engine, name).into_failure(FailureCode::BootFailed)),
        }
    });
    Ok(context.spec(service, try_join_all(targets).await?))
}

pub(super) fn no_address(engine: &Engine, name: &str) -> EngineError {
    EngineError::Refused {
        host: engine.host().clone(),
        action: format!("find {name} on its network"),
        status: None,
        reason: "it has no address there".to_owned(),
    }
}
