//! Brings every stage to what it should be: what its branch wants becomes a deployment, a deployment whose gate is open
//! runs, one that a crash interrupted goes on, and what a success left behind is retired.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::deployment::{DeploymentState, Event, Failure, FailureCode, Outcome};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;

use super::BackgroundTask;
use crate::app::App;
use crate::gate::Decision;
use crate::runner;
use crate::stage::StageKey;
use crate::store::StoreError;
use crate::store::deployments::{Request, StoredDeployment};
use crate::store::journal::Effect;
use crate::store::stages::WantedCommit;

pub(crate) struct Stages(pub(crate) Arc<App>);

impl BackgroundTask for Stages {
    const NAME: &'static str = "stages";
    const PERIOD: Duration = Duration::from_secs(10);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        for stage in self.0.stages() {
            let app = Arc::clone(&self.0);
            self.0.tracker.spawn(async move {
                // Somebody is at it already, and will look again before they leave.
                let Some(_claim) = app.at_work.claim(format!("stage {stage}")) else { return };
                if let Err(error) = work(&app, &stage).await {
                    tracing::error!(stage.name = %stage, error = format!("{error:#}"), "stage cannot be brought on");
                }
            });
        }
        for deployment in self.0.store.unretired_deployments().await? {
            let app = Arc::clone(&self.0);
            self.0.tracker.spawn(async move {
                let Some(_claim) = app.at_work.claim(format!("retire {}", deployment.id)) else { return };
                if let Err(error) = runner::retire(&app, &deployment).await {
                    tracing::error!(deployment.id = %deployment.id, error = format!("{error:#}"), "old tasks cannot be retired");
                }
            });
        }
        Ok(None)
    }
}

/// Works on a stage until nothing can be done on it now.
async fn work(app: &Arc<App>, stage: &StageKey) -> anyhow::Result<()> {
    while !app.shutdown.is_cancelled() {
        request_what_is_wanted(app, stage).await?;
        let mut open = app.store.open_deployments().await?;
        open.retain(|deployment| deployment.stage == *stage);
        open.reverse();
        let next = match open.iter().find(|deployment| deployment.state == DeploymentState::Running) {
            Some(running) => Some(running),
            None => first_that_may_run(app, &open).await?,
        };
        let Some(deployment) = next else { return Ok(()) };
        runner::run(app, deployment).await?;
    }
    Ok(())
}

/// The stage's branch wants a commit, a release of it exists, and it was never tried: then it becomes a deployment.
async fn request_what_is_wanted(app: &App, stage: &StageKey) -> anyhow::Result<()> {
    let Some(wanted) = app.store.wanted_commit(stage).await? else { return Ok(()) };
    if app.active_commit(stage).await?.as_ref() == Some(&wanted.commit) {
        return Ok(());
    }
    if let Some(tried) = app.store.automatic_deployment(stage, &wanted.commit).await?
        && (tried.state != DeploymentState::Refused || !app.turned_green(&tried).await?)
    {
        return Ok(());
    }
    let releases = releases_of(app, stage, &wanted).await?;
    if releases.is_empty() {
        return Ok(());
    }
    let request = Request {
        id: app.new_deployment_id(),
        stage: stage.clone(),
        kind: DeploymentKind::Deploy,
        source: wanted.source,
        requested_by: wanted.requested_by.clone(),
        reason: None,
        commit: wanted.commit.clone(),
        environment_url: app.environment_url(stage, &releases).await?,
        releases,
    };
    let deployment = app.store.create_deployment(&request, app.now()).await?;
    tracing::info!(deployment.id = %deployment.id, stage.name = %stage, source = wanted.source.as_str(), "deployment asked for");
    app.wake.outbox.notify_one();
    Ok(())
}

/// The commit's release of every app that the stage has; empty until all are there.
async fn releases_of(
    app: &App,
    stage: &StageKey,
    wanted: &WantedCommit,
) -> Result<BTreeMap<AppName, ReleaseNumber>, StoreError> {
    let mut releases = BTreeMap::new();
    for name in app.store.apps(stage).await? {
        match app.store.release_of_commit(stage, &name, &wanted.commit).await? {
            Some(release) => releases.insert(name, release.number),
            None => return Ok(BTreeMap::new()),
        };
    }
    Ok(releases)
}

/// In the order in which they were asked for; one that waits does not hold up the next.
async fn first_that_may_run<'a>(
    app: &App,
    open: &'a [StoredDeployment],
) -> Result<Option<&'a StoredDeployment>, StoreError> {
    for (index, deployment) in open.iter().enumerate() {
        let standing = app.store.standing(&deployment.id).await?;
        if let Some(by) = standing.cancelled_by() {
            let failure = Failure::new(FailureCode::Cancelled, format!("{by} cancelled it"));
            end(app, deployment, Outcome::Cancelled, failure).await?;
            continue;
        }
        let newer = open[index + 1..].iter().find(|newer| newer.source.is_automatic());
        if let Some(newer) = newer.filter(|_| deployment.source.is_automatic()) {
            let why = format!("{} took its place", newer.commit.short());
            end(app, deployment, Outcome::Superseded, Failure::new(FailureCode::Superseded, why)).await?;
            continue;
        }
        match app.decide(deployment).await? {
            Decision::Go => return Ok(Some(deployment)),
            Decision::Unchanged => {}
            Decision::Wait { on, why, items } => {
                let event = Event::Waiting { on, why, items };
                let told = app.store.events(&deployment.id).await?;
                if told.last().is_none_or(|(_, last)| *last != event) {
                    app.store.append(deployment, &event, &Effect::None, app.now()).await?;
                }
            }
            Decision::End { outcome, failure } => end(app, deployment, outcome, failure).await?,
        }
    }
    Ok(None)
}

async fn end(app: &App, deployment: &StoredDeployment, outcome: Outcome, failure: Failure) -> Result<(), StoreError> {
    let event = Event::Ended { outcome, failure: Some(failure) };
    app.store.append(deployment, &event, &Effect::None, app.now()).await?;
    app.wake.outbox.notify_one();
    Ok(())
}

impl App {
    /// Where the app is reached once these releases are active: the first URL of the first app that has one.
    pub(crate) async fn environment_url(
        &self,
        stage: &StageKey,
        releases: &BTreeMap<AppName, ReleaseNumber>,
    ) -> Result<Option<String>, StoreError> {
        for (app, number) in releases {
            let Some(release) = self.store.release(stage, app, *number).await? else { continue };
            let Ok(config) = self.stored_config(stage, &release.config) else { continue };
            if let Some(url) = config.apps.get(app).and_then(|app| app.url.first()) {
                return Ok(Some(url.url.clone()));
            }
        }
        Ok(None)
    }
}
