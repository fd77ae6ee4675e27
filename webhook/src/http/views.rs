//! What is stored, as the API and the pages show it.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use jiff::Timestamp;
use windlass_core::api::{
    AppView, DeploymentView, HostPart, PolicyView, SilentHost, StageView, StepState, StepView, TaskView, WantedView,
};
use windlass_core::config::StagePolicy;
use windlass_core::deployment::{DeploymentState, Event, Phase, Wait};
use windlass_core::gateway::TargetState;
use windlass_core::labels::Kind;
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::{DeploymentKind, Plan, StepKind};
use windlass_core::report;
use windlass_core::stage::Stage;
use windlass_core::task::{ObservedTask, TaskHealth, TaskStatus};

use crate::deploy::planning::Looked;
use crate::service::App;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;
use crate::store::tasks::OneOffTask;

/// So many one-off tasks that have ended are shown.
const RECENT_TASKS: u32 = 20;

/// A stage's tasks, and which of its hosts do not answer.
pub(crate) struct Shown {
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) silent: Vec<SilentHost>,
}

impl App {
    /// A deployment with its journal.
    pub(crate) async fn deployment_view(&self, deployment: &StoredDeployment) -> Result<DeploymentView, StoreError> {
        let events = self.store.events(&deployment.id).await?;
        let standing = self.store.standing(&deployment.id).await?;
        let plan = self.store.plan(&deployment.id).await?;
        let state = standing.state();
        let waits = events.iter().rev().find_map(|(_, event)| match event {
            Event::Waiting { on, why, .. } if state == DeploymentState::Waiting => Some((wait_code(*on), why.clone())),
            _ => None,
        });
        let mixed = standing.mixed().map(|why| ("mixed", report::mixed(why)));
        let failed = standing.failure().map(|failure| (failure.code.as_str(), failure.summary.clone()));
        let lease = self.store.lease(&deployment.stage).await?;
        let queued = lease
            .filter(|lease| state == DeploymentState::Waiting && lease.deployment != deployment.id)
            .map(|lease| (wait_code(Wait::Queue), format!("deployment {} runs", lease.deployment)));
        let (reason, why) = mixed.or(failed).or(queued).or(waits).unzip();
        let untold = self.store.untold(&deployment.id).await?;
        Ok(DeploymentView {
            id: deployment.id.clone(),
            project: deployment.stage.project.clone(),
            stage: deployment.stage.name.clone(),
            kind: deployment.kind,
            state,
            reason: reason.map(str::to_owned),
            why,
            failure: standing.failure().cloned(),
            releases: deployment.releases.clone(),
            commit: deployment.commit.clone(),
            commits: deployment.commits.clone(),
            requested_by: deployment.requested_by.clone(),
            given_reason: deployment.reason.clone(),
            created_at: deployment.created_at,
            ended_at: deployment.ended_at,
            url: self.deployment_url(&deployment.id),
            environment_url: deployment.environment_url.clone(),
            steps: journal(deployment, &events, plan.as_ref(), standing.phase()),
            gate_override: deployment.gate_override.clone(),
            migrations_kept: self.migrations_kept(deployment, &events).await?,
            warnings: untold.into_iter().map(|why| format!("GitHub could not be told: {why}")).collect(),
        })
    }

    /// What had run when a rollback was planned, which undoes none of it. The migration of a release that never became
    /// active counts too: the database has it.
    async fn migrations_kept(
        &self,
        deployment: &StoredDeployment,
        events: &[(Timestamp, Event)],
    ) -> Result<BTreeMap<AppName, Vec<ReleaseNumber>>, StoreError> {
        let mut kept = BTreeMap::new();
        if deployment.kind != DeploymentKind::Rollback {
            return Ok(kept);
        }
        let planned = events.iter().find_map(|(at, event)| matches!(event, Event::Planned { .. }).then_some(*at));
        let by = planned.or(deployment.ended_at).unwrap_or_else(|| self.now());
        for (app, release) in &deployment.releases {
            let above = self.store.migrated_above(&deployment.stage, app, *release, by).await?;
            if !above.is_empty() {
                kept.insert(app.clone(), above);
            }
        }
        Ok(kept)
    }

    /// A stage: what it serves, what runs, what is under way.
    pub(crate) async fn stage_view(&self, stage: &Stage) -> Result<StageView, StoreError> {
        let Shown { tasks, silent } = self.shown_tasks(stage).await?;
        let back = self.store.way_back(stage).await?;
        let mut apps = BTreeMap::new();
        for app in self.store.apps(stage).await? {
            let view = AppView { previous: back.of_app(&app), ..self.app_view(stage, &app, &tasks).await? };
            apps.insert(app, view);
        }
        let mut open = self.store.open_deployments_of(stage).await?;
        open.sort_by_key(|deployment| (deployment.state != DeploymentState::Running, deployment.number));
        let deployment = match open.first() {
            Some(deployment) => Some(self.deployment_view(deployment).await?),
            None => None,
        };
        Ok(StageView {
            project: stage.project.clone(),
            stage: stage.name.clone(),
            policy: self.policy(stage).map(policy_view).unwrap_or_default(),
            apps,
            rollback: back.of_all(),
            wanted: self.wanted_view(stage).await?,
            deployment,
            lease: self.store.lease(stage).await?,
            lock: self.store.lock(stage).await?.map(|stored| stored.lock),
            hold: self.store.hold(stage).await?,
            warnings: silent.iter().map(ToString::to_string).collect(),
            silent_hosts: silent,
        })
    }

