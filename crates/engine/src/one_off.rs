//! One-off tasks: run once, with their real end.

use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::mpsc;
use windlass_core::Timestamp;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::quantity;
use windlass_core::secrets::{Masker, Secrets};
use windlass_core::task::{Exit, LogLine, TaskSpec};

use crate::boot::{Ended, Placed};
use crate::engine::Engine;
use crate::logs::LogOptions;

/// How long a one-off task may take, and what it is called when it takes longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeLimit {
    /// From the start of its process.
    pub time: quantity::Duration,
    /// Of the failure.
    pub code: FailureCode,
}

/// After the end, how long the last lines may take to arrive.
const LAST_LINES_WITHIN: Duration = Duration::from_secs(10);

impl Engine {
    /// Runs the task and waits for its end. A container of that name and these labels is the same run, begun before a
    /// restart of the service: it is waited for, or its end is taken, and no second one is started.
    ///
    /// Every line since the beginning goes to `log`, without the secrets. The container stays for the caller to remove,
    /// once the end is on record. Whoever drops the call leaves the container running.
    ///
    /// # Errors
    ///
    /// As [`Engine::boot`], and with the limit's code when the time is over; then it is stopped.
    pub async fn run_to_end(
        &self,
        task: &TaskSpec,
        secrets: &Secrets,
        limit: TimeLimit,
        log: mpsc::Sender<LogLine>,
    ) -> Result<Exit, Failure> {
        let masker = secrets.masker();
        // Boxed: what makes a container keeps much, and who waits for the end need not carry it on.
        let placed = Box::pin(self.place(task, secrets, Ended::Fails)).await?;
        let mut pump = std::pin::pin!(self.pump(&task.name, &masker, log));
        let exit = match placed {
            Placed::Ended(exit) => exit,
            Placed::Started | Placed::Running => {
                let left = limit.time.0.saturating_sub(self.age(&task.name).await);
                let mut end = std::pin::pin!(tokio::time::timeout(left, self.ended(&task.name)));
                let end = tokio::select! {
                    end = &mut end => end,
                    // The log is through, and so the end is near.
                    () = &mut pump => return self.conclude(end.await, task, limit, &masker).await,
                };
                self.conclude(end, task, limit, &masker).await?
            }
        };
        // A reader that is too slow gets no more; the end counts.
        let _ = tokio::time::timeout(LAST_LINES_WITHIN, pump).await;
        Ok(exit)
    }

    async fn conclude(
        &self,
        end: Result<Result<Exit, crate::EngineError>, tokio::time::error::Elapsed>,
        task: &TaskSpec,
        limit: TimeLimit,
        masker: &Masker,
    ) -> Result<Exit, Failure> {
        match end {
            Ok(end) => end.map_err(|error| error.into_failure(FailureCode::BootFailed)),
            Err(_) => Err(self.out_of_time(task, limit, masker).await),
        }
    }

    async fn out_of_time(&self, task: &TaskSpec, limit: TimeLimit, masker: &Masker) -> Failure {
        let stopped = self.stop(&task.name, &task.stop.signal, task.stop.grace.0).await;
        let command = task.command.as_deref().unwrap_or_default().join(" ");
        let mut summary = format!("`{command}` did not end within {} and was stopped", limit.time);
        if let Err(error) = stopped {
            summary = format!("`{command}` did not end within {}, and {error}", limit.time);
        }
        Failure::new(limit.code, summary)
            .hint("give it a longer `timeout`, or let it do less")
            .log(self.last_lines(&task.name, masker).await)
    }

    async fn pump(&self, name: &str, masker: &Masker, log: mpsc::Sender<LogLine>) {
        let mut lines = self.logs(name, LogOptions { follow: true, ..Default::default() }, masker);
        while let Some(line) = lines.next().await {
            match line {
                Ok(line) => {
                    if log.send(line).await.is_err() {
                        return;
                    }
                }
                Err(error) => {
                    tracing::warn!(container = name, %error, "lost its log");
                    return;
                }
            }
        }
    }

    async fn age(&self, name: &str) -> Duration {
        let started = self.look(name).await.ok().and_then(|task| task.started);
        let age = started.and_then(|started| Duration::try_from(Timestamp::now().duration_since(started)).ok());
        age.unwrap_or_default()
    }
}
