//! Brings every stage to what it should be: what its branch wants becomes a deployment, a deployment whose gate is open
//! runs, one that a crash interrupted goes on, and what a success left behind is retired.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use windlass_core::deployment::{DeploymentState, Event, Failure, FailureCode, Outcome, Wait};
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;
use windlass_core::stage::Stage;

use crate::at_work::Piece;
use crate::back_off::BackOff;
use crate::deploy::runner::{self, Retired};
use crate::gate::{Decision, Gate};
use crate::release_config::stored_config;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::{Request, StoredDeployment};
use crate::store::jobs::Requested;
use crate::store::journal::Effect;
use crate::store::stages::WantedCommit;
use crate::work::BackgroundTask;

/// Before old tasks that could not be retired are tried again.
const RETIRE_AGAIN: BackOff = BackOff { first: Duration::from_secs(10), longest: Duration::from_secs(600) };

pub(crate) struct Stages {
    service: Arc<Service>,
    gate: Arc<Gate>,
}

impl Stages {
    pub(crate) fn new(service: Arc<Service>, gate: Arc<Gate>) -> Self {
        Self { service, gate }
    }
}

impl BackgroundTask for Stages {
    const NAME: &'static str = "stages";
    const PERIOD: Duration = Duration::from_secs(10);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let mut stages: BTreeSet<Stage> = self.service.settings.server.stages().into_iter().collect();
        // A stage that was taken out of the server's file may have left deployments that need their last word.
        stages.extend(self.service.store.stages_with_open_deployments().await?);
        tell_the_queues(&self.service, &self.gate).await?;
        for stage in stages {
            self.service.tracker.spawn(look_after(Arc::clone(&self.service), Arc::clone(&self.gate), stage));
        }
        for deployment in self.service.store.unretired_deployments().await? {
            self.service.tracker.spawn(retire(Arc::clone(&self.service), deployment));
        }
        Ok(None)
    }
}

