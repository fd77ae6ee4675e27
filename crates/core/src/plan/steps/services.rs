//! What the gateways shall know of an app's primary role.

use std::collections::BTreeSet;

use crate::config::{AppConfig, HealthCheck, Limits, RoleConfig};
use crate::gateway::{Probe, Route, ServiceKey};
use crate::names::AppName;
use crate::plan::steps::role::places;
use crate::plan::{DesiredApp, DesiredState, GatewayPresence, HostService, PlanError};
use crate::task::TaskSpec;

pub(super) fn of_role(
    desired: &DesiredState<'_>,
    app: &AppName,
    wanted: &DesiredApp,
    config: &RoleConfig,
    tasks: &[TaskSpec],
) -> Result<Vec<HostService>, PlanError> {
    let Some(port) = config.port.filter(|_| !wanted.config.url.is_empty()) else { return Ok(Vec::new()) };
    let mut services = Vec::new();
    for host in places(desired, config) {
        if host.gateway == GatewayPresence::Absent {
            return Err(PlanError::NoGateway { app: app.clone(), host: host.name.clone() });
        }
        services.push(HostService {
            host: host.name.clone(),
            key: ServiceKey::new(desired.repository, &desired.stage, app),
            generation: desired.generations().switch,
            release: wanted.release,
            routes: routes(desired.limits, &wanted.config),
            targets: tasks.iter().filter(|task| task.host == host.name).map(|task| task.name.clone()).collect(),
            port,
            probe: probe(config),
            deadline: config.health.deadline,
            drain: config.stop.drain,
            hold: config.hold,
            https: is_https(&wanted.config),
            protocol: config.protocol,
            hsts: wanted.config.hsts,
        });
    }
    Ok(services)
}

pub(super) fn routes(limits: &Limits, config: &AppConfig) -> Vec<Route> {
    let routes =
        config.addresses().map(|(_, route)| Route { shares_host: limits.shares_host_of(route), ..route.clone() });
    let unique: BTreeSet<Route> = routes.collect();
    unique.into_iter().collect()
}

/// Whether nobody asks for it in the clear.
pub(super) fn is_https(config: &AppConfig) -> bool {
    !config.url.is_empty() && config.url.iter().all(|url| url.https)
}

pub(super) fn probe(config: &RoleConfig) -> Probe {
    let path = match &config.health.check {
        HealthCheck::Path(path) => Some(path.clone()),
        HealthCheck::Command(_) | HealthCheck::Docker | HealthCheck::Port | HealthCheck::Stable(_) => None,
    };
    Probe { path, interval: config.health.interval, timeout: config.health.timeout }
}
