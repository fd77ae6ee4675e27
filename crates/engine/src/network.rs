//! The installation's own network: its containers meet there, and its gateway finds them there.

mod addresses;

use std::collections::HashMap;

use bollard::models::{Ipam, IpamConfig, Network, NetworkCreateRequest, NetworkCreateResponse};
use bollard::query_parameters::{InspectNetworkOptions, ListNetworksOptions};
use windlass_core::Timestamp;
use windlass_core::labels;

use crate::docker::status;
use crate::engine::Engine;
use crate::error::EngineError;

/// So often the network is tried to be made while others make networks too.
const TRIES: usize = 10;

impl Engine {
    /// Makes the network unless it is there, and gives its id.
    ///
    /// Docker lets two callers make two networks of one name. Whoever made one therefore looks again: the older one
    /// stays, and since both sides agree on which that is, exactly one is left.
    ///
    /// # Errors
    ///
    /// When the engine does not answer or cannot make it.
    pub async fn ensure_network(&self) -> Result<String, EngineError> {
        let engine = self.clone();
        self.to_the_end(async move { engine.make_network_unless_there().await }).await
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

    async fn make_network_unless_there(&self) -> Result<String, EngineError> {
        let _one_at_a_time = self.network_lock().lock().await;
        let mut refusal = None;
        for _ in 0..TRIES {
            if let Some(id) = self.networks().await?.into_iter().next() {
                return Ok(id);
            }
            match self.make_network().await {
                Ok(made) => return self.settle(made).await,
                // Somebody else was quicker: with the name, or with the addresses.
                Err(error) if matches!(error.status(), Some(403 | 409)) => refusal = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(refusal.unwrap_or_else(|| self.foreign_network()))
    }

    /// The network's name.
    #[must_use]
    pub fn network_name(&self) -> String {
        format!("windlass-{}", self.installation().short())
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

    /// The ids of those with the network's name, the oldest first.
    async fn networks(&self) -> Result<Vec<String>, EngineError> {
        let name = self.network_name();
        let mut ours = self.labelled_networks().await?;
        ours.retain(|network| network.name.as_deref() == Some(name.as_str()));
        ours.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
        Ok(ours.into_iter().filter_map(|network| network.id).collect())
    }

    /// Containers can have addresses of their own only where the subnet was asked for. Which one is free only Docker
    /// knows: it is shown one by a network that goes again.
    async fn make_network(&self) -> Result<String, EngineError> {
        let name = self.network_name();
        let scout = self.create_network(format!("{name}-{}", Timestamp::now().as_nanosecond()), None).await?.id;
        let seen = self.docker().inspect_network(&scout, None::<InspectNetworkOptions>).await;
        self.remove_network(&scout).await?;
        let seen = seen.map_err(|error| self.error("look at a network", &error))?;
        let subnet = seen.ipam.and_then(|ipam| ipam.config?.into_iter().next()?.subnet);
        Ok(self.create_network(name, subnet).await?.id)
    }

    async fn create_network(&self, name: String, subnet: Option<String>) -> Result<NetworkCreateResponse, EngineError> {
        let ipam = subnet.map(|subnet| Ipam {
            config: Some(vec![IpamConfig { subnet: Some(subnet), ..Default::default() }]),
            ..Default::default()
        });
        let request = NetworkCreateRequest {
            name,
            driver: Some("bridge".to_owned()),
            ipam,
            labels: Some(HashMap::from([(labels::INSTALLATION.to_owned(), self.installation().to_string())])),
            ..Default::default()
        };
        self.docker().create_network(request).await.map_err(|error| self.error("make the network", &error))
    }

    /// The one that was made gives way to an older one.
    async fn settle(&self, made: String) -> Result<String, EngineError> {
        match self.networks().await?.into_iter().next() {
            Some(oldest) if oldest != made => {
                self.remove_network(&made).await?;
                Ok(oldest)
            }
            Some(_) | None => Ok(made),
        }
    }

    fn foreign_network(&self) -> EngineError {
        EngineError::Refused {
            host: self.host().clone(),
            action: "make the network".to_owned(),
            status: None,
            reason: format!("{} exists and is not this installation's", self.network_name()),
        }
    }
}
