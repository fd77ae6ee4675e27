//! Gathers what the planner needs: the releases with their configuration, the stage's settings and secrets, and what
//! runs on its hosts.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use secrecy::ExposeSecret;
use windlass_core::api::{HostPart, SilentHost};
use windlass_core::config::{AppConfig, located};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::exec;
use windlass_core::hint::Hint;
use windlass_core::names::{AppName, DeploymentId, Generation, HostName, ReleaseNumber};
use windlass_core::plan::{DeploymentKind, DesiredApp, DesiredState, Plan, PlanHost, PreviousRelease, Step};
use windlass_core::stage::Stage;
use windlass_core::task::{HostTask, Image, ObservedTask, TaskSpec};

use crate::config::fingerprint;
use crate::deploy::host_names;
use crate::deploy::hosts;
use crate::intake::projects;
use crate::release_config::stored_config;
use crate::service::Service;
use crate::sight::{LONG_PATIENCE, PATIENCE};
use crate::store::StoreError;

/// Why there can be no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanningError {
    /// For a reason that people can mend.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to become active.
#[derive(Debug, Clone)]
pub(crate) struct Intent<'a> {
    pub(crate) deployment: DeploymentId,
    pub(crate) kind: DeploymentKind,
    pub(crate) stage: &'a Stage,
    pub(crate) releases: &'a BTreeMap<AppName, ReleaseNumber>,
}

/// What was seen of a stage.
pub(crate) struct Looked {
    pub(crate) tasks: Vec<ObservedTask>,
    /// Those that do not answer: of them, what they showed last.
    pub(crate) silent: Vec<SilentHost>,
    /// All that were looked at.
    pub(crate) hosts: BTreeSet<HostName>,
}

/// Plans how to make the releases active, from what runs at this moment.
pub(crate) async fn plan(
    service: &Service,
    intent: &Intent<'_>,
    generation: Generation,
) -> Result<Plan, PlanningError> {
    let desired = desired_state(service, intent, generation).await?;
    let observed = observe_stage(service, intent.stage).await?;
    planned(&desired, &observed)
}

/// The same for whoever only wants to see it: of a host that does not answer, from what it showed last.
pub(crate) async fn preview(service: &Service, intent: &Intent<'_>) -> Result<(Plan, Vec<SilentHost>), PlanningError> {
    let desired = desired_state(service, intent, Generation(0)).await?;
    host_names::check_hosts(service, intent).await?;
    let Looked { tasks, silent, .. } = look_at_stage(service, intent.stage).await?;
    Ok((planned(&desired, &tasks)?, silent))
}

/// What should run.
pub(crate) async fn desired_state<'a>(
    service: &'a Service,
    intent: &Intent<'_>,
    generation: Generation,
) -> Result<DesiredState<'a>, PlanningError> {
    let stage = intent.stage;
    let (Some(project), Some(policy)) =
        (service.settings.server.projects.get(&stage.project), service.settings.server.policy(stage))
    else {
        return Err(refused(format!("{stage} is not in the server's file any more")).into());
    };
    let repository = projects::repository_ids(service).await?.get(&stage.project).copied().ok_or_else(|| {
        Failure::new(FailureCode::Internal, format!("GitHub's id of {} is not known yet", stage.project))
            .hint("it is learnt as soon as GitHub answers; or set `id` in the server's file")
    })?;
    let mut apps = BTreeMap::new();
    for (app, release) in intent.releases {
        apps.insert(app.clone(), desired_app(service, stage, app, *release).await?);
    }
    Ok(DesiredState {
        deployment: intent.deployment.clone(),
        kind: intent.kind,
        installation: service.installation,
        project: stage.project.clone(),
        repository,
        stage: stage.name.clone(),
        generation,
        limits: &project.limits,
        latest: policy.latest,
        apps,
        hosts: hosts::plan_hosts(&service.settings.server, policy),
    })
}

