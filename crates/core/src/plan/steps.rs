//! How a plan comes about, top down.

use std::collections::{BTreeMap, BTreeSet};

use crate::config::{AppConfig, HealthCheck, RoleConfig, Stop, Strategy};
use crate::gateway::{Probe, Route, ServiceKey};
use crate::labels::{Kind, TaskLabels};
use crate::names::{AppName, Generation, HostName, RoleName};
use crate::plan::{
    AppChange, DeploymentKind, DesiredApp, DesiredState, GatewayPresence, HostImage, HostService, HostTask, Plan,
    PlanError, RetiredTask, Revert, Step, TaskHealthCheck, UnroutedService, hosts_of, scale_of,
};
use crate::quantity::Duration;
use crate::task::{ObservedTask, TaskSpec};

pub(super) fn plan(desired: &DesiredState<'_>, observed: &[ObservedTask]) -> Result<Plan, PlanError> {
    let mut primary = Vec::new();
    let mut others = Vec::new();
    let mut services = Vec::new();
    for (app, wanted) in &desired.apps {
        for (role, config) in &wanted.config.roles {
            let tasks = role_tasks(desired, app, wanted, role, config)?;
            if config.primary {
                services.extend(role_services(desired, app, wanted, config, &tasks)?);
                primary.extend(tasks);
            } else {
                others.extend(tasks);
            }
        }
    }
    let new: Vec<HostTask> = primary.iter().chain(&others).map(host_task).collect();
    let watch = desired.apps.values().map(|app| app.config.watch).max().unwrap_or(Duration::from_secs(0));

    let mut steps = vec![prepare(desired, primary.iter().chain(&others))];
    steps.extend(desired.apps.iter().filter_map(|(app, wanted)| migrate(desired, app, wanted, &primary)));
    steps.extend(boot_and_verify(desired, &primary, &services));
    steps.extend(boot_and_verify(desired, &others, &[]));
    steps.push(Step::Switch { services: services.clone() });
    steps.push(Step::Watch { tasks: new.clone(), time: watch });
    steps.push(retire(desired, observed, &services));

    let revert_generation = Generation(desired.generation.0 + 1);
    let (switch, unroute) = way_back(desired, observed, &services, revert_generation);
    Ok(Plan {
        deployment: desired.deployment.clone(),
        kind: desired.kind,
        project: desired.project.clone(),
        stage: desired.stage.clone(),
        generation: desired.generation,
        revert_generation,
        apps: desired.apps.iter().map(|(name, app)| (name.clone(), change(app))).collect(),
        revert: Revert { switch, unroute, remove: new },
        steps,
    })
}

fn change(app: &DesiredApp) -> AppChange {
    AppChange {
        release: app.release,
        commit: app.commit.clone(),
        previous: app.previous.as_ref().map(|previous| previous.release),
        settings: app.settings.version,
        secrets: app.secrets,
    }
}

fn host_task(task: &TaskSpec) -> HostTask {
    HostTask { host: task.host.clone(), name: task.name.clone() }
}

fn role_tasks(
    desired: &DesiredState<'_>,
    app: &AppName,
    wanted: &DesiredApp,
    role: &RoleName,
    config: &RoleConfig,
) -> Result<Vec<TaskSpec>, PlanError> {
    if config.strategy != Strategy::StartFirst {
        return Err(PlanError::Strategy { app: app.clone(), role: role.clone(), strategy: config.strategy });
    }
    let hosts = hosts_of(config.hosts.as_deref(), &desired.hosts);
    if hosts.is_empty() {
        return Err(PlanError::NoHost { stage: desired.stage.clone(), app: app.clone(), role: role.clone() });
    }
    let scale = scale_of(role, config, &wanted.settings);
    let places = hosts.iter().flat_map(|host| (1..=scale).map(|number| (&host.name, number)));
    Ok(places.map(|(host, number)| service_task(desired, app, wanted, role, config, host, number)).collect())
}

fn service_task(
    desired: &DesiredState<'_>,
    app: &AppName,
    wanted: &DesiredApp,
    role: &RoleName,
    config: &RoleConfig,
    host: &HostName,
    number: u32,
) -> TaskSpec {
    let mut task = one_task(desired, app, wanted, (role, config), Kind::Service, host, &number.to_string());
    task.command.clone_from(&config.command);
    task.port = config.port;
    task.health = Some(config.health.clone());
    task
}

/// What a release's service tasks and its migration have in common: the image, the environment, the limits.
pub(super) fn one_task(
    desired: &DesiredState<'_>,
    app: &AppName,
    wanted: &DesiredApp,
    (role, config): (&RoleName, &RoleConfig),
    kind: Kind,
    host: &HostName,
    suffix: &str,
) -> TaskSpec {
    let name = format!(
        "windlass-{}-{}-{}-{app}-{role}-{}-{}-{suffix}",
        desired.installation.short(),
        desired.project.repository().to_ascii_lowercase(),
        desired.stage,
        wanted.release,
        desired.deployment.short(),
    );
    let labels = TaskLabels {
        installation: desired.installation,
        project: desired.repository,
        project_name: desired.project.clone(),
        stage: desired.stage.clone(),
        app: app.clone(),
        role: role.clone(),
        release: wanted.release,
        deployment: Some(desired.deployment.clone()),
        generation: desired.generation,
        kind,
    };
    TaskSpec {
        host: host.clone(),
        image: wanted.image.clone(),
        command: None,
        env: environment(wanted, config, &labels, &name),
        secrets: wanted.config.secrets.clone(),
        labels,
        port: None,
        health: None,
        resources: desired.limits.cap(&config.resources),
        volumes: config.volumes.clone(),
        stop: config.stop.clone(),
        name,
    }
}

