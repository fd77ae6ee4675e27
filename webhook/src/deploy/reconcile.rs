//! Keeps running what should run: a container that somebody removed is made again, one that ended is started again, and
//! a gateway that has forgotten them, or sends to where they were, is told where they are. Docker starts again what
//! crashes; that is left to it. A stage on which a deployment works is the deployment's alone.

mod mend;
mod pauses;
mod shortfall;
mod should_run;

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::future::join_all;
use windlass_core::deployment::DeploymentState;
use windlass_core::labels::Kind;
use windlass_core::names::HostName;
use windlass_core::task::TaskHealth;
use windlass_engine::{Host, HostEvent, TaskChange};

use crate::at_work::{Claim, Piece};
use crate::deploy::{catch_up, maintenance};
use crate::intake::projects;
use crate::service::Service;
use crate::work::BackgroundTask;
use pauses::Pauses;
use shortfall::{LOOK, Shortfall, who_is_silent};
use should_run::ShouldRun;
use windlass_core::stage::Stage;

/// When a stage that is at work is looked at again, though nothing was heard of it.
const BUSY: Duration = Duration::from_secs(1);
/// How long a host that was silent may take to show what it runs: the others are waiting.
const AGAIN_SILENT: Duration = Duration::from_secs(1);

pub(crate) struct Reconcile {
    service: Arc<Service>,
    pauses: Arc<Pauses>,
}

impl Reconcile {
    /// Listens to all hosts from now on.
    pub(crate) fn new(service: Arc<Service>) -> Self {
        for (_, host) in service.hosts.iter() {
            service.tracker.spawn(listen(Arc::clone(&service), host.clone()));
        }
        Self { service, pauses: Arc::default() }
    }
}

impl BackgroundTask for Reconcile {
    const NAME: &'static str = "reconcile";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        catch_up::catch_up(&self.service).await?;
        for stage in self.service.settings.server.stages() {
            self.service.tracker.spawn(look_after(Arc::clone(&self.service), Arc::clone(&self.pauses), stage));
        }
        Ok(None)
    }
}

/// What happens on a host wakes the look at all stages.
async fn listen(service: Arc<Service>, host: Host) {
    let mut events = pin!(host.engine.events());
    loop {
        tokio::select! {
            event = events.next() => match event {
                Some(event) if is_reason_to_look(&event) => service.wake.reconcile.notify_one(),
                Some(_) => {}
                None => return,
            },
            () = service.shutdown.cancelled() => return,
        }
    }
}

fn is_reason_to_look(event: &HostEvent) -> bool {
    match event {
        HostEvent::Reconnected => true,
        HostEvent::Task(event) if event.labels.kind != Kind::Service => false,
        HostEvent::Task(event) => match event.change {
            TaskChange::Died(_) | TaskChange::Removed | TaskChange::Health(TaskHealth::Unhealthy) => true,
            TaskChange::Started | TaskChange::Health(TaskHealth::Healthy | TaskHealth::Unknown) => false,
        },
    }
}

/// Until everything is as it should be; what cannot be mended is tried again with growing pauses.
async fn look_after(service: Arc<Service>, pauses: Arc<Pauses>, stage: Stage) {
    let Some(mut claim) = service.at_work.claim(Piece::Upkeep(stage.clone())) else { return };
    let upkeep = Upkeep { service: &service, stage: &stage, pauses: &pauses };
    loop {
        let again = match Box::pin(upkeep.look_and_mend()).await {
            Ok(again) => again,
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(stage.name = %stage, error, "what should run cannot be looked after");
                // The next activation is the retry.
                return;
            }
        };
        let Some(pause) = again else {
            match claim.give_up() {
                Ok(()) => return,
                Err(again) => claim = again,
            }
            continue;
        };
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = claim.knocked() => {}
            () = service.shutdown.cancelled() => return,
        }
    }
}

/// A stage that is looked after.
struct Upkeep<'a> {
    service: &'a Arc<Service>,
    stage: &'a Stage,
    pauses: &'a Arc<Pauses>,
}