/// Says to whoever waits on a stage whose turn it is. The stage itself is at work with that one and does not look up.
async fn tell_the_queues(service: &Service, gate: &Gate) -> anyhow::Result<()> {
    let open = service.store.open_deployments().await?;
    for running in open.iter().filter(|deployment| deployment.state == DeploymentState::Running) {
        let title = report::title(running.kind, &running.releases);
        let why = format!("{title} ({}, {}) runs", running.id, running.requested_by);
        let waits = |it: &&StoredDeployment| it.stage == running.stage && it.state == DeploymentState::Waiting;
        for waiting in open.iter().filter(waits) {
            gate.forget_look(waiting);
            let event = Event::Waiting { on: Wait::Queue, why: why.clone(), items: Vec::new() };
            match service.store.append_if_new(waiting, &event, service.clock.now()).await {
                // Its turn has come, or its end.
                Ok(()) | Err(StoreError::IllegalTransition(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

async fn look_after(service: Arc<Service>, gate: Arc<Gate>, stage: Stage) {
    let Some(mut claim) = service.at_work.claim(Piece::Stage(stage.clone())) else { return };
    loop {
        if let Err(error) = work(&service, &gate, &stage).await {
            tracing::error!(stage.name = %stage, error = format!("{error:#}"), "stage cannot be brought on");
            // The next activation is the retry.
            return;
        }
        match claim.give_up() {
            Ok(()) => return,
            Err(again) => claim = again,
        }
    }
}

/// Until it is done: pauses grow, and the same failure is not written down twice.
async fn retire(service: Arc<Service>, deployment: StoredDeployment) {
    let Some(_claim) = service.at_work.claim(Piece::Retiring(deployment.id.clone())) else { return };
    for tries in 1.. {
        let retired = tokio::select! {
            retired = runner::retire(&service, &deployment) => retired,
            () = service.shutdown.cancelled() => return,
        };
        match retired {
            Ok(Retired::Done) => {
                service.wake.retention.notify_one();
                return;
            }
            Ok(Retired::NotYet) => {}
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!(deployment.id = %deployment.id, error, "old tasks cannot be retired");
                // That was the store, not the host: the next activation is the retry.
                return;
            }
        }
        tokio::select! {
            () = tokio::time::sleep(RETIRE_AGAIN.pause(tries)) => {}
            () = service.shutdown.cancelled() => return,
        }
    }
}

/// Works on a stage until nothing can be done on it now.
async fn work(service: &Arc<Service>, gate: &Gate, stage: &Stage) -> anyhow::Result<()> {
    while !service.shutdown.is_cancelled() {
        request_what_is_wanted(service, gate, stage).await?;
        let mut open = service.store.open_deployments_of(stage).await?;
        open.reverse();
        let next = match open.iter().find(|deployment| deployment.state == DeploymentState::Running) {
            Some(running) => Some(running),
            None => first_that_may_run(service, gate, &open).await?,
        };
        let Some(deployment) = next else { return Ok(()) };
        let ran = runner::run(service, gate, deployment).await;
        // From here on what runs is looked after again, also where the deployment has to be taken up once more.
        service.wake.reconcile.notify_one();
        ran?;
    }
    Ok(())
}

/// The stage's branch wants a commit, a release of it exists, and it was never tried: then it becomes a deployment.
async fn request_what_is_wanted(service: &Service, gate: &Gate, stage: &Stage) -> anyhow::Result<()> {
    let Some(wanted) = service.store.wanted_commit(stage).await? else { return Ok(()) };
    let releases = releases_of(service, stage, &wanted).await?;
    if releases.is_empty() || gate.serves(stage, &wanted.commit, releases.keys()).await? {
        return Ok(());
    }
    if let Some(tried) = service.store.automatic_deployment(stage, &wanted.commit, &releases).await?
        && (tried.state != DeploymentState::Refused || !gate.turned_green(&tried).await?)
    {
        return Ok(());
    }
    let request = Request {
        id: DeploymentId::from_random(rand::random()),
        stage: stage.clone(),
        kind: DeploymentKind::Deploy,
        source: wanted.source,
        requested_by: wanted.requested_by.clone(),
        reason: None,
        commit: wanted.commit.clone(),
        environment_url: environment_url(service, stage, &releases).await?,
        releases,
        override_gate: false,
    };
    // A job may have asked for it in this moment.
    let Requested::New(deployment) = service.store.ask_for_deployment(&request, None, service.clock.now()).await?
    else {
        return Ok(());
    };
    tracing::info!(deployment.id = %deployment.id, stage.name = %stage, source = wanted.source.as_str(), "deployment asked for");
    service.wake.outbox.notify_one();
    Ok(())
}

/// The commit's release of every app that its own configuration names; empty until all are there.
async fn releases_of(
    service: &Service,
    stage: &Stage,
    wanted: &WantedCommit,
) -> Result<BTreeMap<AppName, ReleaseNumber>, StoreError> {
    let Some(any) = service.store.any_release_of_commit(stage, &wanted.commit).await? else {
        return Ok(BTreeMap::new());
    };
    let Ok(config) = stored_config(stage, &any.config).await else { return Ok(BTreeMap::new()) };
    let mut releases = BTreeMap::new();
    for name in config.apps.into_keys() {
        match service.store.release_of_commit(stage, &name, &wanted.commit).await? {
            Some(release) => releases.insert(name, release.number),
            None => return Ok(BTreeMap::new()),
        };
    }
    Ok(releases)
}

/// Who goes back has the first turn: what was asked for before may be the same mistake, and waits for the hold. The others in
/// the order in which they were asked for; one that waits does not hold up the next.
async fn first_that_may_run<'a>(
    service: &Service,
    gate: &Gate,
    open: &'a [StoredDeployment],
) -> Result<Option<&'a StoredDeployment>, StoreError> {
    let mut left = open.to_vec();
    let goes_back = |deployment: &&StoredDeployment| deployment.kind == DeploymentKind::Rollback;
    for deployment in open.iter().filter(goes_back).chain(open.iter().filter(|it| !goes_back(it))) {
        let standing = service.store.standing(&deployment.id).await?;
        if standing.state().is_final() {
            left.retain(|it| it.id != deployment.id);
            continue;
        }
        if let Some(by) = standing.cancelled_by() {
            let failure = Failure::new(FailureCode::Cancelled, format!("{by} cancelled it"));
            end(service, deployment, Outcome::Cancelled, failure).await?;
            left.retain(|it| it.id != deployment.id);
            continue;
        }
        if let Some(newer) = gate.replacement(deployment, &left).await {
            let why = format!("{} took its place", newer.commit.short());
            end(service, deployment, Outcome::Superseded, Failure::new(FailureCode::Superseded, why)).await?;
            left.retain(|it| it.id != deployment.id);
            continue;
        }
        match gate.decide(deployment).await? {
            Decision::Go => return Ok(Some(deployment)),
            Decision::Unchanged => {}
            Decision::Wait { on, why, items } => {
                service
                    .store
                    .append_if_new(deployment, &Event::Waiting { on, why, items }, service.clock.now())
                    .await?;
                service.wake.pulls.notify_one();
            }
            Decision::End { outcome, failure } => {
                end(service, deployment, outcome, failure).await?;
                left.retain(|it| it.id != deployment.id);
            }
        }
    }
    Ok(None)
}

async fn end(
    service: &Service,
    deployment: &StoredDeployment,
    outcome: Outcome,
    failure: Failure,
) -> Result<(), StoreError> {
    let event = Event::Ended { outcome, failure: Some(failure) };
    service.store.append(deployment, &event, &Effect::None, service.clock.now()).await?;
    service.wake.outbox.notify_one();
    Ok(())
}

/// Where the app is reached once these releases are active: the first URL of the first app that has one.
pub(crate) async fn environment_url(
    service: &Service,
    stage: &Stage,
    releases: &BTreeMap<AppName, ReleaseNumber>,
) -> Result<Option<String>, StoreError> {
    for (app, number) in releases {
        let Some(release) = service.store.release(stage, app, *number).await? else { continue };
        let Ok(config) = stored_config(stage, &release.config).await else { continue };
        if let Some(url) = config.apps.get(app).and_then(|app| app.address()) {
            return Ok(Some(url.url.clone()));
        }
    }
    Ok(None)
}
