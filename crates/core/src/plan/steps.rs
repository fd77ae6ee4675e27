//! How a plan comes about, top down: what each role needs, and in which order.

mod back;
mod retire;
mod role;
mod services;
mod tasks;

use crate::config::{HealthCheck, Strategy};
use crate::labels::Kind;
use crate::names::{AppName, HostName};
use crate::plan::{
    AppChange, DeploymentKind, DesiredApp, DesiredState, HostImage, HostService, Plan, PlanError, Revert, Step,
    TaskHealthCheck,
};
use crate::quantity::Duration;
use crate::task::{HostTask, ObservedTask, TaskSpec};

use role::RolePart;
pub(super) use tasks::one_task;

pub(super) fn plan(desired: &DesiredState<'_>, observed: &[ObservedTask]) -> Result<Plan, PlanError> {
    let mut parts = Vec::new();
    for (app, wanted) in &desired.apps {
        for (role, config) in &wanted.config.roles {
            parts.push(RolePart::new(desired, observed, app, wanted, role, config)?);
        }
    }
    let new: Vec<HostTask> = parts.iter().flat_map(|part| &part.tasks).map(TaskSpec::place).collect();
    let services: Vec<_> = parts.iter().flat_map(|part| &part.services).cloned().collect();
    let held: Vec<_> = parts.iter().flat_map(|part| &part.hold).cloned().collect();
    let watch = desired.apps.values().map(|app| app.config.watch).max().unwrap_or(Duration::from_secs(0));

    let mut steps = vec![prepare(desired, &parts)];
    steps.extend(desired.apps.iter().filter_map(|(app, wanted)| migrate(desired, app, wanted, &parts)));
    let order = Order::of(&parts);
    for together in [order.primary, order.beside, order.exchanged_primary] {
        steps.extend(boot_and_verify(desired, &together));
    }
    steps.push(Step::Switch { services: services.clone() });
    for together in [order.behind, order.exchanged] {
        steps.extend(boot_and_verify(desired, &together));
    }
    steps.push(Step::Watch { tasks: new.clone(), services: services.clone(), time: watch });
    steps.push(retire::retire(desired, observed, &parts));

    let (switch, unroute) = back::way_back(desired, observed, &services, &held);
    Ok(Plan {
        deployment: desired.deployment.clone(),
        kind: desired.kind,
        project: desired.project.clone(),
        stage: desired.stage.clone(),
        generation: desired.generation,
        revert_generation: desired.generations().revert,
        apps: desired.apps.iter().map(|(name, app)| (name.clone(), change(app))).collect(),
        revert: Revert { switch, unroute, remove: new },
        steps,
    })
}

/// Which roles start together, one group after the other.
#[derive(Default)]
struct Order<'a> {
    /// They have the traffic, and run beside the old ones.
    primary: Vec<&'a RolePart<'a>>,
    /// Beside the old ones, once their primary role is healthy.
    beside: Vec<&'a RolePart<'a>>,
    /// They have the traffic, which is held meanwhile: the last before the switch.
    exchanged_primary: Vec<&'a RolePart<'a>>,
    /// What waits for those. Nobody's request waits for it, so it comes behind the switch.
    behind: Vec<&'a RolePart<'a>>,
    /// Without traffic, in the old ones' place: nothing old stops before every host has switched.
    exchanged: Vec<&'a RolePart<'a>>,
}

impl<'a> Order<'a> {
    fn of(parts: &'a [RolePart<'a>]) -> Self {
        let mut order = Self::default();
        for part in parts {
            let primary_is_exchanged =
                parts.iter().any(|other| other.app == part.app && other.config.primary && other.is_exchanged());
            let group = match (part.config.primary, part.is_exchanged()) {
                (true, false) => &mut order.primary,
                (true, true) => &mut order.exchanged_primary,
                (false, true) => &mut order.exchanged,
                (false, false) if primary_is_exchanged => &mut order.behind,
                (false, false) => &mut order.beside,
            };
            group.push(part);
        }
        order
    }
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

fn observed_task(task: &ObservedTask) -> HostTask {
    HostTask { host: task.host.clone(), name: task.name.clone() }
}

/// A service task of one of these apps that is not this deployment's own.
fn is_old_service(desired: &DesiredState<'_>, task: &ObservedTask) -> bool {
    let labels = &task.labels;
    labels.installation == desired.installation
        && labels.project == desired.repository
        && labels.stage == desired.stage
        && labels.kind == Kind::Service
        && desired.apps.contains_key(&labels.app)
        && labels.deployment.as_ref() != Some(&desired.deployment)
}