async fn desired_app(
    service: &Service,
    stage: &Stage,
    app: &AppName,
    number: ReleaseNumber,
) -> Result<DesiredApp, PlanningError> {
    let release = service
        .store
        .release(stage, app, number)
        .await?
        .ok_or_else(|| refused(format!("app {app} has no release {number} on {stage}")))?;
    let config = stored_config(stage, &release.config).await?;
    if let Some(project) = service.settings.server.projects.get(&stage.project)
        && let [first, ..] = &project.permits(&config)[..]
    {
        let told = located("windlass.toml", &release.config, &stage.name, std::slice::from_ref(first));
        return Err(refused(told.concat()).hint(first.remedy.clone()).into());
    }
    let config = config
        .apps
        .get(app)
        .cloned()
        .ok_or_else(|| refused(format!("the configuration of release {number} has no app {app}")))?;
    check_secrets(service, stage, &config.secrets)?;
    check_sizes(service, stage, app, &config)?;
    let active = service.store.active_releases(stage).await?.into_iter().find(|active| active.app == *app);
    let previous = match active {
        Some(active) => previous(service, stage, app, active.release, active.deployment).await?,
        None => None,
    };
    let secrets = service.settings.stage_secrets.get(stage);
    let fingerprint = fingerprint(&service.installation_key, secrets.unwrap_or(&BTreeMap::new()));
    let secrets = service.store.secrets_version(stage, &fingerprint, service.clock.now()).await?;
    Ok(DesiredApp {
        release: number,
        commit: release.commit,
        image: Image { name: release.image, digest: release.digest },
        config,
        settings: service.store.stage_settings(stage, app).await?,
        secrets,
        migrated: service.store.is_migrated(stage, app, number).await?,
        previous,
        warm: earlier_tasks(service, stage, app, number, secrets).await?,
    })
}

async fn previous(
    service: &Service,
    stage: &Stage,
    app: &AppName,
    release: ReleaseNumber,
    deployment: DeploymentId,
) -> Result<Option<PreviousRelease>, PlanningError> {
    let Some(stored) = service.store.release(stage, app, release).await? else { return Ok(None) };
    let config = stored_config(stage, &stored.config).await?.apps.get(app).cloned();
    let plan = service.store.plan(&deployment).await?;
    let tasks = plan.iter().flat_map(Plan::tasks).filter(|task| task.labels.app == *app).map(TaskSpec::place);
    let tasks = tasks.collect();
    Ok(config.map(|config| PreviousRelease { release, deployment, tasks, config }))
}

/// What the release's containers were made from, where they had the secrets of today.
async fn earlier_tasks(
    service: &Service,
    stage: &Stage,
    app: &AppName,
    release: ReleaseNumber,
    secrets: u64,
) -> Result<Vec<TaskSpec>, PlanningError> {
    let taken = to_be_retired(service, stage).await?;
    let mut tasks: Vec<TaskSpec> = Vec::new();
    for deployment in service.store.successes_of(stage, app, release).await? {
        let Some(plan) = service.store.plan(&deployment).await? else { continue };
        if plan.apps.get(app).is_some_and(|change| change.secrets == secrets) {
            let free = |task: &&TaskSpec| !tasks.contains(task) && !taken.contains(&task.place());
            let new = plan.tasks().filter(|task| task.labels.app == *app).filter(free);
            let new: Vec<TaskSpec> = new.cloned().collect();
            tasks.extend(new);
        }
    }
    Ok(tasks)
}

/// What deployments of the stage that have succeeded are still about to stop or remove.
async fn to_be_retired(service: &Service, stage: &Stage) -> Result<BTreeSet<HostTask>, PlanningError> {
    let mut tasks = BTreeSet::new();
    for deployment in service.store.unretired_deployments().await?.iter().filter(|it| it.stage == *stage) {
        let plan = service.store.plan(&deployment.id).await?;
        if let Some(Step::Retire { stop, remove, .. }) = plan.and_then(|mut plan| plan.steps.pop()) {
            tasks.extend(stop.into_iter().map(|old| old.task).chain(remove));
        }
    }
    Ok(tasks)
}

fn check_secrets(service: &Service, stage: &Stage, names: &[String]) -> Result<(), Failure> {
    let known = service.settings.stage_secrets.get(stage);
    let missing: Vec<&str> =
        names.iter().filter(|name| known.is_none_or(|known| !known.contains_key(*name))).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let summary = format!("the server has no value for secret {} of {stage}", missing.join(", "));
    Err(Failure::new(FailureCode::SecretMissing, summary).hint(format!(
        "add it under `[projects.\"{}\".stages.{}] secrets` in the server's file",
        stage.project, stage.name
    )))
}

