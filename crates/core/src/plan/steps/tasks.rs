//! The new tasks: each one's name, environment, limits; or an old one of the same making, to be started again.

use std::collections::BTreeMap;

use crate::config::RoleConfig;
use crate::labels::{Kind, TaskLabels};
use crate::names::{AppName, HostName, RoleName};
use crate::plan::steps::observed_task;
use crate::plan::{DeploymentKind, DesiredApp, DesiredState, PlanHost, scale_of};
use crate::task::{HostTask, ObservedTask, TaskSpec, TaskStatus};

/// What it says of itself to the app; the one value that differs between two deployments of the same.
const OWN_NAME: &str = "WINDLASS_TASK";

/// A role's tasks on these hosts, and which of them are warm.
pub(super) fn of_role(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    app: &AppName,
    wanted: &DesiredApp,
    (role, config): (&RoleName, &RoleConfig),
    hosts: &[&PlanHost],
) -> (Vec<TaskSpec>, Vec<HostTask>) {
    let scale = scale_of(role, config, &wanted.settings);
    let places = hosts.iter().flat_map(|host| (1..=scale).map(|number| (&host.name, number)));
    let mut warm: Vec<HostTask> = Vec::new();
    let tasks = places.map(|(host, number)| {
        let task = service_task(desired, app, wanted, role, config, host, number);
        let known = warm_task(desired, observed, wanted, &task, &warm);
        if let Some(known) = known {
            warm.push(known.place());
            return known.clone();
        }
        task
    });
    (tasks.collect(), warm)
}

/// A container of the same image, settings and secrets that only stopped starts in a fraction of the time that a new one
/// takes. A redeployment is there to have new ones.
fn warm_task<'a>(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    wanted: &'a DesiredApp,
    task: &TaskSpec,
    taken: &[HostTask],
) -> Option<&'a TaskSpec> {
    if desired.kind == DeploymentKind::Redeploy {
        return None;
    }
    wanted.warm.iter().find(|known| {
        let stopped = observed.iter().any(|seen| {
            observed_task(seen) == known.place() && seen.status == TaskStatus::Stopped && seen.labels == known.labels
        });
        stopped && !taken.contains(&known.place()) && is_same_but_for_its_deployment(known, task)
    })
}

fn is_same_but_for_its_deployment(known: &TaskSpec, task: &TaskSpec) -> bool {
    let mut known = known.clone();
    known.name.clone_from(&task.name);
    known.labels.deployment.clone_from(&task.labels.deployment);
    known.labels.generation = task.labels.generation;
    known.env.insert(OWN_NAME.to_owned(), task.name.clone());
    known == *task
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
pub(in crate::plan) fn one_task(
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
        sandbox: desired.limits.confine(&config.sandbox),
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
        (OWN_NAME, name.to_owned()),
    ];
    env.extend(own.map(|(key, value)| (key.to_owned(), value)));
    env
}
