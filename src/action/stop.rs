//! The job is cancelled: the runner sends SIGINT, SIGTERM after 7.5 s and SIGKILL after 2.5 s more.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use windlass_core::names::DeploymentId;

use super::log::Log;
use crate::client::Client;
use crate::error::{CommandError, Status};

/// How long the service may take to hear that the job was cancelled. The runner kills soon.
const PATIENCE: Duration = Duration::from_secs(4);

/// Listens from now on; ends when somebody asks the step to stop.
pub(super) fn asked_to() -> impl Future<Output = ()> {
    let listen = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        match listen {
            [Ok(mut interrupt), Ok(mut terminate)] => {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
            }
            // Without signals the runner's kill is what ends it.
            _ => std::future::pending().await,
        }
    }
}

/// The deployment that the step waits for, which must hear of the job's end.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Mutex<Option<(Client, DeploymentId)>>);

impl UnderWay {
    pub(super) fn begins(&self, client: &Client, id: &DeploymentId) {
        *self.slot() = Some((client.clone(), id.clone()));
    }

    pub(super) fn ended(&self) {
        *self.slot() = None;
    }

    /// Sends the one message, and says what became of it.
    pub(super) async fn cancel(&self, log: &Log) -> CommandError {
        let cancelled =
            CommandError::failed("the job was cancelled").coded("cancelled").with_status(Status::Interrupted);
        let Some((client, id)) = self.slot().take() else {
            return cancelled.because("nothing was deployed");
        };
        log.line(&format!("the job was cancelled; telling the service to cancel deployment {id}"));
        match tokio::time::timeout(PATIENCE, client.cancel(&id)).await {
            Ok(Ok(_)) => cancelled.because(format!(
                "deployment {id} is undone, unless its traffic has moved already; its page says which"
            )),
            Ok(Err(error)) => cancelled.because(format!("deployment {id} goes on: {error}")),
            Err(_) => cancelled.because(format!("deployment {id} may go on: the service did not answer in time")),
        }
    }

    fn slot(&self) -> std::sync::MutexGuard<'_, Option<(Client, DeploymentId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
