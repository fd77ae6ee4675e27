//! Forgets deliveries: their bodies when nobody looks into them any more, and then the rest.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use super::BackgroundTask;
use crate::app::App;

/// A body is kept so long for people who want to know what GitHub said.
const KEEP_BODIES: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A delivery is known so long: ten times as long as GitHub delivers one again.
const KEEP: SignedDuration = SignedDuration::from_hours(30 * 24);
/// Transactions stay short, so that new deliveries need not wait.
const AT_ONCE: u32 = 200;

pub(crate) struct Forgetting(pub(crate) Arc<App>);

impl BackgroundTask for Forgetting {
    const NAME: &'static str = "forgetting";
    const PERIOD: Duration = Duration::from_secs(60 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let app = &*self.0;
        let (bodies, all) = (app.now().saturating_sub(KEEP_BODIES)?, app.now().saturating_sub(KEEP)?);
        while app.store.empty_deliveries(bodies, AT_ONCE).await? > 0 {}
        while app.store.forget_deliveries(all, AT_ONCE).await? > 0 {}
        while app.store.forget_redeliveries(bodies, AT_ONCE).await? > 0 {}
        Ok(None)
    }
}
