//! What is stored, as the API and the pages show it.

use std::collections::{BTreeMap, HashMap};

use futures_util::future::join_all;
use windlass_core::api::{AppView, CertificateView, HostPart, PolicyView, SilentHost, StageView, TaskView, WantedView};
use windlass_core::config::StagePolicy;
use windlass_core::deployment::DeploymentState;
use windlass_core::gateway::{CertificateSource, CertificateStatus, TargetState};
use windlass_core::labels::Kind;
use windlass_core::names::{AppName, HostName};
use windlass_core::plan::Plan;
use windlass_core::stage::Stage;
use windlass_core::task::{ObservedTask, TaskHealth, TaskStatus};

use crate::certificates::NameState;
use crate::deploy::certificates;
use crate::deploy::planning::{self, Looked};
use crate::gate::Gate;
use crate::release_config::stored_config;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::tasks::OneOffTask;
use crate::tell::view;

/// So many one-off tasks that have ended are shown.
const RECENT_TASKS: u32 = 20;

/// A stage's tasks, and which of its hosts do not answer.
pub(crate) struct Shown {
    pub(crate) tasks: Vec<TaskView>,
    pub(crate) silent: Vec<SilentHost>,
    /// What its gateways show to those who come by https.
    certificates: Vec<CertificateStatus>,
}

/// A stage: what it serves, what runs, what is under way.
pub(crate) async fn stage_view(service: &Service, gate: &Gate, stage: &Stage) -> Result<StageView, StoreError> {
    let Shown { tasks, silent, certificates } = shown_tasks(service, stage).await?;
    let back = service.store.way_back(stage).await?;
    let mut apps = BTreeMap::new();
    for app in service.store.apps(stage).await? {
        let view = AppView { previous: back.of_app(&app), ..app_view(service, stage, &app, &tasks).await? };
        apps.insert(app, view);
    }
    let mut open = service.store.open_deployments_of(stage).await?;
    open.sort_by_key(|deployment| (deployment.state != DeploymentState::Running, deployment.number));
    let deployment = match open.first() {
        Some(deployment) => Some(view::deployment_view(service, deployment).await?),
        None => None,
    };
    Ok(StageView {
        project: stage.project.clone(),
        stage: stage.name.clone(),
        policy: service.settings.server.policy(stage).map(policy_view).unwrap_or_default(),
        apps,
        rollback: back.of_all(),
        wanted: wanted_view(service, gate, stage).await?,
        deployment,
        lease: service.store.lease(stage).await?,
        lock: service.store.lock(stage).await?.map(|stored| stored.lock),
        hold: service.store.hold(stage).await?,
        certificates: certificate_views(service, stage, &certificates).await?,
        warnings: silent.iter().map(ToString::to_string).collect(),
        silent_hosts: silent,
    })
}

async fn wanted_view(service: &Service, gate: &Gate, stage: &Stage) -> Result<Option<WantedView>, StoreError> {
    let Some(wanted) = service.store.wanted_commit(stage).await? else { return Ok(None) };
    let missing = gate.missing_release(stage, &wanted.commit).await?;
    Ok(Some(WantedView { commit: wanted.commit, requested_by: wanted.requested_by, missing }))
}

/// A stage's tasks: what its hosts have, and one-off tasks that ended not long ago.
pub(crate) async fn task_views(
    service: &Service,
    stage: &Stage,
    observed: &[ObservedTask],
) -> Result<Vec<TaskView>, StoreError> {
    let AtGateways { targets, .. } = at_gateways(service).await;
    with_one_offs(service, stage, observed.iter().map(|task| observed_view(task, targets.get(&task.name))).collect())
        .await
}

/// The same for whoever only looks, within [`PATIENCE`](crate::sight::PATIENCE): of a host that does not answer, what
/// it showed last.
pub(crate) async fn shown_tasks(service: &Service, stage: &Stage) -> Result<Shown, StoreError> {
    let (seen, at_gateways) = tokio::join!(planning::look_at_stage(service, stage), at_gateways(service));
    let AtGateways { targets, certificates, silent: gateways } = at_gateways;
    let Looked { tasks, mut silent, hosts } = seen?;
    silent.extend(gateways.into_iter().filter(|gateway| hosts.contains(&gateway.name)));
    let view = |task: &ObservedTask| {
        let silent = silent.iter().find(|host| host.part == HostPart::Engine && host.name == task.host);
        let as_of = silent.and_then(|host| host.as_of);
        TaskView { as_of, ..observed_view(task, targets.get(&task.name)) }
    };
    let tasks = with_one_offs(service, stage, tasks.iter().map(view).collect()).await?;
    let certificates = certificates.into_iter().filter(|(host, _)| hosts.contains(host)).flat_map(|(_, all)| all);
    Ok(Shown { tasks, silent, certificates: certificates.collect() })
}

