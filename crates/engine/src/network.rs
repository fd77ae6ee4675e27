//! A network for each stage of each project: its containers meet there and nobody else's do, and its gateway, which runs
//! on the host itself, finds them there.

mod addresses;

use std::collections::{BTreeSet, HashMap};

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest};
use bollard::query_parameters::{ListContainersOptions, ListNetworksOptions};
use windlass_core::labels::{self, TaskLabels};
use windlass_core::names::{RepositoryId, StageName};
use windlass_core::subnet::Subnet;
use windlass_docker::status;

use crate::engine::Engine;
use crate::error::EngineError;

/// How large a network is: 512 addresses, a quarter of them for Docker to give away.
const PREFIX: u8 = 23;

impl Engine {
    /// Makes the network of the task's stage unless it is there, and gives its id.
    ///
    /// Docker lets two callers make two networks of one name. Whoever made one therefore looks again: the older one
    /// stays, and since both sides agree on which that is, exactly one is left.
    ///
    /// # Errors
    ///
    /// When the engine does not answer or cannot make it.
    pub async fn ensure_network(&self, of: &TaskLabels) -> Result<String, EngineError> {
        let (engine, of) = (self.clone(), of.clone());
        self.to_the_end(async move { engine.make_network_unless_there(&of).await }).await
    }