fn prepare(desired: &DesiredState<'_>, parts: &[RolePart<'_>]) -> Step {
    let own_check = |task: &TaskSpec| {
        task.health.as_ref().filter(|health| health.check == HealthCheck::Docker).map(|health| health.deadline)
    };
    let tasks = parts.iter().flat_map(|part| &part.tasks);
    let by_task = tasks.map(|task| (&task.host, &task.image, own_check(task)));
    let first_host = desired.hosts.first().map(|host| &host.name);
    let for_migrations = desired.apps.values().filter_map(|app| Some((first_host?, &app.image, None)));
    let mut images: Vec<HostImage> = Vec::new();
    for (host, image, health_deadline) in by_task.chain(for_migrations) {
        match images.iter_mut().find(|known| known.host == *host && known.image == *image) {
            Some(known) => {
                known.health_deadline = known.health_deadline.into_iter().chain(health_deadline).min();
            }
            None => images.push(HostImage { host: host.clone(), image: image.clone(), health_deadline }),
        }
    }
    Step::Prepare { images }
}

/// A release's migration runs once, and a rollback runs none.
fn migrate(desired: &DesiredState<'_>, app: &AppName, wanted: &DesiredApp, parts: &[RolePart<'_>]) -> Option<Step> {
    let migrate = wanted.config.migrate.as_ref()?;
    if wanted.migrated || desired.kind == DeploymentKind::Rollback {
        return None;
    }
    let primary = parts.iter().find(|part| part.app == app && part.config.primary);
    let first_task = primary.and_then(|part| part.tasks.first()).map(|task| &task.host);
    let host = first_task.or_else(|| desired.hosts.first().map(|host| &host.name))?;
    let mut task = one_task(desired, app, wanted, wanted.config.primary()?, Kind::Task, host, "migrate");
    task.command = Some(migrate.command.clone());
    Some(Step::Migrate { app: app.clone(), task: Box::new(task), timeout: migrate.timeout })
}

/// By batches of hosts, but for what must be out everywhere before the first new task starts.
fn boot_and_verify(desired: &DesiredState<'_>, parts: &[&RolePart<'_>]) -> Vec<Step> {
    let hosts: Vec<&HostName> = desired.hosts.iter().map(|host| &host.name).collect();
    let everywhere_at_once = parts
        .iter()
        .any(|part| part.is_exchanged() && (part.config.primary || part.config.strategy != Strategy::StopFirst));
    let limits = desired.apps.values().map(|app| app.config.boot.limit.of(hosts.len()));
    let batch = if everywhere_at_once { hosts.len() } else { limits.min().unwrap_or(1) };
    let pause = desired.apps.values().map(|app| app.config.boot.wait).max().filter(|pause| !pause.0.is_zero());
    let mut steps = Vec::new();
    for batch in hosts.chunks(batch.max(1)) {
        let here = |host: &HostName| batch.contains(&host);
        let tasks: Vec<TaskSpec> =
            parts.iter().flat_map(|part| &part.tasks).filter(|task| here(&task.host)).cloned().collect();
        // The first batch sees to hosts that the stage has no more, too.
        let first = steps.is_empty();
        let here_or_gone = |host: &HostName| here(host) || (first && !hosts.contains(&host));
        let replaces: Vec<_> =
            parts.iter().flat_map(|part| &part.replaces).filter(|old| here_or_gone(&old.task.host)).cloned().collect();
        if tasks.is_empty() && replaces.is_empty() {
            continue;
        }
        let check = |task: &TaskSpec| Some(TaskHealthCheck { task: task.place(), health: task.health.clone()? });
        let checks = tasks.iter().filter_map(check).collect();
        let of_hosts = |all: for<'b> fn(&'b RolePart<'_>) -> &'b [HostService]| {
            parts.iter().flat_map(|part| all(part)).filter(|service| here_or_gone(&service.host)).cloned().collect()
        };
        let warm = parts.iter().flat_map(|part| &part.warm).filter(|task| here(&task.host)).cloned().collect();
        let wait = if steps.is_empty() { None } else { pause };
        steps.push(Step::Boot { wait, hold: of_hosts(|part| &part.hold), replaces, warm, tasks });
        steps.push(Step::Verify { tasks: checks, services: of_hosts(|part| &part.services) });
    }
    steps
}
