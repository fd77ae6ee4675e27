//! Waiting for a task's health, as its engine sees it. An end of the process ends the wait in the same moment.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum};
use futures_util::StreamExt;
use windlass_core::Timestamp;
use windlass_core::config::HealthCheck;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::plan::TaskHealthCheck;
use windlass_core::secrets::Masker;
use windlass_core::task::{TaskHealth, TaskStatus};

use crate::engine::Engine;
use crate::images::HealthTimes;

/// Events wake a wait; this stands behind them.
const SAFETY_NET: Duration = Duration::from_secs(3);

impl Engine {
    /// Waits until the engine holds the task for healthy. A task that a gateway asks (`path`, or a port) only has to
    /// run for that.
    ///
    /// # Errors
    ///
    /// `task_exited` in the moment in which it ends; `unhealthy` when the deadline is over, or when its image has no
    /// health check and should.
    pub async fn await_healthy(&self, check: &TaskHealthCheck, masker: &Masker) -> Result<(), Failure> {
        let name = &check.task.name;
        let deadline = match &check.health.check {
            // It says itself how long it takes.
            HealthCheck::Stable(_) => None,
            HealthCheck::Path(_) | HealthCheck::Port | HealthCheck::Command(_) | HealthCheck::Docker => {
                Some(check.health.deadline.0)
            }
        };
        tokio::select! {
            biased;
            healthy = self.becomes_healthy(check) => healthy,
            failure = self.unwanted_end(name, masker) => Err(failure),
            () = over(deadline) => Err(self.not_healthy(check, masker).await),
        }
    }

    /// Waits until the task, which was healthy, is that no more; never comes back if it stays so, or has no check.
    pub(crate) async fn becomes_unhealthy(&self, name: &str, masker: &Masker) -> Failure {
        let mut changes = self.health_changes(name).chain(futures_util::stream::pending());
        loop {
            match self.look(name).await {
                Ok(task) if task.health == TaskHealth::Unhealthy => {
                    let log = self.last_lines(name, masker).await;
                    let summary = format!(
                        "the health check of {name} on {} fails{}",
                        self.host(),
                        self.last_answer(name, masker).await
                    );
                    return Failure::new(FailureCode::Unhealthy, summary).log(log);
                }
                // Without a check it never will be.
                Ok(task) if task.health == TaskHealth::Unknown && task.status == TaskStatus::Running => {
                    std::future::pending().await
                }
                Ok(_) | Err(_) => {}
            }
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep(SAFETY_NET) => {}
            }
        }
    }

    async fn becomes_healthy(&self, check: &TaskHealthCheck) -> Result<(), Failure> {
        let name = &check.task.name;
        let mut changes = self.health_changes(name).chain(futures_util::stream::pending());
        loop {
            let container = self.inspect(name).await.map_err(|error| error.into_failure(FailureCode::Unhealthy))?;
            let running = container.state.as_ref().and_then(|state| state.running).unwrap_or_default();
            match &check.health.check {
                _ if !running => {}
                HealthCheck::Path(_) | HealthCheck::Port => return Ok(()),
                HealthCheck::Stable(time) => {
                    tokio::time::sleep(time.0.saturating_sub(age(&container))).await;
                    return Ok(());
                }
                HealthCheck::Command(_) | HealthCheck::Docker => match health(&container) {
                    Some(HealthStatusEnum::HEALTHY) => return Ok(()),
                    None | Some(HealthStatusEnum::NONE) => return Err(no_check(name)),
                    Some(HealthStatusEnum::EMPTY | HealthStatusEnum::STARTING | HealthStatusEnum::UNHEALTHY) => {}
                },
            }
            tokio::select! {
                _ = changes.next() => {}
                () = tokio::time::sleep(SAFETY_NET) => {}
            }
        }
    }

    async fn not_healthy(&self, check: &TaskHealthCheck, masker: &Masker) -> Failure {
        let name = &check.task.name;
        let mut answer = self.last_answer(name, masker).await;
        let deadline = check.health.deadline;
        let mut hint = None;
        if answer.is_empty()
            && let Some(times) = self.health_times(name).await
        {
            let first = times.first();
            answer = format!(": its first check comes after {first}, the interval, and none has ended");
            hint = Some(match &check.health.check {
                HealthCheck::Docker => format!(
                    "raise `deadline` of the role's `health` well above {first}, or give the image's HEALTHCHECK a shorter \
                     `--interval`"
                ),
                _ => "raise `deadline` of the role's `health`, or lower its `interval`".to_owned(),
            });
        }
        let summary = format!("{name} on {} was not healthy within {deadline}{answer}", self.host());
        let failure = Failure::new(FailureCode::Unhealthy, summary).log(self.last_lines(name, masker).await);
        match hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    async fn health_times(&self, name: &str) -> Option<HealthTimes> {
        let container = self.inspect(name).await.ok()?;
        HealthTimes::of(&container.config?.healthcheck?)
    }

    /// What the container's own check said last, as the end of a sentence.
    async fn last_answer(&self, name: &str, masker: &Masker) -> String {
        let last = self.inspect(name).await.ok().and_then(|container| container.state?.health?.log?.pop());
        let Some(last) = last else { return String::new() };
        let code = last.exit_code.unwrap_or_default();
        let output = last.output.unwrap_or_default();
        let output = masker.mask(output.trim()).into_owned();
        if output.is_empty() {
            format!(": its check ended with {code}")
        } else {
            format!(": its check ended with {code} and said `{output}`")
        }
    }
}

async fn over(deadline: Option<Duration>) {
    match deadline {
        Some(deadline) => tokio::time::sleep(deadline).await,
        None => std::future::pending().await,
    }
}

fn health(container: &ContainerInspectResponse) -> Option<HealthStatusEnum> {
    container.state.as_ref()?.health.as_ref()?.status
}

/// How long its process has been running; nothing if the clocks disagree.
fn age(container: &ContainerInspectResponse) -> Duration {
    let started = container.state.as_ref().and_then(|state| crate::docker::time(state.started_at.as_deref()));
    let age = started.and_then(|started| Duration::try_from(Timestamp::now().duration_since(started)).ok());
    age.unwrap_or_default()
}

fn no_check(name: &str) -> Failure {
    let summary = format!("{name} should say itself whether it is healthy, but its image has no HEALTHCHECK");
    Failure::new(FailureCode::Unhealthy, summary)
        .hint("give the Dockerfile a HEALTHCHECK, or the role another check: `health = { path = \"/up\" }`")
}