impl Upkeep<'_> {
    /// Returns when to look again, where something is not as it should be.
    async fn look_and_mend(&self) -> anyhow::Result<Option<Duration>> {
        let Some(by_host) = self.by_host().await? else { return Ok(None) };
        let shortfalls = self.look(&by_host).await;
        let now = Instant::now();
        let due: BTreeSet<HostName> = shortfalls
            .iter()
            .filter(|(_, shortfall)| shortfall.is_due(self.pauses, now))
            .map(|(name, _)| (*name).clone())
            .collect();
        if due.is_empty() {
            return Ok(shortfalls.values().filter_map(|shortfall| shortfall.pause(self.pauses, now)).min());
        }
        let Some(claim) = self.service.at_work.claim(Piece::Stage(self.stage.clone())) else { return Ok(Some(BUSY)) };
        let mended = self.mend_all(&claim, &due).await;
        if claim.give_up().is_err() {
            self.service.wake.stages.notify_one();
        }
        mended
    }

    /// Looks again, since a deployment may have begun or ended before the stage was claimed.
    async fn mend_all(&self, claim: &Claim<'_>, due: &BTreeSet<HostName>) -> anyhow::Result<Option<Duration>> {
        let Some(by_host) = self.by_host().await? else { return Ok(None) };
        // A host that is silent, or well, is not waited for.
        let due = by_host.iter().filter(|(name, _)| due.contains(*name));
        tokio::select! {
            _ = join_all(due.map(|(name, should_run)| self.mend(name, should_run))) => Ok(Some(Duration::ZERO)),
            // It has its turn before the rest is mended.
            () = self.deployment_waits(claim) => Ok(Some(BUSY)),
            () = self.service.shutdown.cancelled() => Ok(None),
        }
    }

    /// What each host should run of the stage. `None`: a deployment works on it, and will leave it as it should be.
    async fn by_host(&self) -> anyhow::Result<Option<BTreeMap<HostName, ShouldRun>>> {
        let (store, key) = (&self.service.store, self.stage);
        let open = store.open_deployments().await?;
        if open.iter().any(|it| it.stage == *key && it.state == DeploymentState::Running) {
            return Ok(None);
        }
        let Some(project) = projects::repository_ids(self.service).await?.get(&key.project).copied() else {
            return Ok(None);
        };
        let mut plans = Vec::new();
        for active in store.active_releases(key).await? {
            // What the hosts know and the store does not is newer: nobody goes back to this by himself.
            let behind = store.counter(&format!("behind/{key}/{}", active.app)).await?;
            if let Some(plan) = store.plan(&active.deployment).await?.filter(|plan| plan.generation.0 > behind) {
                plans.push((active.app, plan));
            }
        }
        let stored = store.maintenance(key).await?;
        let said: Vec<_> = stored.into_iter().map(|stored| maintenance::said(key, project, stored)).collect();
        let mut by_host = should_run::of_hosts(&plans, project);
        by_host.values_mut().for_each(|should_run| should_run.keep_from_clients(&said));
        Ok(Some(by_host))
    }

    async fn look<'a>(&self, by_host: &'a BTreeMap<HostName, ShouldRun>) -> BTreeMap<&'a HostName, Shortfall<'a>> {
        let looks = by_host.iter().map(|(name, should_run)| async move {
            let host = self.service.hosts.get(name)?;
            let patience = if self.pauses.has(&who_is_silent(name)) { AGAIN_SILENT } else { LOOK };
            Some((name, shortfall::look(name, host, should_run, patience).await))
        });
        // A host that the server's file does not have any more has nothing to run.
        let looks: BTreeMap<_, _> = join_all(looks).await.into_iter().flatten().collect();
        for (name, shortfall) in &looks {
            if !shortfall.silent().any(|(who, _)| who == who_is_silent(name)) {
                self.pauses.forget(&who_is_silent(name));
            }
            self.report_silence(name, shortfall);
        }
        looks
    }

    /// Once, and then only for those who look closely.
    fn report_silence(&self, host: &HostName, shortfall: &Shortfall<'_>) {
        for (what, why) in shortfall.silent() {
            match self.pauses.tried(&what, Instant::now()) {
                1 => tracing::warn!(stage.name = %self.stage, %host, why, "cannot see what runs"),
                _ => tracing::debug!(stage.name = %self.stage, %host, why, "still cannot see what runs"),
            }
        }
    }

    /// Comes back when a deployment wants the stage: it may well be what mends it.
    async fn deployment_waits(&self, claim: &Claim<'_>) {
        loop {
            claim.knocked().await;
            match self.service.store.open_deployments().await {
                Ok(open) if open.iter().any(|it| it.stage == *self.stage) => return,
                Ok(_) => {}
                Err(_) => return,
            }
        }
    }
}
