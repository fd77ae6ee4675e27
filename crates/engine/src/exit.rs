//! The end of a container's process: waited for, and put in words.

use std::time::Duration;

use bollard::errors::Error;
use bollard::query_parameters::WaitContainerOptions;
use futures_util::StreamExt;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::plain::{cut, plain};
use windlass_core::quantity::tenths;
use windlass_core::secrets::Masker;
use windlass_core::task::{Exit, LogLine, ObservedTask, TaskStatus};

use crate::engine::Engine;
use crate::error::EngineError;

/// So many of a container's last lines explain its end.
const LAST_LINES: u64 = 20;

/// Of each of them.
const LONGEST_LAST_LINE: usize = 2 * 1024;

/// Between two tries to reach an engine that does not answer.
const RETRY: Duration = Duration::from_millis(500);

impl Engine {
    /// Waits until the container's process has ended; at once if it has ended before. The engine itself holds the
    /// answer back until then. An engine that restarts meanwhile is asked again.
    ///
    /// # Errors
    ///
    /// When there is no such container of ours, or none any more.
    pub async fn ended(&self, name: &str) -> Result<Exit, EngineError> {
        loop {
            let told = self.wait_for_end(name).await;
            match (told, self.look(name).await) {
                (_, Err(EngineError::Unreachable { .. })) => tokio::time::sleep(RETRY).await,
                (_, Err(error)) => return Err(error),
                (_, Ok(ObservedTask { exit: Some(exit), .. })) => return Ok(exit),
                // It ended, and Docker has started it again.
                (Some(code), Ok(task)) if task.status.is_alive() => return Ok(Exit { code, out_of_memory: false }),
                // Somebody is removing it.
                (Some(code), Ok(task)) if task.status == TaskStatus::Deprovisioning => {
                    return Ok(Exit { code, out_of_memory: false });
                }
                (Some(_), Ok(_)) => {
                    return Err(EngineError::Refused {
                        host: self.host().clone(),
                        action: format!("wait for the end of {name}"),
                        status: None,
                        reason: "it was never started".to_owned(),
                    });
                }
                // The connection broke before the end.
                (None, Ok(_)) => tokio::time::sleep(RETRY).await,
            }
        }
    }

    /// How the container's process ended; `None` while it runs or before it starts.
    ///
    /// # Errors
    ///
    /// When there is no such container of ours.
    pub async fn exit(&self, name: &str) -> Result<Option<Exit>, EngineError> {
        Ok(self.look(name).await?.exit)
    }

    async fn wait_for_end(&self, name: &str) -> Option<i64> {
        let options = WaitContainerOptions { condition: "not-running".to_owned() };
        match Box::pin(self.docker().wait_container(name, Some(options))).next().await {
            Some(Ok(end)) => Some(end.status_code),
            Some(Err(Error::DockerContainerWaitError { code, .. })) => Some(code),
            Some(Err(_)) | None => None,
        }
    }

    /// Waits for the end that should not come, and tells why it came.
    pub(crate) async fn unwanted_end(&self, name: &str, masker: &Masker) -> Failure {
        match self.ended(name).await {
            Ok(exit) => self.exited(name, exit, masker).await,
            Err(error) => error.into_failure(FailureCode::TaskExited),
        }
    }

    pub(crate) async fn exited(&self, name: &str, exit: Exit, masker: &Masker) -> Failure {
        let lifetime = self
            .look(name)
            .await
            .ok()
            .filter(|task| task.status == TaskStatus::Stopped)
            .and_then(|task| Some(format!(", {}s after it started", tenths(task.started?, task.stopped?))));
        let host = self.host();
        let summary = format!("{name} on {host} ended with {exit}{}", lifetime.unwrap_or_default());
        let failure = Failure::new(FailureCode::TaskExited, summary).log(self.last_lines(name, masker).await);
        if exit.out_of_memory {
            failure.hint("give the role more with `resources = { memory = … }`, or find what it needs the memory for")
        } else {
            failure
        }
    }

    /// What it said last; nothing if it cannot be read, since that must not hide what went wrong before.
    pub(crate) async fn last_lines(&self, name: &str, masker: &Masker) -> Vec<String> {
        let options = crate::LogOptions { tail: Some(LAST_LINES), ..Default::default() };
        let lines = self.logs(name, options, masker);
        let shown = |line: LogLine| cut(&plain(&line.line), LONGEST_LAST_LINE).into_owned();
        let lines = lines.filter_map(|line| std::future::ready(line.ok().map(shown)));
        lines.collect().await
    }
}
