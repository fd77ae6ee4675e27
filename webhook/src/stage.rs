//! Which stage of which project: the key of nearly everything that is stored.

use std::fmt;

use windlass_core::config::HostSelector;
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
        let is_of_stage = |name: &HostName| {
            let labels = self.settings.server.hosts.get(name).map(|host| &host.labels);
            policy.hosts.is_empty()
                || policy.hosts.iter().any(|selector| match selector {
                    HostSelector::Name(selected) => selected == name,
                    HostSelector::Label(label) => labels.is_some_and(|labels| labels.contains(label)),
                })
        };
        self.hosts.iter().filter(|(name, _)| is_of_stage(name)).collect()
    }
}