    /// Goes on to its end when the caller goes away: Docker would make what it was asked for all the same, and whoever
    /// removes it must find it.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, EngineError>> + Send + 'static,
    ) -> Result<T, EngineError> {
        tokio::spawn(work).await.unwrap_or_else(|broken| {
            Err(EngineError::Refused {
                host: self.host().clone(),
                action: "do what it was asked for".to_owned(),
                status: None,
                reason: broken.to_string(),
            })
        })
    }

    /// Containers can have addresses of their own only where the subnet was asked for. Where the search for one begins
    /// is told by the name, so that several installations seldom want the same.
    async fn make_network_unless_there(&self, of: &TaskLabels) -> Result<String, EngineError> {
        let _one_at_a_time = self.network_lock().lock().await;
        let (name, pool) = (self.network_name(of), self.networks_pool());
        let (first, count) = (begin(&name), pool.parts(PREFIX));
        let mut refusal = None;
        let mut tried = 0;
        while tried < count {
            let there = self.networks_there().await?;
            if let Some(id) = self.oldest(&there, &name) {
                return Ok(id);
            }
            let taken: Vec<Subnet> = there.iter().flat_map(subnets).collect();
            let part = |number: u32| pool.part(PREFIX, first.wrapping_add(number) % count);
            let is_free = |number: &u32| !taken.iter().any(|taken| taken.overlaps(part(*number)));
            let Some(number) = (tried..count).find(is_free) else { break };
            match self.create_network(of, &name, part(number)).await {
                Ok(made) => return self.settle(made, &name).await,
                // Somebody else was quicker: with the name, or with the addresses.
                Err(error) if is_taken(&error) => refusal = Some(error),
                Err(error) => return Err(error),
            }
            tried = number + 1;
        }
        Err(refusal.unwrap_or_else(|| self.no_room()))
    }

    /// What the network of a stage is called. It does not change with the project's name.
    #[must_use]
    pub fn network_name(&self, of: &TaskLabels) -> String {
        format!("{}-{}-{}", self.old_network_name(), of.project, of.stage)
    }

    /// The one that all stages shared before each had its own. What is on it stays there.
    fn old_network_name(&self) -> String {
        format!("windlass-{}", self.installation().short())
    }

    /// Where a task of these labels may be.
    pub(crate) fn network_names(&self, of: &TaskLabels) -> [String; 2] {
        [self.network_name(of), self.old_network_name()]
    }

    /// Every network with our label.
    pub(crate) async fn labelled_networks(&self) -> Result<Vec<Network>, EngineError> {
        let options = ListNetworksOptions { filters: self.ours().build() };
        self.docker().list_networks(Some(options)).await.map_err(|error| self.error("list the networks", &error))
    }

    pub(crate) async fn remove_network(&self, id: &str) -> Result<(), EngineError> {
        match self.docker().remove_network(id).await {
            Err(error) if status(&error) == Some(404) => Ok(()),
            removed => removed.map_err(|error| self.error("remove a network", &error)),
        }
    }

    /// Removes networks of stages that are not among these and have no container left, stopped ones included. One that
    /// somebody else's container is on stays. Gives the names of those that went.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn remove_networks_but(
        &self,
        stages: &BTreeSet<(RepositoryId, StageName)>,
    ) -> Result<Vec<String>, EngineError> {
        let _one_at_a_time = self.network_lock().lock().await;
        let options = ListContainersOptions { all: true, ..Default::default() };
        let containers = self.docker().list_containers(Some(options)).await;
        let containers = containers.map_err(|error| self.error("list the containers", &error))?;
        let used = containers.into_iter().filter_map(|container| container.network_settings?.networks);
        let used: BTreeSet<String> = used.flat_map(HashMap::into_keys).collect();
        let mut removed = Vec::new();
        for network in self.labelled_networks().await? {
            let (Some(id), Some(name)) = (network.id, network.name) else { continue };
            let stage = network.labels.as_ref().and_then(|labels| {
                Some((labels.get(labels::PROJECT)?.parse().ok()?, labels.get(labels::STAGE)?.parse().ok()?))
            });
            if used.contains(&name) || stage.is_some_and(|stage| stages.contains(&stage)) {
                continue;
            }
            match self.remove_network(&id).await {
                Ok(()) => removed.push(name),
                Err(error) if error.status() == Some(403) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(removed)
    }

    async fn networks_there(&self) -> Result<Vec<Network>, EngineError> {
        let list = self.docker().list_networks(None::<ListNetworksOptions>).await;
        list.map_err(|error| self.error("list the networks", &error))
    }

    /// The id of the oldest of ours with the name.
    fn oldest(&self, networks: &[Network], name: &str) -> Option<String> {
        let installation = self.installation().to_string();
        let ours = networks.iter().filter(|network| {
            let label = network.labels.as_ref().and_then(|labels| labels.get(labels::INSTALLATION));
            network.name.as_deref() == Some(name) && label == Some(&installation)
        });
        ours.min_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)))?.id.clone()
    }

    async fn create_network(&self, of: &TaskLabels, name: &str, subnet: Subnet) -> Result<String, EngineError> {
        let config = IpamConfig {
            subnet: Some(subnet.to_string()),
            ip_range: Some(subnet.last_quarter().to_string()),
            gateway: Some(subnet.gateway().to_string()),
            ..Default::default()
        };
        let own = [labels::INSTALLATION, labels::PROJECT, labels::PROJECT_NAME, labels::STAGE];
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            driver: Some("bridge".to_owned()),
            ipam: Some(Ipam { config: Some(vec![config]), ..Default::default() }),
            labels: Some(of.to_map().into_iter().filter(|(key, _)| own.contains(&key.as_str())).collect()),
            ..Default::default()
        };
        let made = self.docker().create_network(request).await;
        made.map(|made| made.id).map_err(|error| self.error(format!("make the network {name}"), &error))
    }

    /// The one that was made gives way to an older one.
    async fn settle(&self, made: String, name: &str) -> Result<String, EngineError> {
        match self.oldest(&self.networks_there().await?, name) {
            Some(oldest) if oldest != made => {
                self.remove_network(&made).await?;
                Ok(oldest)
            }
            Some(_) | None => Ok(made),
        }
    }

    fn no_room(&self) -> EngineError {
        let (host, pool) = (self.host(), self.networks_pool());
        EngineError::Refused {
            host: host.clone(),
            action: format!("find room for a network in {pool}"),
            status: None,
            reason: format!("other networks have all of it; give [hosts.{host}] a larger block, `networks`"),
        }
    }
}

/// By status, and by its words where a version of Docker has another status for it.
fn is_taken(error: &EngineError) -> bool {
    matches!(error.status(), Some(403 | 409)) || error.to_string().contains("overlap")
}

/// A network's IPv4 blocks.
fn subnets(network: &Network) -> Vec<Subnet> {
    let configs = network.ipam.iter().filter_map(|ipam| ipam.config.as_ref()).flatten();
    configs.filter_map(|config| config.subnet.as_ref()?.parse().ok()).collect()
}

/// FNV-1a: the same in every process and version.
fn begin(name: &str) -> u32 {
    name.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}
