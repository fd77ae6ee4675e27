//! The way back: what the gateways had before.

use crate::gateway::ServiceKey;
use crate::names::{AppName, Generation, HostName};
use crate::plan::steps::services::{is_https, probe, routes};
use crate::plan::steps::{is_old_service, observed_task};
use crate::plan::{DesiredApp, DesiredState, HostService, UnroutedService};
use crate::task::ObservedTask;

/// For each service that will be told something: what it had before, or that there was none.
pub(super) fn way_back(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    services: &[HostService],
    held: &[HostService],
) -> (Vec<HostService>, Vec<UnroutedService>) {
    let generation = desired.generations().revert;
    let mut switch = Vec::new();
    let mut unroute = Vec::new();
    let elsewhere =
        held.iter().filter(|held| !services.iter().any(|service| service.host == held.host && service.key == held.key));
    for service in services.iter().chain(elsewhere) {
        let of_service = |app: &AppName| ServiceKey::new(desired.repository, &desired.stage, app) == service.key;
        let app = desired.apps.iter().find(|(app, _)| of_service(app));
        match app.and_then(|app| previous_service(desired, observed, app, &service.host, generation)) {
            Some(previous) => switch.push(previous),
            None => unroute.push(UnroutedService { host: service.host.clone(), key: service.key.clone(), generation }),
        }
    }
    (switch, unroute)
}

/// What a host's gateway has of an app now, if tasks of its active release run there.
pub(super) fn previous_service(
    desired: &DesiredState<'_>,
    observed: &[ObservedTask],
    (app, wanted): (&AppName, &DesiredApp),
    host: &HostName,
    generation: Generation,
) -> Option<HostService> {
    let previous = wanted.previous.as_ref()?;
    let (role, config) = previous.config.primary()?;
    let port = config.port.filter(|_| !previous.config.url.is_empty())?;
    let served = |task: &&ObservedTask| {
        is_old_service(desired, task)
            && task.host == *host
            && task.labels.app == *app
            && task.labels.role == *role
            && previous.tasks.contains(&observed_task(task))
            && task.status.is_alive()
    };
    let targets: Vec<String> = observed.iter().filter(served).map(|task| task.name.clone()).collect();
    (!targets.is_empty()).then(|| HostService {
        host: host.clone(),
        key: ServiceKey::new(desired.repository, &desired.stage, app),
        generation,
        release: previous.release,
        routes: routes(desired.limits, &previous.config),
        targets,
        port,
        probe: probe(config),
        deadline: config.health.deadline,
        drain: config.stop.drain,
        hold: config.hold,
        https: is_https(&previous.config),
        protocol: config.protocol,
        hsts: previous.config.hsts,
    })
}
