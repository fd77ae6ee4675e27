//! Level-triggered background work. An event only wakes a task; the task reads the world again and acts on what is.
//! Start-up wakes them all, so that recovery is no separate code; a slow period stands behind each as a safety net.

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
