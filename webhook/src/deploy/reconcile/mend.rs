//! Does what a host lacks. Each thing by itself: one that cannot be mended keeps no other from it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures_util::future::{join_all, try_join_all};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::{ServiceKey, ServiceSpec, Switch};
use windlass_core::names::HostName;
use windlass_core::plan::TaskHealthCheck;
use windlass_core::secrets::{Masker, Secrets};
use windlass_core::task::TaskSpec;
use windlass_engine::{EngineError, Host};

use super::Upkeep;
use super::pauses::Pauses;
use super::shortfall::{LOOK, Misrouted, Mistake, Unheard, look, try_of_maintenance, try_of_route, try_of_task};
use super::should_run::ShouldRun;
use crate::at_work::Piece;
use crate::deploy::pages;
use crate::service::Service;

/// How a task was found.
#[derive(Debug, Clone, Copy)]
enum HowFound {
    Missing,
    Ended,
    Loose,
}

impl Upkeep<'_> {
    /// Nobody is sent to where no task is any more; then the tasks, then the rest of what the gateway should know.
    pub(super) async fn mend(&self, name: &HostName, should_run: &ShouldRun) {
        let Some(host) = self.service.hosts.get(name) else { return };
        let seen = look(name, host, should_run, LOOK).await;
        // Before the gateway sends anybody anywhere.
        let told = seen.unheard.iter().map(|unheard| self.keep_from_clients(name, host, unheard));
        let untold: BTreeSet<ServiceKey> = join_all(told).await.into_iter().flatten().collect();
        let dead = seen.routes.iter().filter(|route| route.how == Mistake::NobodyIsThere);
        join_all(dead.map(|route| self.route(host, should_run, route))).await;
        let missing = seen.missing.iter().map(|task| (task, HowFound::Missing));
        let ended = seen.ended.iter().map(|task| (task, HowFound::Ended));
        let loose = seen.loose.iter().map(|task| (task, HowFound::Loose));
        join_all(missing.chain(ended).chain(loose).map(|(task, found)| self.see_to(host, task, found))).await;
        let seen = look(name, host, should_run, LOOK).await;
        let may_be_sent = seen.routes.iter().filter(|route| !untold.contains(&route.service.key));
        join_all(may_be_sent.map(|route| self.route(host, should_run, route))).await;
    }

    /// The service, if its gateway does not know yet that nobody may be sent there.
    async fn keep_from_clients(&self, name: &HostName, host: &Host, unheard: &Unheard<'_>) -> Option<ServiceKey> {
        let (what, now, said) = (try_of_maintenance(unheard), Instant::now(), unheard.said);
        let untold = || said.maintenance.is_some().then(|| said.key.clone());
        let Some(gateway) = host.gateway.as_ref().filter(|_| self.pauses.left(&what, now).is_zero()) else {
            return untold();
        };
        self.pauses.tried(&what, now);
        match gateway.maintain(said).await {
            Ok(()) => {
                // It may lose its memory again.
                self.pauses.forget(&what);
                tracing::info!(stage.name = %self.stage, host = %name, service.key = %said.key, "its gateway was told of maintenance");
                None
            }
            Err(error) => {
                let error = error.to_string();
                tracing::warn!(stage.name = %self.stage, host = %name, service.key = %said.key, error, "its gateway does not know of maintenance");
                untold()
            }
        }
    }

    async fn see_to(&self, host: &Host, task: &TaskSpec, found: HowFound) {
        let what = try_of_task(task);
        let now = Instant::now();
        if !self.pauses.left(&what, now).is_zero() {
            return;
        }
        self.pauses.tried(&what, now);
        let engine = &host.engine;
        let failed = |error: EngineError| error.into_failure(FailureCode::BootFailed);
        let (done, said) = match found {
            HowFound::Missing => (self.make(host, task).await, "it was gone; made again"),
            HowFound::Ended => (engine.revive(&task.name).await.map_err(failed), "it had ended; started again"),
            HowFound::Loose => (engine.keep(&task.name).await.map_err(failed), "from now on Docker starts it again"),
        };
        match done {
            Ok(()) => tracing::info!(stage.name = %self.stage, task.name = task.name, "{said}"),
            Err(failure) => {
                let error = failure.summary;
                tracing::warn!(stage.name = %self.stage, task.name = task.name, error, "it does not run as it should");
            }
        }
    }

    async fn make(&self, host: &Host, task: &TaskSpec) -> Result<(), Failure> {
        let image = host.engine.inspect_image(&task.image.reference()).await;
        if image.map_err(|error| error.into_failure(FailureCode::BootFailed))?.is_none() {
            self.service.tracker.spawn(fetch(
                Arc::clone(self.service),
                Arc::clone(self.pauses),
                host.clone(),
                task.clone(),
            ));
            return Err(Failure::new(FailureCode::ImageMissing, "its image is gone too, and is fetched first"));
        }
        let secrets: Secrets = self.service.settings.secrets_for(self.stage, &task.secrets).into_iter().collect();
        host.engine.boot_again(task, &secrets).await?;
        host.engine.keep(&task.name).await.map_err(|error| error.into_failure(FailureCode::BootFailed))
    }

    async fn route(&self, host: &Host, should_run: &ShouldRun, route: &Misrouted<'_>) {
        let what = try_of_route(route);
        let now = Instant::now();
        if !self.pauses.left(&what, now).is_zero() {
            return;
        }
        self.pauses.tried(&what, now);
        let (stage, name, key) = (self.stage, &route.service.host, &route.service.key);
        match self.switch(host, should_run, route).await {
            Ok(()) => {
                if route.how == Mistake::NobodyIsThere {
                    // The next one that ends must not wait.
                    self.pauses.forget(&what);
                }
                tracing::info!(stage.name = %stage, host = %name, service.key = %key, "its gateway was told again");
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::warn!(stage.name = %stage, host = %name, service.key = %key, error, "its gateway is not right");
            }
        }
    }

    async fn switch(&self, host: &Host, should_run: &ShouldRun, route: &Misrouted<'_>) -> anyhow::Result<()> {
        let Misrouted { service, targets, how } = route;
        let Some(gateway) = &host.gateway else { return Ok(()) };
        if *how == Mistake::SomebodyServes {
            let serving = should_run.tasks.iter().filter(|task| targets.iter().any(|target| target.name == task.name));
            try_join_all(serving.map(|task| self.healthy(host, task))).await?;
        }
        let pages = pages::of_service(self.service, self.stage, service.key.app(), service.release).await?;
        let spec = service.spec(self.service.store.next_generation(self.stage).await?, targets.clone());
        let request = Switch {
            service: ServiceSpec { pages, ..spec },
            deadline: service.deadline,
            unchecked: *how != Mistake::SomebodyServes,
        };
        gateway.switch(&request).await?;
        Ok(())
    }

    async fn healthy(&self, host: &Host, task: &TaskSpec) -> Result<(), Failure> {
        let Some(health) = task.health.clone() else { return Ok(()) };
        let secrets: Secrets = self.service.settings.secrets_for(self.stage, &task.secrets).into_iter().collect();
        host.engine.await_healthy(&TaskHealthCheck { task: task.place(), health }, &secrets.masker()).await
    }
}

/// Takes as long as it takes, while everything else is mended. Then its task is made.
async fn fetch(service: Arc<Service>, pauses: Arc<Pauses>, host: Host, task: TaskSpec) {
    let Some(_claim) = service.at_work.claim(Piece::Image(task.host.clone(), task.image.reference())) else { return };
    let registries = service.settings.registries();
    let registry = task.image.name.as_ref().and_then(|name| registries.get(name.registry()));
    let fetched = tokio::select! {
        fetched = host.engine.prepare(&task.image, registry) => fetched,
        () = service.shutdown.cancelled() => return,
    };
    match fetched {
        Ok(_) => {
            pauses.forget(&try_of_task(&task));
            service.wake.reconcile.notify_one();
        }
        Err(failure) => {
            let masker = Masker::new(registries.values().map(|registry| &registry.password));
            let error = masker.mask(&failure.summary).into_owned();
            tracing::warn!(task.name = task.name, error, "its image cannot be had");
        }
    }
}
