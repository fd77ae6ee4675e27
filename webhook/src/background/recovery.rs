//! Goes on by itself after writes have failed: waits until one succeeds, and then wakes everybody, since nobody knows
//! whose work it was that broke off. What GitHub was refused meanwhile, it is asked for again.

use std::sync::Arc;
use std::time::Duration;

use crate::readiness::Readiness;
use crate::service::Service;
use crate::work::BackgroundTask;

/// Between two looks, and before the first: whoever failed has ended by then, and been answered.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) struct Recovery(pub(crate) Arc<Service>);

impl BackgroundTask for Recovery {
    const NAME: &'static str = "recovery";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &*self.0;
        if !service.store.was_in_trouble() {
            return Ok(None);
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            if service.readiness.look(&service.store).await == Readiness::Ready {
                break;
            }
        }
        // What failed while we looked is what we looked for.
        service.store.was_in_trouble();
        tracing::info!("writes succeed again: all work goes on");
        service.wake.everybody();
        Ok(None)
    }
}