/// The app's, the role's and the stage's own, the later over the earlier; what Windlass says of itself over all.
fn environment(wanted: &DesiredApp, config: &RoleConfig, labels: &TaskLabels, name: &str) -> BTreeMap<String, String> {
    let mut env = wanted.config.env.clone();
    env.extend(config.env.clone());
    env.extend(wanted.settings.env.clone());
    if let Some(port) = config.port {
        env.insert("PORT".to_owned(), port.to_string());
    }
    let own = [
        ("WINDLASS_PROJECT", labels.project_name.to_string()),
        ("WINDLASS_STAGE", labels.stage.to_string()),
        ("WINDLASS_APP", labels.app.to_string()),
        ("WINDLASS_ROLE", labels.role.to_string()),
        ("WINDLASS_RELEASE", labels.release.to_string()),
        ("WINDLASS_COMMIT", wanted.commit.to_string()),
        ("WINDLASS_TASK", name.to_owned()),
    ];
    env.extend(own.map(|(key, value)| (key.to_owned(), value)));
    env
}

fn role_services(
    desired: &DesiredState<'_>,
    app: &AppName,
    wanted: &DesiredApp,
    config: &RoleConfig,
    tasks: &[TaskSpec],
) -> Result<Vec<HostService>, PlanError> {
    let Some(port) = config.port.filter(|_| !wanted.config.url.is_empty()) else { return Ok(Vec::new()) };
    let mut services = Vec::new();
    for host in hosts_of(config.hosts.as_deref(), &desired.hosts) {
        if host.gateway == GatewayPresence::Absent {
            return Err(PlanError::NoGateway { app: app.clone(), host: host.name.clone() });
        }
        services.push(HostService {
            host: host.name.clone(),
            key: ServiceKey::new(desired.repository, &desired.stage, app),
            generation: desired.generation,
            release: wanted.release,
            routes: routes(&wanted.config),
            targets: tasks.iter().filter(|task| task.host == host.name).map(|task| task.name.clone()).collect(),
            port,
            probe: probe(config),
            deadline: config.health.deadline,
            drain: config.stop.drain,
            hold: config.hold,
        });
    }
    Ok(services)
}

fn routes(config: &AppConfig) -> Vec<Route> {
    let unique: BTreeSet<Route> = config.url.iter().map(|url| url.route.clone()).collect();
    unique.into_iter().collect()
}

fn probe(config: &RoleConfig) -> Probe {
    let path = match &config.health.check {
        HealthCheck::Path(path) => Some(path.clone()),
        HealthCheck::Command(_) | HealthCheck::Docker | HealthCheck::Port | HealthCheck::Stable(_) => None,
    };
    Probe { path, interval: config.health.interval, timeout: config.health.timeout }
}

fn prepare<'a>(desired: &'a DesiredState<'_>, tasks: impl Iterator<Item = &'a TaskSpec>) -> Step {
    let by_task = tasks.map(|task| (&task.host, &task.image));
    let first_host = desired.hosts.first().map(|host| &host.name);
    let for_migrations = desired.apps.values().filter_map(|app| Some((first_host?, &app.image)));
    let mut images: Vec<HostImage> = Vec::new();
    for (host, image) in by_task.chain(for_migrations) {
        let wanted = HostImage { host: host.clone(), image: image.clone() };
        if !images.contains(&wanted) {
            images.push(wanted);
        }
    }
    Step::Prepare { images }
}

/// A release's migration runs once, and a rollback runs none.
fn migrate(desired: &DesiredState<'_>, app: &AppName, wanted: &DesiredApp, primary: &[TaskSpec]) -> Option<Step> {
    let migrate = wanted.config.migrate.as_ref()?;
    if wanted.migrated || desired.kind == DeploymentKind::Rollback {
        return None;
    }
    let first_task = primary.iter().find(|task| task.labels.app == *app).map(|task| &task.host);
    let host = first_task.or_else(|| desired.hosts.first().map(|host| &host.name))?;
    let mut task = one_task(desired, app, wanted, wanted.config.primary()?, Kind::Task, host, "migrate");
    task.command = Some(migrate.command.clone());
    Some(Step::Migrate { app: app.clone(), task: Box::new(task), timeout: migrate.timeout })
}