async fn with_one_offs(
    service: &Service,
    stage: &Stage,
    mut views: Vec<TaskView>,
) -> Result<Vec<TaskView>, StoreError> {
    for task in service.store.tasks(stage, RECENT_TASKS).await? {
        match views.iter_mut().find(|view| view.name == task.spec.name) {
            Some(view) => view.id = task.id.to_string(),
            None => views.push(ended_view(&task)),
        }
    }
    Ok(views)
}

/// What the gateways say.
struct AtGateways {
    /// How they see their targets, by container name.
    targets: HashMap<String, TargetState>,
    /// What each shows to those who come by https.
    certificates: Vec<(HostName, Vec<CertificateStatus>)>,
    /// Which of them do not answer: of those, what they said last.
    silent: Vec<SilentHost>,
}

async fn at_gateways(service: &Service) -> AtGateways {
    let looks = service.sights.iter().map(|(name, sight)| async move { Some((name, sight.gateway().await?)) });
    let seen: Vec<_> = join_all(looks).await.into_iter().flatten().collect();
    let silent = seen.iter().filter_map(|(name, seen)| seen.silent(name, HostPart::Gateway)).collect();
    let (mut targets, mut certificates) = (HashMap::new(), Vec::new());
    for (name, (_, status)) in seen.into_iter().filter_map(|(name, seen)| Some((name, seen.answer?))) {
        let of_all = status.services.into_iter().flat_map(|service| service.targets);
        targets.extend(of_all.map(|target| (target.name, target.state)));
        certificates.push((name.clone(), status.certificates));
    }
    AtGateways { targets, certificates, silent }
}

/// Of each `https` name what is shown on the host where it is worst, and what the service knows of it.
async fn certificate_views(
    service: &Service,
    stage: &Stage,
    shown: &[CertificateStatus],
) -> Result<Vec<CertificateView>, StoreError> {
    let names = certificates::of_stage(service, stage).await?;
    let view = |name: &String| {
        let at_gateways = shown.iter().filter(|certificate| certificate.name == *name);
        let worst =
            at_gateways.min_by_key(|it| (it.source != CertificateSource::SelfSigned, it.problem.is_none(), it.ends));
        let known = if names.ordered.contains(name) { service.certificates.state(name) } else { NameState::default() };
        let shown_problem = worst.and_then(|it| it.problem.clone());
        CertificateView {
            name: name.clone(),
            source: worst.map(|it| it.source),
            ends: worst.map_or(known.ends, |it| it.ends),
            problem: known.problem.or(shown_problem),
            next_try: known.again,
        }
    };
    Ok(names.shown.iter().map(view).collect())
}

async fn app_view(service: &Service, stage: &Stage, app: &AppName, tasks: &[TaskView]) -> Result<AppView, StoreError> {
    let active = service.store.active_releases(stage).await?.into_iter().find(|active| active.app == *app);
    let release = match &active {
        Some(active) => service.store.release(stage, app, active.release).await?,
        None => None,
    };
    let plan = match &active {
        Some(active) => service.store.plan(&active.deployment).await?,
        None => None,
    };
    let config = match &release {
        Some(release) => stored_config(stage, &release.config).await.ok(),
        None => None,
    };
    let maintenance = service.store.maintenance(stage).await?;
    let urls = config.and_then(|mut config| config.apps.remove(app)).map(|config| config.url);
    Ok(AppView {
        active: active.map(|active| active.release),
        active_commit: release.map(|release| release.commit),
        wanted_commit: service.store.wanted_commit(stage).await?.map(|wanted| wanted.commit),
        previous: None,
        latest: service.store.releases(stage, app, None, 1).await?.first().map(|release| release.number),
        desired_tasks: plan.as_ref().map_or(0, |plan| desired_tasks(plan, app)),
        maintenance: maintenance.into_iter().find(|stored| stored.app == *app).and_then(|stored| stored.on),
        urls: urls.unwrap_or_default().into_iter().map(|url| url.url).collect(),
        tasks: tasks.iter().filter(|task| task.app == *app).cloned().collect(),
    })
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
