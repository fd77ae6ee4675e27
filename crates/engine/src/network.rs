//! The installation's own network: its containers meet there, and its gateway finds them there.

use std::collections::HashMap;

use bollard::models::{Network, NetworkCreateRequest};
use bollard::query_parameters::ListNetworksOptions;
use windlass_core::labels;

use crate::docker::status;
use crate::engine::Engine;
use crate::error::EngineError;

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
        let _one_at_a_time = self.network_lock().lock().await;
        if let Some(id) = self.networks().await?.into_iter().next() {
            return Ok(id);
        }
        let request = NetworkCreateRequest {
            name: self.network_name(),
            driver: Some("bridge".to_owned()),
            labels: Some(HashMap::from([(labels::INSTALLATION.to_owned(), self.installation().to_string())])),
            ..Default::default()
        };
        let made = match self.docker().create_network(request).await {
            Ok(network) => Some(network.id),
            // Newer engines refuse a second one of the name.
            Err(error) if status(&error) == Some(409) => None,
            Err(error) => return Err(self.error("make the network", &error)),
        };
        let oldest = self.networks().await?.into_iter().next();
        match (made, oldest) {
            (Some(made), Some(oldest)) if made != oldest => {
                let removed = self.docker().remove_network(&made).await;
                removed.map_err(|error| self.error("remove the second network", &error))?;
                Ok(oldest)
            }
            (Some(id), _) | (None, Some(id)) => Ok(id),
            (None, None) => Err(EngineError::Refused {
                host: self.host().clone(),
                action: "make the network".to_owned(),
                status: Some(409),
                reason: format!("{} exists and is not this installation's", self.network_name()),
            }),
        }
    }

    /// The network's name.
    #[must_use]
    pub fn network_name(&self) -> String {
        format!("windlass-{}", self.installation().short())
    }

    /// Ids, the oldest first.
    pub(crate) async fn networks(&self) -> Result<Vec<String>, EngineError> {
        let options = ListNetworksOptions { filters: self.ours().build() };
        let list = self.docker().list_networks(Some(options)).await;
        let list = list.map_err(|error| self.error("list the networks", &error))?;
        let name = self.network_name();
        let ours = list.into_iter().filter(|network| network.name.as_deref() == Some(name.as_str()));
        let mut ours: Vec<Network> = ours.collect();
        ours.sort_by(|one, other| (&one.created, &one.id).cmp(&(&other.created, &other.id)));
        Ok(ours.into_iter().filter_map(|network| network.id).collect())
    }
}
