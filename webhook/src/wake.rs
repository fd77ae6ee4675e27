//! What wakes the background work.

use std::sync::Arc;

use tokio::sync::Notify;

/// Wakes background tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake {
    pub(crate) branches: Arc<Notify>,
    pub(crate) certificates: Arc<Notify>,
    pub(crate) comments: Arc<Notify>,
    pub(crate) deliveries: Arc<Notify>,
    pub(crate) forgetting: Arc<Notify>,
    pub(crate) missed: Arc<Notify>,
    pub(crate) outbox: Arc<Notify>,
    pub(crate) projects: Arc<Notify>,
    pub(crate) pulls: Arc<Notify>,
    pub(crate) reconcile: Arc<Notify>,
    pub(crate) retention: Arc<Notify>,
    pub(crate) sessions: Arc<Notify>,
    pub(crate) stages: Arc<Notify>,
    pub(crate) tasks: Arc<Notify>,
}

impl Wake {
    /// All of them look again.
    pub(crate) fn everybody(&self) {
        let Self { branches, certificates, comments, deliveries, forgetting, missed, outbox, .. } = self;
        let Self { projects, pulls, reconcile, retention, sessions, stages, tasks, .. } = self;
        for task in [branches, certificates, comments, deliveries, forgetting, missed, outbox] {
            task.notify_one();
        }
        for task in [projects, pulls, reconcile, retention, sessions, stages, tasks] {
            task.notify_one();
        }
    }
}
