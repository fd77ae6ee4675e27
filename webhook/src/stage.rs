//! Which stage of which project: the key of nearly everything that is stored.

use std::fmt;

use windlass_core::names::{HostName, ProjectName, StageName};
use windlass_engine::Host;

use crate::app::App;

/// One stage of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StageKey {
    /// As the server's file names it.
    pub(crate) project: ProjectName,
    /// As the server's file names it.
    pub(crate) stage: StageName,
}

impl fmt::Display for StageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.project, self.stage)
    }
}

impl App {
    /// The hosts that the server's file gives a stage.
    pub(crate) fn hosts_of(&self, stage: &StageKey) -> Vec<(&HostName, &Host)> {
        let Some(policy) = self.policy(stage) else { return Vec::new() };
        let selected = self.plan_hosts(policy);
        self.hosts.iter().filter(|(name, _)| selected.iter().any(|host| host.name == **name)).collect()
    }
}
