//! Addresses that containers keep. Left to itself, Docker gives the address of a container that has stopped to the next
//! one that starts: after a crash or a reboot a gateway would send one app's requests to another's container. So each
//! task has its own, from the part of the network that Docker gives nothing away of by itself.

use std::collections::{BTreeSet, HashMap};
use std::net::Ipv4Addr;

use bollard::models::{
    EndpointIpamConfig, EndpointSettings, NetworkConnectRequest, NetworkDisconnectRequest, NetworkInspect,
};
use bollard::query_parameters::{InspectNetworkOptions, ListContainersOptions};
use windlass_core::subnet::Subnet;

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// An address of the network that no container has, running or not. Hold the network's lock until it is taken.
    pub(crate) async fn free_address(&self, network: &str) -> Result<Ipv4Addr, EngineError> {
        let inspected = self.docker().inspect_network(network, None::<InspectNetworkOptions>).await;
        let inspected = inspected.map_err(|error| self.error("look at the network", &error))?;
        let mut taken = connected(&inspected);
        taken.extend(self.reserved().await?);
        free(&inspected, &taken).ok_or_else(|| EngineError::Refused {
            host: self.host().clone(),
            action: format!("find a free address on {}", inspected.name.unwrap_or_default()),
            status: None,
            reason: format!("{} are taken", taken.len()),
        })
    }

    /// Somebody else's container has the address that this one was made with: it gets another one, on the same network.
    pub(crate) async fn move_to_another_address(&self, name: &str) -> Result<(), EngineError> {
        let (engine, name) = (self.clone(), name.to_owned());
        self.to_the_end(async move { engine.leave_and_join(&name).await }).await
    }

    async fn leave_and_join(&self, name: &str) -> Result<(), EngineError> {
        let _one_at_a_time = self.network_lock().lock().await;
        let container = self.inspect(name).await?;
        let names = self.network_names(&self.observed(&container)?.labels);
        let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let Some((network, endpoint)) = networks.into_iter().find(|(network, _)| names.contains(network)) else {
            return Ok(());
        };
        let failed = |error| self.error(format!("give {name} another address"), &error);
        let address = EndpointIpamConfig {
            ipv4_address: Some(self.free_address(&network).await?.to_string()),
            ..Default::default()
        };
        // Docker adds its own again: the beginning of the container's id.
        let id = container.id.unwrap_or_default();
        let aliases = endpoint.aliases.map(|aliases| aliases.into_iter().filter(|it| !id.starts_with(it)).collect());
        let old = EndpointSettings { aliases, ipam_config: endpoint.ipam_config, ..Default::default() };
        let new = EndpointSettings { ipam_config: Some(address), ..old.clone() };
        let leave = NetworkDisconnectRequest { container: id.clone(), force: Some(true) };
        self.docker().disconnect_network(&network, leave).await.map_err(failed)?;
        let join = |endpoint| NetworkConnectRequest { container: id.clone(), endpoint_config: Some(endpoint) };
        let joined = self.docker().connect_network(&network, join(new)).await;
        if joined.is_err() {
            // Without a network of ours Docker would give it any address.
            let _ = self.docker().connect_network(&network, join(old)).await;
        }
        joined.map_err(failed)
    }

    /// What our containers were created with, those that do not run included.
    async fn reserved(&self) -> Result<BTreeSet<Ipv4Addr>, EngineError> {
        let options = ListContainersOptions { all: true, filters: self.ours().build(), ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        let endpoints = list.into_iter().filter_map(|container| container.network_settings?.networks);
        let endpoints = endpoints.flat_map(HashMap::into_values);
        Ok(endpoints.filter_map(|endpoint| endpoint.ipam_config?.ipv4_address?.parse().ok()).collect())
    }
}

/// What is on the network now, whoever's it is.
fn connected(network: &NetworkInspect) -> BTreeSet<Ipv4Addr> {
    let containers = network.containers.iter().flat_map(HashMap::values);
    containers.filter_map(|container| container.ipv4_address.as_ref()?.split('/').next()?.parse().ok()).collect()
}

/// The first that nobody has, and that Docker will not give to somebody by itself. A network that was made before there
/// was such a part gives what it has.
fn free(network: &NetworkInspect, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
    let config = network.ipam.as_ref()?.config.as_ref()?.first()?;
    let subnet: Subnet = config.subnet.as_ref()?.parse().ok()?;
    let dockers: Option<Subnet> = config.ip_range.as_ref().and_then(|range| range.parse().ok());
    let is_dockers = |address: &Ipv4Addr| dockers.is_some_and(|dockers| dockers.contains(*address));
    subnet.addresses().find(|address| !is_dockers(address) && !taken.contains(address))
}

#[cfg(test)]
mod tests {
    use bollard::models::{Ipam, IpamConfig};

    use super::*;

    fn network(subnet: &str, range: Option<&str>) -> NetworkInspect {
        let config =
            IpamConfig { subnet: Some(subnet.to_owned()), ip_range: range.map(str::to_owned), ..Default::default() };
        let ipam = Ipam { config: Some(vec![config]), ..Default::default() };
        NetworkInspect { ipam: Some(ipam), ..Default::default() }
    }

    fn all(network: &NetworkInspect) -> Vec<String> {
        let mut taken = BTreeSet::new();
        while let Some(address) = free(network, &taken) {
            taken.insert(address);
        }
        taken.into_iter().map(|address| address.to_string()).collect()
    }

    #[test]
    fn an_address_is_free_that_nobody_has_and_that_docker_gives_to_nobody() {
        let ours = all(&network("10.0.0.0/26", Some("10.0.0.48/28")));
        assert_eq!((ours.len(), ours[0].as_str(), ours[45].as_str()), (46, "10.0.0.2", "10.0.0.47"));
        assert_eq!(all(&network("10.0.0.0/28", None)).len(), 13);
        assert_eq!(all(&network("fd00::/64", None)), [""; 0]);
        let taken = BTreeSet::from(["10.0.0.2".parse().unwrap()]);
        assert_eq!(free(&network("10.0.0.0/28", None), &taken), "10.0.0.3".parse().ok());
    }
}
