//! What should run, looked at and brought back.

use bollard::models::{ContainerInspectResponse, RestartPolicyNameEnum};
use windlass_core::task::ObservedTask;

use crate::engine::Engine;
use crate::error::EngineError;

/// A container that should run, as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundContainer {
    pub task: ObservedTask,
    /// Whether Docker starts it again when its process ends.
    pub kept: bool,
}

impl Engine {
    /// Looks for a container by its name. `None`: there is none.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or the name is somebody else's.
    pub async fn find_task(&self, name: &str) -> Result<Option<FoundContainer>, EngineError> {
        match self.inspect(name).await {
            Ok(container) => Ok(Some(FoundContainer { task: self.observed(&container)?, kept: is_kept(&container) })),
            Err(EngineError::NoContainer { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Starts a container that has ended, or was never started. From then on Docker does.
    ///
    /// # Errors
    ///
    /// When the engine does not answer or cannot start it, or has no such container of ours.
    pub async fn revive(&self, name: &str) -> Result<(), EngineError> {
        self.inspect(name).await?;
        self.start(name).await?;
        self.keep(name).await
    }
}

fn is_kept(container: &ContainerInspectResponse) -> bool {
    let policy = container.host_config.as_ref().and_then(|host| host.restart_policy.as_ref()?.name);
    policy == Some(RestartPolicyNameEnum::UNLESS_STOPPED)
}
