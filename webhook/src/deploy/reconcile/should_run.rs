//! What each host has to run for a stage: what the plans of its active deployments say. A task is known by its host and
//! its container's name; its labels may name an earlier deployment, when a rollback has started it again.

use std::collections::BTreeMap;

use windlass_core::gateway::{ServiceKey, SetMaintenance};
use windlass_core::names::{AppName, HostName, RepositoryId};
use windlass_core::plan::{HostService, Plan, Step};
use windlass_core::task::TaskSpec;

/// One host's part.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct ShouldRun {
    pub(super) tasks: Vec<TaskSpec>,
    /// Their order is the order of their writes. The generation is the plan's, and so in the past.
    pub(super) services: Vec<HostService>,
    /// What its gateway should know of those that are kept from their clients.
    pub(super) maintenance: Vec<SetMaintenance>,
}

impl ShouldRun {
    /// Takes what is said of the services that are here.
    pub(super) fn keep_from_clients(&mut self, said: &[SetMaintenance]) {
        let here = said.iter().filter(|said| self.services.iter().any(|service| service.key == said.key));
        self.maintenance = here.cloned().collect();
    }
}

/// Of each app's plan that app's part: another app of the same plan may have another deployment by now.
pub(super) fn of_hosts(plans: &[(AppName, Plan)], project: RepositoryId) -> BTreeMap<HostName, ShouldRun> {
    let mut by_host: BTreeMap<HostName, ShouldRun> = BTreeMap::new();
    for (app, plan) in plans {
        for task in plan.tasks().filter(|task| task.labels.app == *app) {
            by_host.entry(task.host.clone()).or_default().tasks.push(task.clone());
        }
        let key = ServiceKey::new(project, &plan.stage, app);
        let switched = plan.steps.iter().flat_map(|step| match step {
            Step::Switch { services } => services.as_slice(),
            _ => &[],
        });
        for service in switched.filter(|service| service.key == key) {
            by_host.entry(service.host.clone()).or_default().services.push(service.clone());
        }
    }
    by_host
}
