//! What is left to do about the old tasks once the new ones serve.

use std::collections::BTreeSet;

use crate::config::Stop;
use crate::gateway::ServiceKey;
use crate::plan::steps::role::RolePart;
use crate::plan::steps::{is_old_service, observed_task};
use crate::plan::{DesiredState, RetiredTask, Step, UnroutedService};
use crate::task::{HostTask, Image, ObservedTask, TaskSpec};

/// Whatever of these apps runs now is stopped and kept; what was stopped before goes for good, unless it serves again.
pub(super) fn retire(desired: &DesiredState<'_>, observed: &[ObservedTask], parts: &[RolePart<'_>]) -> Step {
    let new: BTreeSet<HostTask> = parts.iter().flat_map(|part| &part.tasks).map(TaskSpec::place).collect();
    let old = observed.iter().filter(|task| is_old_service(desired, task) && !new.contains(&observed_task(task)));
    let (running, stopped): (Vec<_>, Vec<_>) = old.partition(|task| task.status.is_alive());
    Step::Retire {
        unroute: no_longer_routed(desired, &running, parts),
        stop: running.into_iter().map(|task| retired_task(desired, task)).collect(),
        remove: stopped.into_iter().map(observed_task).collect(),
        latest: latest(desired),
    }
}

/// Only a registry has tags; and several apps may share an image.
fn latest(desired: &DesiredState<'_>) -> Vec<Image> {
    let mut images: Vec<Image> = Vec::new();
    for image in desired.apps.values().map(|app| &app.image).filter(|image| desired.latest && image.name.is_some()) {
        if !images.contains(image) {
            images.push(image.clone());
        }
    }
    images
}

/// How its own release wants it to end.
pub(super) fn retired_task(desired: &DesiredState<'_>, task: &ObservedTask) -> RetiredTask {
    let previous = desired.apps.get(&task.labels.app).and_then(|app| app.previous.as_ref());
    let role = previous.and_then(|previous| previous.config.roles.get(&task.labels.role));
    let Stop { signal, grace, .. } = role.map(|role| role.stop.clone()).unwrap_or_default();
    let key = ServiceKey::new(desired.repository, &desired.stage, &task.labels.app);
    let returns = previous.is_some_and(|previous| previous.tasks.contains(&observed_task(task)));
    RetiredTask { task: observed_task(task), key: Some(key), signal, grace, returns }
}

/// A release that drops its URL, or a host, leaves a route behind that nothing else would take away.
fn no_longer_routed(
    desired: &DesiredState<'_>,
    running: &[&ObservedTask],
    parts: &[RolePart<'_>],
) -> Vec<UnroutedService> {
    let mut unroute: Vec<UnroutedService> = Vec::new();
    for task in running {
        let previous = desired.apps.get(&task.labels.app).and_then(|app| app.previous.as_ref());
        let routed = previous.is_some_and(|previous| {
            !previous.config.url.is_empty()
                && previous.config.primary().is_some_and(|(role, _)| *role == task.labels.role)
        });
        let key = ServiceKey::new(desired.repository, &desired.stage, &task.labels.app);
        let mut services = parts.iter().flat_map(|part| &part.services);
        let still = services.any(|service| service.host == task.host && service.key == key);
        let known = unroute.iter().any(|service| service.host == task.host && service.key == key);
        if routed && !still && !known {
            let generation = desired.generations().switch;
            unroute.push(UnroutedService { host: task.host.clone(), key, generation });
        }
    }
    unroute
}
