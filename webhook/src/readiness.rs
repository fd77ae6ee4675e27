//! Whether the service can do what it is asked for: it can while a write reaches the disk.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use tokio::sync::Mutex;

use crate::store::Store;

/// Anybody may ask; the disk is asked no more often than this.
const AGE: Duration = Duration::from_secs(1);
/// A write that takes longer is one that nobody waits for.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a write would say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Readiness {
    Ready,
    /// The log says why.
    NotReady,
}

/// Looks, and remembers for a moment what it saw.
#[derive(Debug, Default)]
pub(crate) struct WriteProbe(Mutex<Option<(Instant, Readiness)>>);

impl WriteProbe {
    /// Whoever comes while another looks gets what that one saw.
    pub(crate) async fn look(&self, store: &Store) -> Readiness {
        let mut last = self.0.lock().await;
        if let Some((at, readiness)) = *last
            && at.elapsed() < AGE
        {
            return readiness;
        }
        let tried = tokio::time::timeout(PATIENCE, store.try_to_write(Timestamp::now())).await;
        let why = match tried {
            Ok(Ok(())) => None,
            Ok(Err(error)) => Some(format!("{:#}", anyhow::Error::new(error))),
            Err(_) => Some(format!("a write takes longer than {} s", PATIENCE.as_secs())),
        };
        let before = last.map_or(Readiness::Ready, |(_, readiness)| readiness);
        let now = if why.is_none() { Readiness::Ready } else { Readiness::NotReady };
        match (before, why) {
            (Readiness::Ready, Some(why)) => {
                tracing::error!(why, "the store cannot be written: the service is not ready")
            }
            (Readiness::NotReady, None) => tracing::info!("the store can be written again"),
            (Readiness::Ready, None) | (Readiness::NotReady, Some(_)) => {}
        }
        *last = Some((Instant::now(), now));
        now
    }
}
