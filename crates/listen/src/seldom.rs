//! Says something that may happen a thousand times a second once a while.

use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Lets the first through, and then one a while.
#[derive(Debug)]
pub struct Seldom {
    pause: Duration,
    said: Mutex<(Option<Instant>, u64)>,
}

impl Seldom {
    /// One in each such time.
    #[must_use]
    pub const fn new(pause: Duration) -> Self {
        Self { pause, said: Mutex::new((None, 0)) }
    }

    /// Counts; when the time has come to say it, how often it happened since it was last said.
    pub fn count(&self) -> Option<u64> {
        let mut said = self.said.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        said.1 += 1;
        if said.0.is_some_and(|at| at.elapsed() < self.pause) {
            return None;
        }
        said.0 = Some(Instant::now());
        Some(std::mem::take(&mut said.1))
    }
}

impl Default for Seldom {
    /// Once a minute.
    fn default() -> Self {
        Self::new(Duration::from_secs(60))
    }
}