    async fn wanted_view(&self, stage: &Stage) -> Result<Option<WantedView>, StoreError> {
        let Some(wanted) = self.store.wanted_commit(stage).await? else { return Ok(None) };
        let missing = self.missing_release(stage, &wanted.commit).await?;
        Ok(Some(WantedView { commit: wanted.commit, requested_by: wanted.requested_by, missing }))
    }

    /// A stage's tasks: what its hosts have, and one-off tasks that ended not long ago.
    pub(crate) async fn task_views(
        &self,
        stage: &Stage,
        observed: &[ObservedTask],
    ) -> Result<Vec<TaskView>, StoreError> {
        let (targets, _) = self.targets().await;
        self.with_one_offs(stage, observed.iter().map(|task| observed_view(task, targets.get(&task.name))).collect())
            .await
    }

    /// The same for whoever only looks, within [`PATIENCE`](crate::sight::PATIENCE): of a host that does not answer, what
    /// it showed last.
    pub(crate) async fn shown_tasks(&self, stage: &Stage) -> Result<Shown, StoreError> {
        let (seen, (targets, gateways)) = tokio::join!(self.look_at_stage(stage), self.targets());
        let Looked { tasks, mut silent, hosts } = seen?;
        silent.extend(gateways.into_iter().filter(|gateway| hosts.contains(&gateway.name)));
        let view = |task: &ObservedTask| {
            let silent = silent.iter().find(|host| host.part == HostPart::Engine && host.name == task.host);
            let as_of = silent.and_then(|host| host.as_of);
            TaskView { as_of, ..observed_view(task, targets.get(&task.name)) }
        };
        let tasks = self.with_one_offs(stage, tasks.iter().map(view).collect()).await?;
        Ok(Shown { tasks, silent })
    }

    async fn with_one_offs(&self, stage: &Stage, mut views: Vec<TaskView>) -> Result<Vec<TaskView>, StoreError> {
        for task in self.store.tasks(stage, RECENT_TASKS).await? {
            match views.iter_mut().find(|view| view.name == task.spec.name) {
                Some(view) => view.id = task.id.to_string(),
                None => views.push(ended_view(&task)),
            }
        }
        Ok(views)
    }

    /// How the gateways see their targets, by container name, and which of them do not answer: of those, what they said
    /// last.
    async fn targets(&self) -> (HashMap<String, TargetState>, Vec<SilentHost>) {
        let looks = self.sights.iter().map(|(name, sight)| async move { Some((name, sight.gateway().await?)) });
        let seen: Vec<_> = join_all(looks).await.into_iter().flatten().collect();
        let silent = seen.iter().filter_map(|(name, seen)| seen.silent(name, HostPart::Gateway)).collect();
        let services = seen.into_iter().filter_map(|(_, seen)| seen.answer).flat_map(|(_, status)| status.services);
        (services.flat_map(|service| service.targets).map(|target| (target.name, target.state)).collect(), silent)
    }

    async fn app_view(&self, stage: &Stage, app: &AppName, tasks: &[TaskView]) -> Result<AppView, StoreError> {
        let active = self.store.active_releases(stage).await?.into_iter().find(|active| active.app == *app);
        let release = match &active {
            Some(active) => self.store.release(stage, app, active.release).await?,
            None => None,
        };
        let plan = match &active {
            Some(active) => self.store.plan(&active.deployment).await?,
            None => None,
        };
        let config = match &release {
            Some(release) => self.stored_config(stage, &release.config).await.ok(),
            None => None,
        };
        let urls = config.and_then(|mut config| config.apps.remove(app)).map(|config| config.url);
        Ok(AppView {
            active: active.map(|active| active.release),
            active_commit: release.map(|release| release.commit),
            wanted_commit: self.store.wanted_commit(stage).await?.map(|wanted| wanted.commit),
            previous: None,
            latest: self.store.releases(stage, app, None, 1).await?.first().map(|release| release.number),
            desired_tasks: plan.as_ref().map_or(0, |plan| desired_tasks(plan, app)),
            urls: urls.unwrap_or_default().into_iter().map(|url| url.url).collect(),
            tasks: tasks.iter().filter(|task| task.app == *app).cloned().collect(),
        })
    }
}

const fn wait_code(on: Wait) -> &'static str {
    match on {
        Wait::Gate => "gate",
        Wait::Queue => "queue",
        Wait::Lock => "lock",
        Wait::Hold => "hold",
        Wait::Host => "host",
    }
}

fn desired_tasks(plan: &Plan, app: &AppName) -> u32 {
    u32::try_from(plan.tasks().filter(|task| task.labels.app == *app).count()).unwrap_or(u32::MAX)
}

