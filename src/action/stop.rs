//! The job is cancelled: the runner sends SIGINT, SIGTERM after 7.5 s and SIGKILL after 2.5 s more.

use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use windlass_core::names::DeploymentId;

use super::log::Log;
use crate::client::{Client, ClientError};
use crate::error::{CommandError, Status};

/// How long the service may take to hear that the job was cancelled: the runner kills soon.
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

/// The deployment that the step asks for or waits for, which must hear of the job's end.
#[derive(Debug)]
pub(super) struct UnderWay(watch::Sender<State>);

#[derive(Debug, Clone, Default)]
enum State {
    #[default]
    Nothing,
    /// The service may have heard of it, and has not said which it is.
    Asking,
    Known(Client, DeploymentId),
}

impl Default for UnderWay {
    fn default() -> Self {
        Self(watch::Sender::new(State::Nothing))
    }
}

impl UnderWay {
    pub(super) fn asking(&self) {
        self.0.send_replace(State::Asking);
    }

    pub(super) fn begins(&self, client: &Client, id: &DeploymentId) {
        self.0.send_replace(State::Known(client.clone(), id.clone()));
    }

    pub(super) fn ended(&self) {
        self.0.send_replace(State::Nothing);
    }

    /// Until it is known which deployment was asked for, if one was; not for long.
    pub(super) async fn settles(&self) {
        let mut state = self.0.subscribe();
        let settled = state.wait_for(|state| !matches!(state, State::Asking));
        let _ = tokio::time::timeout(PATIENCE / 2, settled).await;
    }

    /// Sends the one message, and says what became of it.
    pub(super) async fn cancel(&self, log: &Log) -> CommandError {
        let cancelled =
            CommandError::failed("the job was cancelled").coded("cancelled").with_status(Status::Interrupted);
        let (client, id) = match self.0.send_replace(State::Nothing) {
            State::Nothing => return cancelled.because("nothing was deployed"),
            State::Asking => {
                return cancelled
                    .because("a deployment was asked for, and may have begun")
                    .hint("`windlass status` says");
            }
            State::Known(client, id) => (client, id),
        };
        log.line(&format!("the job was cancelled; telling the service to cancel deployment {id}"));
        cancelled.because(match tokio::time::timeout(PATIENCE / 2, client.cancel_before_switch(&id)).await {
            Ok(Ok(_)) => {
                format!("deployment {id} is undone, unless its traffic has moved already; its page says which")
            }
            Ok(Err(ClientError::Problem(problem))) => format!("deployment {id} was not cancelled: {problem}"),
            Ok(Err(error)) => format!("deployment {id} may go on: {error}"),
            Err(_) => format!("deployment {id} may go on: the service did not answer in time"),
        })
    }
}
