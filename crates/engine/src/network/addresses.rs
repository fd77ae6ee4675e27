//! Addresses that containers keep. Left to itself, Docker gives the address of a container that has stopped to the next
//! one that starts: after a crash or a reboot a gateway would send one app's requests to another's container.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use bollard::models::NetworkInspect;
use bollard::query_parameters::{InspectNetworkOptions, ListContainersOptions};

use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// An address of the network that no container has, running or not. Hold the network's lock until it is taken.
    pub(crate) async fn free_address(&self, network: &str) -> Result<Ipv4Addr, EngineError> {
        let inspected = self.docker().inspect_network(network, None::<InspectNetworkOptions>).await;
        let inspected = inspected.map_err(|error| self.error("look at the network", &error))?;
        let mut taken = connected(&inspected);
        taken.extend(self.reserved().await?);
        let subnet = subnet(&inspected);
        subnet.and_then(|subnet| subnet.free(&taken)).ok_or_else(|| EngineError::Refused {
            host: self.host().clone(),
            action: format!("find a free address on {}", self.network_name()),
            status: None,
            reason: format!("{} are taken", taken.len()),
        })
    }

    /// What our containers were created with, those that do not run included.
    async fn reserved(&self) -> Result<BTreeSet<Ipv4Addr>, EngineError> {
        let options = ListContainersOptions { all: true, filters: self.ours().build(), ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        let endpoints = list.into_iter().filter_map(|container| container.network_settings?.networks);
        let endpoints = endpoints.flat_map(std::collections::HashMap::into_values);
        Ok(endpoints.filter_map(|endpoint| endpoint.ipam_config?.ipv4_address?.parse().ok()).collect())
    }
}

/// What is on the network now, whoever's it is.
fn connected(network: &NetworkInspect) -> BTreeSet<Ipv4Addr> {
    let containers = network.containers.iter().flat_map(std::collections::HashMap::values);
    containers.filter_map(|container| container.ipv4_address.as_ref()?.split('/').next()?.parse().ok()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Subnet {
    first: u32,
    size: u32,
}

impl Subnet {
    fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let size = 1_u32.checked_shl(32_u32.checked_sub(prefix.parse().ok()?)?)?;
        let address: Ipv4Addr = address.parse().ok()?;
        Some(Self { first: u32::from(address), size })
    }

    /// Neither the subnet's own address, nor the bridge's after it, nor the last, which is for all.
    fn free(self, taken: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let addresses = (2..self.size.saturating_sub(1)).map(|offset| Ipv4Addr::from(self.first + offset));
        addresses.into_iter().find(|address| !taken.contains(address))
    }
}

fn subnet(network: &NetworkInspect) -> Option<Subnet> {
    Subnet::parse(network.ipam.as_ref()?.config.as_ref()?.first()?.subnet.as_ref()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_address_that_nobody_has_is_free() {
        let subnet = Subnet::parse("10.0.0.0/29").unwrap();
        let mut taken = BTreeSet::new();
        let mut given = Vec::new();
        while let Some(address) = subnet.free(&taken) {
            given.push(address.to_string());
            taken.insert(address);
        }
        assert_eq!(given, ["10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]);
        taken.remove(&"10.0.0.4".parse().unwrap());
        assert_eq!(subnet.free(&taken), "10.0.0.4".parse().ok());
    }

    #[test]
    fn what_is_no_subnet_gives_no_address() {
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "fd00::/64", "10.0.0.0/x"] {
            assert_eq!(Subnet::parse(wrong), None, "{wrong}");
        }
    }
}
