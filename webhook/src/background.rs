//! Level-triggered background work. An event only wakes a task; the task reads the world again and acts on what is.
//! Start-up wakes them all, so that recovery is no separate code; a slow period stands behind each as a safety net.

pub(crate) mod branches;
pub(crate) mod comments;
pub(crate) mod deliveries;
pub(crate) mod forgetting;
pub(crate) mod missed;
pub(crate) mod outbox;
pub(crate) mod projects;
pub(crate) mod pulls;
pub(crate) mod reconcile;
pub(crate) mod recovery;
pub(crate) mod retention;
pub(crate) mod sessions;
pub(crate) mod stages;
pub(crate) mod tasks;
#[cfg(test)]
pub(crate) mod told;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Work that looks at the world and does what is to be done, again and again.
pub(crate) trait BackgroundTask: Send + Sync + 'static {
    /// In the log.
    const NAME: &'static str;
    /// When to look again although nothing was heard.
    const PERIOD: Duration;

    /// Looks once. Gets no hint of why it was woken. Returns when to look again, if that is sooner than the period.
    fn activate(&self) -> impl Future<Output = anyhow::Result<Option<Duration>>> + Send;
}

/// Wakes background tasks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wake {
    pub(crate) branches: Arc<Notify>,
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
        let Self { branches, comments, deliveries, forgetting, missed, outbox, .. } = self;
        let Self { projects, pulls, reconcile, retention, sessions, stages, tasks, .. } = self;
        for task in [branches, comments, deliveries, forgetting, missed, outbox] {
            task.notify_one();
        }
        for task in [projects, pulls, reconcile, retention, sessions, stages, tasks] {
            task.notify_one();
        }
    }
}

/// Runs a task until the shutdown.
pub(crate) fn drive<T: BackgroundTask>(task: T, wake: Arc<Notify>, tracker: &TaskTracker, shutdown: CancellationToken) {
    tracker.spawn(async move {
        while !shutdown.is_cancelled() {
            // Whatever it is at can be begun again: an end does not wait for GitHub.
            let activated = tokio::select! {
                activated = task.activate() => activated,
                () = shutdown.cancelled() => return,
            };
            let sooner = match activated {
                Ok(sooner) => sooner,
                Err(error) => {
                    tracing::error!(task = T::NAME, error = format!("{error:#}"), "background task failed");
                    None
                }
            };
            let period = sooner.map_or(T::PERIOD, |sooner| sooner.min(T::PERIOD));
            tokio::select! {
                () = wake.notified() => {}
                () = tokio::time::sleep(period) => {}
                () = shutdown.cancelled() => {}
            }
        }
    });
}
