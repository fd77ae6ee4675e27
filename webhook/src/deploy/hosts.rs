//! Which hosts a stage has.

use windlass_core::config::{ServerConfig, StagePolicy};
use windlass_core::names::HostName;
use windlass_core::plan::{self, GatewayPresence, PlanHost};
use windlass_core::stage::Stage;
use windlass_engine::Host;

use crate::service::Service;

/// The stage's hosts, as the server's file has them.
pub(crate) fn plan_hosts(server: &ServerConfig, policy: &StagePolicy) -> Vec<PlanHost> {
    let host = |(name, host): (&HostName, &windlass_core::config::HostConfig)| PlanHost {
        name: name.clone(),
        labels: host.labels.clone(),
        gateway: if host.gateway.is_some() { GatewayPresence::Present } else { GatewayPresence::Absent },
    };
    let all: Vec<PlanHost> = server.hosts.iter().map(host).collect();
    let selectors = (!policy.hosts.is_empty()).then_some(&policy.hosts[..]);
    plan::hosts_of(selectors, &all).into_iter().cloned().collect()
}

/// The same, as they are reached.
pub(crate) fn hosts_of<'a>(service: &'a Service, stage: &Stage) -> Vec<(&'a HostName, &'a Host)> {
    let Some(policy) = service.settings.server.policy(stage) else { return Vec::new() };
    let selected = plan_hosts(&service.settings.server, policy);
    service.hosts.iter().filter(|(name, _)| selected.iter().any(|host| host.name == **name)).collect()
}
