//! How long a command tries to come back to a service that has gone away.

use std::time::{Duration, Instant};

use crate::client::{ClientError, is_transient};

/// A restart of the service, or of what lies between, takes less.
const PATIENCE: Duration = Duration::from_secs(60);
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Between a broken connection and the next that works.
#[derive(Debug)]
pub(crate) struct Patience {
    lost: Option<Instant>,
    pause: Duration,
}

impl Patience {
    pub(crate) const fn new() -> Self {
        Self { lost: None, pause: FIRST_PAUSE }
    }

    /// The service answers.
    pub(crate) const fn connected(&mut self) {
        self.lost = None;
    }

    /// And it says something new: the next break is a first one again.
    pub(crate) const fn heard(&mut self) {
        *self = Self::new();
    }

    /// Waits a little before the next try. `true` when this is the first one since the service last answered.
    ///
    /// # Errors
    ///
    /// With `error` itself when trying again does not help, or was tried for long enough.
    pub(crate) async fn after(&mut self, error: ClientError) -> Result<bool, ClientError> {
        let first = self.lost.is_none();
        let lost = *self.lost.get_or_insert_with(Instant::now);
        if !is_transient(&error) || lost.elapsed() >= PATIENCE {
            return Err(error);
        }
        self.pause().await;
        Ok(first)
    }

    /// Waits a little, longer each time.
    pub(crate) async fn pause(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use windlass_core::problem::Problem;

    fn problem(status: u16) -> ClientError {
        ClientError::Problem(Box::new(Problem::new(status, "x", "x")))
    }

    #[tokio::test]
    async fn a_service_that_says_no_is_not_asked_again_and_one_that_is_ill_is() {
        let mut patience = Patience::new();
        assert!(patience.after(problem(404)).await.is_err());
        let mut patience = Patience::new();
        assert!(matches!(patience.after(problem(503)).await, Ok(true)));
        assert!(matches!(patience.after(problem(503)).await, Ok(false)));
        patience.connected();
        assert!(matches!(patience.after(problem(503)).await, Ok(true)));
    }
}