/// Where the engine has no word on a task's health, its gateway may have one.
fn observed_view(task: &ObservedTask, target: Option<&TargetState>) -> TaskView {
    let health = match (task.health, target) {
        (TaskHealth::Unknown, Some(TargetState::Healthy)) => TaskHealth::Healthy,
        (TaskHealth::Unknown, Some(TargetState::Unhealthy)) => TaskHealth::Unhealthy,
        (health, _) => health,
    };
    let status = match (task.status, target) {
        (TaskStatus::Running, Some(TargetState::Joining)) => TaskStatus::Activating,
        (TaskStatus::Running, Some(TargetState::Draining)) => TaskStatus::Deactivating,
        (status, _) => status,
    };
    TaskView {
        id: task.container.chars().take(12).collect(),
        name: task.name.clone(),
        app: task.labels.app.clone(),
        role: task.labels.role.clone(),
        kind: task.labels.kind,
        release: task.labels.release,
        host: task.host.clone(),
        last_status: status,
        health,
        started_at: task.started,
        stopped_at: task.stopped,
        exit_code: task.exit.map(|exit| exit.code),
        as_of: None,
    }
}

fn policy_view(policy: &StagePolicy) -> PolicyView {
    PolicyView { branch: policy.branch.clone(), deploy_on: policy.deploy_on.clone(), production: policy.production }
}

fn ended_view(task: &OneOffTask) -> TaskView {
    TaskView {
        id: task.id.to_string(),
        name: task.spec.name.clone(),
        app: task.spec.labels.app.clone(),
        role: task.spec.labels.role.clone(),
        kind: Kind::Task,
        release: task.spec.labels.release,
        host: task.spec.host.clone(),
        last_status: if task.ended_at.is_some() { TaskStatus::Stopped } else { TaskStatus::Provisioning },
        health: TaskHealth::Unknown,
        started_at: Some(task.created_at),
        stopped_at: task.ended_at,
        exit_code: task.exit_code,
        as_of: None,
    }
}

/// The gate, the plan's steps, and the way back if it was walked.
fn journal(
    deployment: &StoredDeployment,
    events: &[(Timestamp, Event)],
    plan: Option<&Plan>,
    phase: &Phase,
) -> Vec<StepView> {
    let mut views = vec![gate(deployment, events)];
    let over = matches!(phase, Phase::Ended { .. } | Phase::Reverting { .. });
    for (index, step) in plan.iter().flat_map(|plan| plan.steps.iter().enumerate()) {
        let state = if over { StepState::Skipped } else { StepState::Pending };
        let mut view = StepView {
            step: step.kind(),
            title: step.to_string(),
            state,
            note: None,
            started_at: None,
            ended_at: None,
        };
        if step.kind() == StepKind::Retire && matches!(phase, Phase::Ended { retired: false, .. }) {
            view.state = StepState::Pending;
        }
        for (at, event) in events {
            match event {
                Event::StepStarted { step } if *step == index => {
                    view.state =
                        if over && view.step != StepKind::Retire { StepState::Skipped } else { StepState::Running };
                    view.started_at.get_or_insert(*at);
                }
                Event::StepFinished { step, note } if *step == index => {
                    (view.state, view.note, view.ended_at) = (StepState::Done, note.clone(), Some(*at));
                }
                Event::StepFailed { step, failure } if *step == index => {
                    view.state = StepState::Failed;
                    view.note = Some(failure.summary.clone());
                    view.ended_at = Some(*at);
                }
                _ => {}
            }
        }
        views.push(view);
    }
    views.extend(revert(events));
    views
}

fn gate(deployment: &StoredDeployment, events: &[(Timestamp, Event)]) -> StepView {
    let mut view = StepView {
        step: StepKind::Gate,
        title: "may this commit run here?".to_owned(),
        state: StepState::Running,
        note: None,
        started_at: Some(deployment.created_at),
        ended_at: None,
    };
    for (at, event) in events {
        match event {
            Event::Waiting { why, .. } => view.note = Some(why.clone()),
            Event::Planned { .. } => (view.state, view.note, view.ended_at) = (StepState::Done, None, Some(*at)),
            Event::Ended { failure, .. } if view.state == StepState::Running => {
                view.state = StepState::Failed;
                view.note = failure.as_ref().map(|failure| failure.summary.clone());
                view.ended_at = Some(*at);
            }
            _ => {}
        }
    }
    if view.note.is_none() {
        view.note = deployment.gate_override.as_ref().map(ToString::to_string);
    }
    view
}

fn revert(events: &[(Timestamp, Event)]) -> Option<StepView> {
    let (started, failure) = events.iter().find_map(|(at, event)| match event {
        Event::RevertStarted { failure } => Some((*at, failure)),
        _ => None,
    })?;
    let ended = events.iter().find_map(|(at, event)| matches!(event, Event::Ended { .. }).then_some(*at));
    Some(StepView {
        step: StepKind::Revert,
        title: "put everything back as it was".to_owned(),
        state: if ended.is_some() { StepState::Done } else { StepState::Running },
        note: Some(failure.summary.clone()),
        started_at: Some(started),
        ended_at: ended,
    })
}
