//! Forgets jobs that signed in long ago.

use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;

use crate::service::Service;
use crate::work::BackgroundTask;

/// A session is kept so long after its end: whoever still uses it is told why it is refused, and GitHub's token, which
/// lives for minutes, cannot be exchanged again.
const REMEMBER: SignedDuration = SignedDuration::from_hours(24);

pub(crate) struct Sessions(pub(crate) Arc<Service>);

impl BackgroundTask for Sessions {
    const NAME: &'static str = "sessions";
    const PERIOD: Duration = Duration::from_secs(60 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let forgotten = self.0.store.forget_sessions(self.0.clock.now().saturating_sub(REMEMBER)?).await?;
        if forgotten > 0 {
            tracing::debug!(forgotten, "jobs' sessions forgotten");
        }
        Ok(None)
    }
}
