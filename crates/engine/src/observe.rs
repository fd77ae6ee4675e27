//! What runs on a host, in our words.

use std::collections::BTreeMap;
use std::net::IpAddr;

use bollard::models::{ContainerInspectResponse, ContainerState, ContainerStateStatusEnum as Docker, HealthStatusEnum};
use bollard::query_parameters::{InspectContainerOptions, ListContainersOptions};
use futures_util::{StreamExt, TryStreamExt, stream};
use windlass_core::labels::{self, TaskLabels};
use windlass_core::task::{Exit, ObservedTask, TaskHealth, TaskStatus};

use crate::docker::{Filters, time};
use crate::engine::Engine;
use crate::error::EngineError;

/// So many containers are looked at together.
const AT_ONCE: usize = 16;

impl Engine {
    /// Every container of this installation, in whatever state.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn observe(&self) -> Result<Vec<ObservedTask>, EngineError> {
        self.agree_once().await?;
        let options = ListContainersOptions { all: true, filters: self.ours().build(), ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        let looks = list.into_iter().filter_map(|container| container.id).map(|id| async move {
            match self.look(&id).await {
                Ok(task) => Ok(Some(task)),
                // Removed since the list was made, or nobody of this version wrote its labels.
                Err(EngineError::NoContainer { .. } | EngineError::Foreign { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let mut tasks: Vec<ObservedTask> = stream::iter(looks)
            .buffer_unordered(AT_ONCE)
            .try_filter_map(|task| std::future::ready(Ok(task)))
            .try_collect()
            .await?;
        tasks.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(tasks)
    }

    /// Containers of Windlass that are not this installation's: how many, by installation.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn other_installations(&self) -> Result<BTreeMap<String, usize>, EngineError> {
        let filters = Filters::default().with("label", labels::INSTALLATION).build();
        let options = ListContainersOptions { all: true, filters, ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        let own = self.installation().to_string();
        let mut others = BTreeMap::new();
        for mut container in list {
            let whose = container.labels.as_mut().and_then(|labels| labels.remove(labels::INSTALLATION));
            if let Some(whose) = whose.filter(|whose| *whose != own) {
                *others.entry(whose).or_default() += 1;
            }
        }
        Ok(others)
    }

    /// One container, by its name or Docker's id.
    ///
    /// # Errors
    ///
    /// When there is none, or it is not ours.
    pub async fn look(&self, name: &str) -> Result<ObservedTask, EngineError> {
        let container = self.inspect(name).await?;
        self.observed(&container)
    }

    /// As Docker has it, if it is ours.
    pub(crate) async fn inspect(&self, name: &str) -> Result<ContainerInspectResponse, EngineError> {
        self.agree_once().await?;
        let container = self.docker().inspect_container(name, None::<InspectContainerOptions>).await;
        let container = container.map_err(|error| self.container_error("look at container", name, &error))?;
        let installation = label(&container, labels::INSTALLATION);
        if installation == Some(self.installation().to_string().as_str()) {
            Ok(container)
        } else {
            Err(EngineError::Foreign { host: self.host().clone(), name: name.to_owned() })
        }
    }

    pub(crate) fn observed(&self, container: &ContainerInspectResponse) -> Result<ObservedTask, EngineError> {
        let name = container.name.as_deref().unwrap_or_default().trim_start_matches('/').to_owned();
        let Some(labels) = TaskLabels::from_map(|key| label(container, key)) else {
            return Err(EngineError::Foreign { host: self.host().clone(), name });
        };
        let nothing = ContainerState::default();
        let state = container.state.as_ref().unwrap_or(&nothing);
        let status = status_of(state);
        let ended = status == TaskStatus::Stopped;
        let address = self.address_of(container, &labels).filter(|_| status.is_alive());
        Ok(ObservedTask {
            host: self.host().clone(),
            container: container.id.clone().unwrap_or_default(),
            name,
            labels,
            status,
            health: health_of(state),
            address,
            started: time(state.started_at.as_deref()),
            stopped: time(state.finished_at.as_deref()).filter(|_| ended),
            exit: ended.then(|| exit_of(state)),
        })
    }
}

pub(crate) fn exit_of(state: &ContainerState) -> Exit {
    Exit { code: state.exit_code.unwrap_or_default(), out_of_memory: state.oom_killed.unwrap_or_default() }
}

fn label<'a>(container: &'a ContainerInspectResponse, key: &str) -> Option<&'a str> {
    container.config.as_ref()?.labels.as_ref()?.get(key).map(String::as_str)
}

fn status_of(state: &ContainerState) -> TaskStatus {
    let starting = state.health.as_ref().and_then(|health| health.status) == Some(HealthStatusEnum::STARTING);
    match state.status {
        None | Some(Docker::EMPTY | Docker::CREATED) => TaskStatus::Pending,
        Some(Docker::RUNNING) if starting => TaskStatus::Activating,
        Some(Docker::RUNNING | Docker::PAUSED) => TaskStatus::Running,
        Some(Docker::RESTARTING) => TaskStatus::Activating,
        Some(Docker::STOPPING) => TaskStatus::Stopping,
        Some(Docker::REMOVING) => TaskStatus::Deprovisioning,
        Some(Docker::EXITED | Docker::DEAD) => TaskStatus::Stopped,
    }
}

fn health_of(state: &ContainerState) -> TaskHealth {
    match state.health.as_ref().and_then(|health| health.status) {
        Some(HealthStatusEnum::HEALTHY) => TaskHealth::Healthy,
        Some(HealthStatusEnum::UNHEALTHY) => TaskHealth::Unhealthy,
        None | Some(HealthStatusEnum::EMPTY | HealthStatusEnum::NONE | HealthStatusEnum::STARTING) => {
            TaskHealth::Unknown
        }
    }
}

impl Engine {
    /// On its stage's network, or on the one that all stages shared before.
    fn address_of(&self, container: &ContainerInspectResponse, labels: &TaskLabels) -> Option<IpAddr> {
        self.network_names(labels).iter().find_map(|network| address_in(container, network))
    }
}

/// The one it has, or, while Docker waits before it starts the container again, the one that is reserved for it.
fn address_in(container: &ContainerInspectResponse, network: &str) -> Option<IpAddr> {
    let endpoint = container.network_settings.as_ref()?.networks.as_ref()?.get(network)?;
    let now = endpoint.ip_address.as_ref().and_then(|address| address.parse().ok());
    now.or_else(|| endpoint.ipam_config.as_ref()?.ipv4_address.as_ref()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bollard::models::Health;

    fn state(status: Docker, health: Option<HealthStatusEnum>) -> ContainerState {
        let health = health.map(|status| Health { status: Some(status), ..Default::default() });
        ContainerState { status: Some(status), health, ..Default::default() }
    }

    #[test]
    fn a_running_task_is_activating_until_its_first_check_has_ended() {
        let of = |status, health| (status_of(&state(status, health)), health_of(&state(status, health)));
        assert_eq!(of(Docker::RUNNING, None), (TaskStatus::Running, TaskHealth::Unknown));
        assert_eq!(
            of(Docker::RUNNING, Some(HealthStatusEnum::STARTING)),
            (TaskStatus::Activating, TaskHealth::Unknown)
        );
        assert_eq!(of(Docker::RUNNING, Some(HealthStatusEnum::HEALTHY)), (TaskStatus::Running, TaskHealth::Healthy));
        assert_eq!(of(Docker::CREATED, None).0, TaskStatus::Pending);
        assert_eq!(of(Docker::EXITED, None).0, TaskStatus::Stopped);
        assert_eq!(of(Docker::REMOVING, None).0, TaskStatus::Deprovisioning);
    }
}
