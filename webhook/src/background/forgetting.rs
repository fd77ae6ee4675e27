//! Forgets what has ended, each kind in its time: deliveries, whose bodies go first; logs, deployments, one-off tasks, the
//! audit and commits as the server's file says.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use windlass_core::config::Keep;
use windlass_core::quantity::Duration as Length;

use crate::service::Service;
use crate::store::StoreError;
use crate::work::BackgroundTask;

/// A body is kept so long for people who want to know what GitHub said.
const KEEP_BODIES: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A delivery is known so long: ten times as long as GitHub delivers one again.
const KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Transactions stay short, so that new deliveries need not wait.
const AT_ONCE: u32 = 200;
/// Deployments have events, a plan and notices, which go with them.
const DEPLOYMENTS_AT_ONCE: u32 = 10;

pub(crate) struct Forgetting(pub(crate) Arc<Service>);

impl BackgroundTask for Forgetting {
    const NAME: &'static str = "forgetting";
    const PERIOD: Duration = Duration::from_secs(60 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &*self.0;
        let (bodies, all) =
            (service.clock.now().saturating_sub(KEEP_BODIES)?, service.clock.now().saturating_sub(KEEP)?);
        while service.store.empty_deliveries(bodies, AT_ONCE).await? > 0 {}
        while service.store.forget_deliveries(all, AT_ONCE).await? > 0 {}
        while service.store.forget_redeliveries(bodies, AT_ONCE).await? > 0 {}
        forget_what_ended(service, &service.settings.server.keep).await?;
        Ok(None)
    }
}

async fn forget_what_ended(service: &Service, keep: &Keep) -> Result<(), StoreError> {
    let store = &service.store;
    let before = |kept: Length| before(service.clock.now(), kept);
    let (logs, deployments, tasks) = (before(keep.logs), before(keep.deployments), before(keep.tasks));
    while store.forget_logs(logs, AT_ONCE).await? > 0 {}
    while store.forget_deployments(deployments, DEPLOYMENTS_AT_ONCE).await? > 0 {}
    // What a task wrote goes first, also where it is said to be kept longer than the task.
    while store.forget_task_logs(logs.max(tasks), AT_ONCE).await? > 0 {}
    while store.forget_tasks(tasks, AT_ONCE).await? > 0 {}
    while store.forget_audit(before(keep.audit), AT_ONCE).await? > 0 {}
    while store.forget_commits(before(keep.commits), AT_ONCE).await? > 0 {}
    Ok(())
}

fn before(now: Timestamp, kept: Length) -> Timestamp {
    let kept = SignedDuration::try_from(kept.0).unwrap_or(SignedDuration::MAX);
    now.saturating_sub(kept).unwrap_or(Timestamp::MIN)
}
