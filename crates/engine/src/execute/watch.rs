//! The new release serves, and is watched: a task that dies or sickens now brings the old one back.

use std::time::Duration as StdDuration;

use futures_util::future::try_join_all;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{AwaitAiling, TargetStatus};
use windlass_core::plan::HostService;
use windlass_core::quantity::Duration;
use windlass_core::task::HostTask;

use crate::engine::Engine;
use crate::execute::{Hosts, StepContext, all};
use crate::gateway::GatewayClient;

/// So often within the watch each target is asked for its health, should its own interval be longer.
const QUESTIONS: u32 = 4;
/// But not more often than this.
const SHORTEST_INTERVAL: StdDuration = StdDuration::from_secs(1);
/// Between two tries to reach a gateway that does not answer, or does not serve the targets yet.
const RETRY: StdDuration = StdDuration::from_millis(500);
/// So long an engine may take to tell of the end of a process that answers no more.
const END_IS_TOLD: StdDuration = StdDuration::from_secs(2);

impl Hosts {
    /// A container that passes is kept: from the end of the watch on Docker starts it again when it ends. Not before,
    /// since the watch must see a first end.
    pub(super) async fn watch(
        &self,
        tasks: &[HostTask],
        services: &[HostService],
        time: Duration,
        context: &StepContext,
    ) -> Result<Option<String>, Failure> {
        let ends = try_join_all(tasks.iter().map(|task| async move {
            let engine = self.engine(&task.host)?;
            Err::<(), _>(tokio::select! {
                biased;
                failure = engine.unwanted_end(&task.name, context.masker()) => failure,
                failure = engine.becomes_unhealthy(&task.name, context.masker()) => failure,
            })
        }));
        let every = Duration((time.0 / QUESTIONS).max(SHORTEST_INTERVAL));
        let ills =
            try_join_all(services.iter().filter(|service| !service.targets.is_empty()).map(|service| async move {
                let (engine, gateway) = (self.engine(&service.host)?, self.gateway(&service.host)?);
                Err::<(), _>(sickens(engine, gateway, service, every, context).await)
            }));
        let fails = async {
            tokio::select! {
                biased;
                Err(failure) = ends => Some(failure),
                Err(failure) = ills => Some(failure),
                // There is nothing to watch.
                else => None,
            }
        };
        if let Ok(Some(failure)) = tokio::time::timeout(time.0, fails).await {
            return Err(failure);
        }
        let keep = tasks.iter().map(|task| async move {
            let engine = self.engine(&task.host)?;
            engine.keep(&task.name).await.map_err(|error| error.into_failure(FailureCode::TaskExited))?;
            match engine.exit(&task.name).await {
                Ok(None) => Ok(()),
                Ok(Some(exit)) => Err(engine.exited(&task.name, exit, context.masker()).await),
                Err(error) => Err(error.into_failure(FailureCode::TaskExited)),
            }
        });
        all(keep).await.map(|_| None)
    }
}

/// Waits until the host's gateway holds one of the service's targets for unhealthy; never comes back if it never does.
async fn sickens(
    engine: &Engine,
    gateway: &GatewayClient,
    service: &HostService,
    every: Duration,
    context: &StepContext,
) -> Failure {
    let request = AwaitAiling { key: service.key.clone(), targets: service.targets.clone(), every };
    let target = loop {
        match gateway.ailing(&request).await {
            Ok(target) => break target,
            // A gateway that is away is no illness of the app's.
            Err(error) => tracing::debug!(host.name = %service.host, %error, "the gateway does not watch"),
        }
        tokio::time::sleep(RETRY).await;
    };
    let TargetStatus { name, last_probe, .. } = target;
    let answer = last_probe.unwrap_or_else(|| "no answer".to_owned());
    let status = answer.strip_prefix("HTTP ");
    // What does not answer at all may have died, and how it ended says more.
    if status.is_none()
        && let Ok(end) = tokio::time::timeout(END_IS_TOLD, engine.unwanted_end(&name, context.masker())).await
    {
        return end;
    }
    let asked = match &service.probe.path {
        Some(path) => format!("GET {path}"),
        None => format!("port {}", service.port),
    };
    let answered = status.map_or_else(|| format!(": {answer}"), |status| format!(" answered {status}"));
    let summary = format!("{name} on {} became unhealthy while it was watched: {asked}{answered}", service.host);
    // A redirect may lead anywhere.
    Failure::new(FailureCode::Unhealthy, context.masker().mask(&summary))
        .log(engine.last_lines(&name, context.masker()).await)
        .hint(format!("it was healthy before it had the traffic: find out why {asked} fails now"))
}
