//! Which hosts a stage has.

use windlass_core::names::HostName;
use windlass_core::stage::Stage;
use windlass_engine::Host;

use crate::service::App;

impl App {
    /// The hosts that the server's file gives a stage.
    pub(crate) fn hosts_of(&self, stage: &Stage) -> Vec<(&HostName, &Host)> {
        let Some(policy) = self.policy(stage) else { return Vec::new() };
        let selected = self.plan_hosts(policy);
        self.hosts.iter().filter(|(name, _)| selected.iter().any(|host| host.name == **name)).collect()
    }
}
