//! How far old tasks have given way to new ones, for the way back.

use crate::names::Generation;
use crate::plan::{HostService, Plan, RetiredTask, Step};
use crate::task::{HostTask, TaskSpec};

/// What has to be taken back, new tasks first: never two at once on the way back either.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exchanged {
    /// For the gateways, while there is nobody to send to.
    pub hold: Vec<HostService>,
    /// New tasks that took an old one's place.
    pub remove: Vec<HostTask>,
    /// Old tasks that were stopped for them, of the release that was active.
    pub restart: Vec<RetiredTask>,
}

impl Exchanged {
    /// Whether the service's requests wait for the exchange.
    #[must_use]
    pub fn holds(&self, service: &HostService) -> bool {
        self.hold.iter().any(|held| held.host == service.host && held.key == service.key)
    }
}

impl Plan {
    /// What the steps up to `reached`, that one included, have exchanged or may have begun to.
    #[must_use]
    pub fn exchanged(&self, reached: usize) -> Exchanged {
        let mut exchanged = Exchanged::default();
        for step in self.steps.iter().take(reached.saturating_add(1)) {
            if let Step::Boot { hold, replaces, tasks, .. } = step
                && !replaces.is_empty()
            {
                let generation = Generation(self.revert_generation.0.saturating_sub(1));
                exchanged.hold.extend(hold.iter().map(|service| HostService { generation, ..service.clone() }));
                exchanged.remove.extend(tasks.iter().map(TaskSpec::place));
                exchanged.restart.extend(replaces.iter().filter(|old| old.returns).cloned());
            }
        }
        exchanged
    }
}