/// With the secrets in its environment, a process may be more than Linux starts: said before anything runs.
fn check_sizes(service: &Service, stage: &Stage, app: &AppName, config: &AppConfig) -> Result<(), Failure> {
    let secrets = service.settings.secrets_for(stage, &config.secrets);
    let migrate = config.migrate.iter().map(|migrate| (Some(&migrate.command), None));
    let processes = config.roles.values().map(|role| (role.command.as_ref(), Some(&role.env)));
    for (command, env) in processes.chain(migrate) {
        let plain = config.env.iter().chain(env.into_iter().flatten());
        let plain = plain.map(|(name, value)| (name.as_str(), value.as_str()));
        let secret = secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
        let command = command.into_iter().flatten().map(String::as_str);
        if let Some(why) = exec::refusal(command, plain.chain(secret)) {
            return Err(refused(format!("app {app} cannot be started on {stage}: {why}"))
                .hint("give what is large as a file, and the process only its path"));
        }
    }
    Ok(())
}

/// What runs of a stage, on all its hosts and on those that it had when the active releases came.
pub(crate) async fn observe_stage(service: &Service, stage: &Stage) -> Result<Vec<ObservedTask>, PlanningError> {
    let ids = projects::repository_ids(service).await?;
    let hosts = service
        .settings
        .server
        .policy(stage)
        .map(|policy| hosts::plan_hosts(&service.settings.server, policy))
        .unwrap_or_default();
    let engines = hosts.iter().filter_map(|host| Some(&service.hosts.get(&host.name)?.engine));
    let observed = try_join_all(engines.map(|engine| engine.observe())).await;
    let observed = observed.map_err(|error| error.into_failure(FailureCode::HostUnreachable))?;
    let left = observe_left_hosts(service, stage, &hosts).await?;
    let ours = ids.get(&stage.project);
    Ok(observed
        .into_iter()
        .flatten()
        .chain(left)
        .filter(|task| Some(&task.labels.project) == ours && task.labels.stage == stage.name)
        .collect())
}

/// A host that the stage has no more may be gone for good, and then nothing runs on it.
async fn observe_left_hosts(
    service: &Service,
    stage: &Stage,
    hosts: &[PlanHost],
) -> Result<Vec<ObservedTask>, PlanningError> {
    let left = left_hosts(service, stage, hosts).await?;
    let sights = left.iter().filter_map(|name| Some((name, service.sights.get(name)?)));
    let looks = sights.map(|(name, sight)| async move {
        sight.tasks(LONG_PATIENCE).await.fresh().unwrap_or_else(|silence| {
            let error = silence.why;
            tracing::warn!(host.name = %name, error, "cannot look at a host that the stage has left");
            Vec::new()
        })
    });
    Ok(join_all(looks).await.concat())
}

/// The hosts that the stage had when its active releases came, and has no more.
async fn left_hosts(service: &Service, stage: &Stage, hosts: &[PlanHost]) -> Result<BTreeSet<HostName>, StoreError> {
    let mut left = BTreeSet::new();
    for active in service.store.active_releases(stage).await? {
        let plan = service.store.plan(&active.deployment).await?;
        left.extend(plan.iter().flat_map(Plan::tasks).map(|task| task.host.clone()));
    }
    left.retain(|name| !hosts.iter().any(|host| host.name == *name));
    Ok(left)
}

/// What runs of a stage as far as its hosts answer soon, and of the others what they showed last.
pub(crate) async fn look_at_stage(service: &Service, stage: &Stage) -> Result<Looked, StoreError> {
    let ours = projects::repository_ids(service).await?.get(&stage.project).copied();
    let own = service
        .settings
        .server
        .policy(stage)
        .map(|policy| hosts::plan_hosts(&service.settings.server, policy))
        .unwrap_or_default();
    let mut hosts = left_hosts(service, stage, &own).await?;
    hosts.extend(own.into_iter().map(|host| host.name));
    let looks = hosts.iter().filter_map(|name| Some((name, service.sights.get(name)?)));
    let seen = join_all(looks.map(|(name, sight)| async move { (name, sight.tasks(PATIENCE).await) })).await;
    let silent = seen.iter().filter_map(|(name, seen)| seen.silent(name, HostPart::Engine)).collect();
    let tasks = seen.into_iter().filter_map(|(_, seen)| seen.answer).flat_map(|(_, tasks)| tasks);
    let tasks = tasks.filter(|task| Some(task.labels.project) == ours && task.labels.stage == stage.name).collect();
    Ok(Looked { tasks, silent, hosts })
}

fn planned(desired: &DesiredState<'_>, observed: &[ObservedTask]) -> Result<Plan, PlanningError> {
    windlass_core::plan::plan(desired, observed).map_err(|error| {
        let failure = Failure::new(FailureCode::PolicyRefused, error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint).into(),
            None => failure.into(),
        }
    })
}

fn refused(summary: String) -> Failure {
    Failure::new(FailureCode::PolicyRefused, summary)
}
