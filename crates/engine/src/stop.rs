//! The end of containers: asked politely, then not, then gone.

use std::time::Duration;

use bollard::models::{ContainerUpdateBody, RestartPolicy, RestartPolicyNameEnum};
use bollard::query_parameters::{KillContainerOptions, RemoveContainerOptions};
use windlass_core::task::TaskStatus;
use windlass_docker::status;

use crate::engine::Engine;
use crate::error::EngineError;

/// How long the kernel may take to end a process that got `SIGKILL`.
const KILLED_WITHIN: Duration = Duration::from_secs(30);

impl Engine {
    /// Sends the signal, waits for the end, and sends `SIGKILL` when `grace` is over. Docker will not start it again. A
    /// container that is stopped, or not there, is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, the container is not ours, or it does not even end when killed.
    pub async fn stop(&self, name: &str, signal: &str, grace: Duration) -> Result<(), EngineError> {
        let task = match self.look(name).await {
            Err(EngineError::NoContainer { .. }) => return Ok(()),
            task => task?,
        };
        if !task.status.is_alive() {
            return Ok(());
        }
        self.set_restart(name, RestartPolicyNameEnum::NO).await?;
        self.kill(name, signal).await?;
        if let Ok(ended) = tokio::time::timeout(grace, self.gone_or_ended(name)).await {
            return ended;
        }
        tracing::info!(container = name, ?grace, "did not end after {signal}; sending SIGKILL");
        self.kill(name, "SIGKILL").await?;
        let ended = tokio::time::timeout(KILLED_WITHIN, self.gone_or_ended(name)).await;
        ended.unwrap_or_else(|_| {
            Err(EngineError::Refused {
                host: self.host().clone(),
                action: format!("stop {name}"),
                status: None,
                reason: format!("it still runs {}s after SIGKILL", KILLED_WITHIN.as_secs()),
            })
        })
    }

    /// Ends and removes the container and its unnamed volumes. One that is not there is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or the container is not ours.
    pub async fn remove(&self, name: &str) -> Result<(), EngineError> {
        // One that is being made now is waited for.
        self.idle().await;
        let container = match self.inspect(name).await {
            Err(EngineError::NoContainer { .. }) => return Ok(()),
            container => container?,
        };
        // By id: should somebody give the name to another one now, that one stays.
        let id = container.id.unwrap_or_else(|| name.to_owned());
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match self.docker().remove_container(&id, Some(options)).await {
            // Somebody else is at it, or was quicker.
            Err(error) if matches!(status(&error), Some(404)) => Ok(()),
            Err(error) if matches!(status(&error), Some(409)) => self.removed(&id).await,
            removed => removed.map_err(|error| self.container_error("remove", name, &error)),
        }
    }

    /// Removes the container unless it runs: then somebody has started it again, and it is theirs. Docker itself decides
    /// between the two. One that is not there is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or the container is not ours.
    pub async fn remove_stopped(&self, name: &str) -> Result<(), EngineError> {
        let container = match self.inspect(name).await {
            Err(EngineError::NoContainer { .. }) => return Ok(()),
            container => container?,
        };
        let id = container.id.unwrap_or_else(|| name.to_owned());
        let options = RemoveContainerOptions { v: true, force: false, link: false };
        match self.docker().remove_container(&id, Some(options)).await {
            Err(error) if matches!(status(&error), Some(404)) => Ok(()),
            Err(error) if matches!(status(&error), Some(409)) => match self.look(name).await {
                Ok(task) if task.status.is_alive() => Ok(()),
                // Somebody else is removing it.
                Ok(_) | Err(_) => self.removed(&id).await,
            },
            removed => removed.map_err(|error| self.container_error("remove", name, &error)),
        }
    }

    /// From now on Docker starts it again when its process ends or the daemon restarts.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or has no such container of ours.
    pub async fn keep(&self, name: &str) -> Result<(), EngineError> {
        self.inspect(name).await?;
        self.set_restart(name, RestartPolicyNameEnum::UNLESS_STOPPED).await
    }

    async fn set_restart(&self, name: &str, policy: RestartPolicyNameEnum) -> Result<(), EngineError> {
        let restart_policy = Some(RestartPolicy { name: Some(policy), maximum_retry_count: None });
        let update = ContainerUpdateBody { restart_policy, ..Default::default() };
        match self.docker().update_container(name, update).await {
            // It is being removed, so nothing starts it again.
            Err(error) if status(&error) == Some(409) && policy == RestartPolicyNameEnum::NO => Ok(()),
            // It has ended since it was looked at, and what was asked to end is not started again.
            Err(_)
                if policy == RestartPolicyNameEnum::NO
                    && self.look(name).await.is_ok_and(|it| !it.status.is_alive()) =>
            {
                Ok(())
            }
            updated => updated.map_err(|error| self.container_error("update", name, &error)),
        }
    }

    pub(crate) async fn kill(&self, name: &str, signal: &str) -> Result<(), EngineError> {
        let options = KillContainerOptions { signal: signal.to_owned() };
        match self.docker().kill_container(name, Some(options)).await {
            // It has ended since it was looked at.
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            Err(error) if self.look(name).await.is_ok_and(|task| task.status == TaskStatus::Stopped) => {
                tracing::debug!(container = name, %error, "ended by itself");
                Ok(())
            }
            killed => killed.map_err(|error| self.container_error(&format!("send {signal} to"), name, &error)),
        }
    }

    async fn gone_or_ended(&self, name: &str) -> Result<(), EngineError> {
        match self.ended(name).await {
            Err(EngineError::NoContainer { .. }) => Ok(()),
            ended => ended.map(drop),
        }
    }

    async fn removed(&self, id: &str) -> Result<(), EngineError> {
        let options = bollard::query_parameters::WaitContainerOptions { condition: "removed".to_owned() };
        let mut waiting = Box::pin(self.docker().wait_container(id, Some(options)));
        while futures_util::StreamExt::next(&mut waiting).await.is_some_and(|end| end.is_ok()) {}
        match self.inspect(id).await {
            Err(EngineError::NoContainer { .. }) => Ok(()),
            Ok(_) => Err(EngineError::Refused {
                host: self.host().clone(),
                action: format!("remove {id}"),
                status: Some(409),
                reason: "its removal has begun and does not end".to_owned(),
            }),
            Err(error) => Err(error),
        }
    }
}