fn boot_and_verify(desired: &DesiredState<'_>, tasks: &[TaskSpec], services: &[HostService]) -> Vec<Step> {
    let hosts: Vec<&HostName> = desired.hosts.iter().map(|host| &host.name).collect();
    let batch = desired.apps.values().map(|app| app.config.boot.limit.of(hosts.len())).min().unwrap_or(1);
    let mut steps = Vec::new();
    for batch in hosts.chunks(batch) {
        let here: Vec<TaskSpec> = tasks.iter().filter(|task| batch.contains(&&task.host)).cloned().collect();
        if here.is_empty() {
            continue;
        }
        let check = |task: &TaskSpec| Some(TaskHealthCheck { task: host_task(task), health: task.health.clone()? });
        let checks = here.iter().filter_map(check).collect();
        let services = services.iter().filter(|service| batch.contains(&&service.host)).cloned().collect();
        steps.push(Step::Boot { tasks: here });
        steps.push(Step::Verify { tasks: checks, services });
    }
    steps
}

/// Whatever of these apps runs now is stopped and kept; what was stopped before goes for good.
fn retire(desired: &DesiredState<'_>, observed: &[ObservedTask], services: &[HostService]) -> Step {
    let old = observed.iter().filter(|task| is_old_service(desired, task));
    let (running, stopped): (Vec<_>, Vec<_>) = old.partition(|task| task.status.is_alive());
    let stop = running.into_iter().map(|task| {
        let previous = desired.apps.get(&task.labels.app).and_then(|app| app.previous.as_ref());
        let role = previous.and_then(|previous| previous.config.roles.get(&task.labels.role));
        let Stop { signal, grace, .. } = role.map(|role| role.stop.clone()).unwrap_or_default();
        let key = ServiceKey::new(desired.repository, &desired.stage, &task.labels.app);
        RetiredTask { task: observed_task(task), key: Some(key), signal, grace }
    });
    let stop = stop.collect();
    let remove = stopped.into_iter().map(observed_task).collect();
    Step::Retire { unroute: no_longer_routed(desired, observed, services), stop, remove }
}

/// A release that drops its URL, or a host, leaves a route behind that nothing else would take away.
fn no_longer_routed(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    services: &[HostService],
) -> Vec<UnroutedService> {
    let mut unroute: Vec<UnroutedService> = Vec::new();
    for task in observed.iter().filter(|task| is_old_service(desired, task) && task.status.is_alive()) {
        let previous = desired.apps.get(&task.labels.app).and_then(|app| app.previous.as_ref());
        let routed = previous.is_some_and(|previous| {
            !previous.config.url.is_empty()
                && previous.config.primary().is_some_and(|(role, _)| *role == task.labels.role)
        });
        let key = ServiceKey::new(desired.repository, &desired.stage, &task.labels.app);
        let still = services.iter().any(|service| service.host == task.host && service.key == key);
        let known = unroute.iter().any(|service| service.host == task.host && service.key == key);
        if routed && !still && !known {
            unroute.push(UnroutedService { host: task.host.clone(), key, generation: desired.generation });
        }
    }
    unroute
}

fn observed_task(task: &ObservedTask) -> HostTask {
    HostTask { host: task.host.clone(), name: task.name.clone() }
}

fn is_old_service(desired: &DesiredState<'_>, task: &ObservedTask) -> bool {
    let labels = &task.labels;
    labels.installation == desired.installation
        && labels.project == desired.repository
        && labels.stage == desired.stage
        && labels.kind == Kind::Service
        && desired.apps.contains_key(&labels.app)
        && labels.deployment.as_ref() != Some(&desired.deployment)
}

/// For each host's service: what it had before, or that there was none.
fn way_back(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    services: &[HostService],
    generation: Generation,
) -> (Vec<HostService>, Vec<UnroutedService>) {
    let mut switch = Vec::new();
    let mut unroute = Vec::new();
    for service in services {
        match previous_service(desired, observed, service, generation) {
            Some(previous) => switch.push(previous),
            None => unroute.push(UnroutedService { host: service.host.clone(), key: service.key.clone(), generation }),
        }
    }
    (switch, unroute)
}

fn previous_service(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    service: &HostService,
    generation: Generation,
) -> Option<HostService> {
    let of_service = |app: &AppName| ServiceKey::new(desired.repository, &desired.stage, app) == service.key;
    let (app, wanted) = desired.apps.iter().find(|(app, _)| of_service(app))?;
    let previous = wanted.previous.as_ref()?;
    let (role, config) = previous.config.primary()?;
    let served = |task: &&ObservedTask| {
        is_old_service(desired, task)
            && task.host == service.host
            && task.labels.app == *app
            && task.labels.role == *role
            && task.labels.deployment.as_ref() == Some(&previous.deployment)
            && task.status.is_alive()
    };
    let targets: Vec<String> = observed.iter().filter(served).map(|task| task.name.clone()).collect();
    (!targets.is_empty()).then(|| HostService {
        host: service.host.clone(),
        key: service.key.clone(),
        generation,
        release: previous.release,
        routes: routes(&previous.config),
        targets,
        port: config.port.unwrap_or(service.port),
        probe: probe(config),
        deadline: config.health.deadline,
        drain: config.stop.drain,
        hold: config.hold,
    })
}
