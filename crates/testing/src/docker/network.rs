//! Networks, and which loopback addresses they have.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::net::{Ipv4Addr, TcpListener};

use jiff::Timestamp;
use serde_json::Value;

use super::container::{Container, Endpoint, map};
use super::model::Model;
use super::refusal::Refusal;

pub(super) struct Network {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) created: Timestamp,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) subnet: Subnet,
    /// What is given away of it without being asked for.
    pub(super) range: Option<Subnet>,
}

/// So many of an address's bits are the network's.
const PREFIX: u8 = 24;

/// `127.x.y.0/24`, or whatever was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    first: u32,
    prefix: u8,
}

impl Subnet {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, prefix) = text.split_once('/')?;
        let address: Ipv4Addr = address.parse().ok()?;
        let prefix = prefix.parse().ok().filter(|prefix| (1..=30).contains(prefix))?;
        Some(Self { first: u32::from(address) & (u32::MAX << (32 - prefix)), prefix })
    }

    fn last(self) -> u32 {
        self.first | (u32::MAX >> self.prefix)
    }

    fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    pub(super) fn gateway(self) -> Ipv4Addr {
        (self.first + 1).into()
    }

    /// Those that containers can have.
    pub(super) fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        (self.first + 2..self.last()).map(Ipv4Addr::from)
    }

    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last()).contains(&u32::from(address))
    }

    pub(super) const fn prefix(self) -> u8 {
        self.prefix
    }
}

impl std::fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

/// Where a subnet's owner listens, on the address that would be the bridge's. Nothing else asks for this port.
const CLAIM: u16 = 14_999;

/// Which of `127.<index>.0.0/16`'s subnets are this engine's. Other processes have engines with the same index, so
/// each subnet is claimed by a port that is bound for as long as the engine lives.
pub(super) struct Subnets {
    index: u8,
    claims: BTreeMap<u8, TcpListener>,
}

impl Subnets {
    pub(super) const fn new(index: u8) -> Self {
        Self { index, claims: BTreeMap::new() }
    }

    pub(super) fn pool(&self) -> String {
        self.whole().to_string()
    }

    fn whole(&self) -> Subnet {
        Subnet { first: Ipv4Addr::new(127, self.index, 0, 0).into(), prefix: 16 }
    }

    /// Whether all of it is this engine's, or none of its addresses could be.
    fn claim_all(&mut self, subnet: Subnet) -> bool {
        if !subnet.overlaps(self.whole()) {
            return true;
        }
        let lanes = (0..=u8::MAX).filter_map(|lane| {
            let lane_of = Subnet { first: Ipv4Addr::new(127, self.index, lane, 0).into(), prefix: PREFIX };
            lane_of.overlaps(subnet).then_some((lane, lane_of))
        });
        let lanes: Vec<_> = lanes.collect();
        lanes.into_iter().all(|(lane, subnet)| self.claim(lane, subnet))
    }

    fn free(&mut self, taken: impl Fn(Subnet) -> bool) -> Option<Subnet> {
        (0..=u8::MAX).find_map(|lane| {
            let subnet = Subnet { first: Ipv4Addr::new(127, self.index, lane, 0).into(), prefix: PREFIX };
            (!taken(subnet) && self.claim(lane, subnet)).then_some(subnet)
        })
    }

    fn claim(&mut self, lane: u8, subnet: Subnet) -> bool {
        if let Entry::Vacant(unclaimed) = self.claims.entry(lane) {
            let Ok(claim) = TcpListener::bind((subnet.gateway(), CLAIM)) else { return false };
            unclaimed.insert(claim);
        }
        true
    }
}

impl Model {
    /// The network of this id, or of this name.
    pub(super) fn network(&self, reference: &str) -> Option<&Network> {
        let by_id = self.networks.iter().find(|network| network.id == reference);
        by_id.or_else(|| self.networks.iter().find(|network| network.name == reference))
    }

    /// As Docker has it, several may have one name.
    pub(super) fn create_network(&mut self, body: &Value) -> Result<String, Refusal> {
        let name = body["Name"].as_str().filter(|name| !name.is_empty());
        let name = name.ok_or_else(|| Refusal::bad_request("network name cannot be empty"))?.to_owned();
        if body["CheckDuplicate"] == true && self.network(&name).is_some() {
            return Err(Refusal::conflict(format!("network with name {name} already exists")));
        }
        let taken: Vec<Subnet> = self.networks.iter().map(|network| network.subnet).collect();
        let is_taken = |subnet: Subnet| taken.iter().any(|it| it.overlaps(subnet));
        let subnet = match body["IPAM"]["Config"][0]["Subnet"].as_str() {
            Some(asked) => {
                let subnet = Subnet::parse(asked);
                let subnet = subnet.ok_or_else(|| Refusal::bad_request(format!("invalid subnet {asked}")))?;
                if is_taken(subnet) || !self.subnets.claim_all(subnet) {
                    return Err(Refusal::forbidden("Pool overlaps with other one on this address space"));
                }
                subnet
            }
            None => self.subnets.free(is_taken).ok_or_else(|| {
                Refusal::not_found("could not find an available, non-overlapping IPv4 address pool for the network")
            })?,
        };
        let range = body["IPAM"]["Config"][0]["IPRange"].as_str().and_then(Subnet::parse);
        let (id, created) = (self.new_id(), self.now());
        self.networks.push(Network { id: id.clone(), name, created, labels: map(&body["Labels"]), subnet, range });
        Ok(id)
    }

    pub(super) fn remove_network(&mut self, reference: &str) -> Result<(), Refusal> {
        let network = self.network(reference);
        let network = network.ok_or_else(|| Refusal::not_found(format!("network {reference} not found")))?;
        if self.connected(network).next().is_some() {
            let message = format!(
                "error while removing network: network {} id {} has active endpoints",
                network.name, network.id
            );
            return Err(Refusal::forbidden(message));
        }
        let id = network.id.clone();
        self.networks.retain(|network| network.id != id);
        Ok(())
    }

    /// A container that does not run leaves it.
    pub(super) fn disconnect(&mut self, reference: &str, container: &str) -> Result<(), Refusal> {
        let network = self.network(reference);
        let network = network.ok_or_else(|| Refusal::not_found(format!("network {reference} not found")))?;
        let (id, name) = (network.id.clone(), network.name.clone());
        let container = self.container_mut(container)?;
        let on_it = container.endpoint.as_ref().is_some_and(|it| it.network == id || it.network == name);
        if !on_it {
            let message = format!("container {} is not connected to network {name}", container.id);
            return Err(Refusal::forbidden(message));
        }
        container.endpoint = None;
        Ok(())
    }

    /// A container that is on none joins it.
    pub(super) fn connect(&mut self, reference: &str, body: &Value) -> Result<(), Refusal> {
        let network = self.network(reference);
        let network = network.ok_or_else(|| Refusal::not_found(format!("network {reference} not found")))?;
        let name = network.name.clone();
        let container = self.container_mut(body["Container"].as_str().unwrap_or_default())?;
        container.endpoint = Some(Endpoint::on(&name, &body["EndpointConfig"]));
        Ok(())
    }

    /// The containers that have an address on it now.
    pub(super) fn connected(&self, network: &Network) -> impl Iterator<Item = (&Container, Ipv4Addr)> {
        self.containers.values().filter_map(|container| {
            let endpoint = container.endpoint.as_ref()?;
            let here = endpoint.network == network.id || endpoint.network == network.name;
            Some((container, endpoint.address.filter(|_| here)?))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_has_neither_its_own_address_nor_the_bridges_nor_the_last() {
        let subnet = Subnet::parse("127.9.1.7/29").unwrap();
        assert_eq!(subnet.to_string(), "127.9.1.0/29");
        let addresses: Vec<String> = subnet.addresses().map(|address| address.to_string()).collect();
        assert_eq!(addresses, ["127.9.1.2", "127.9.1.3", "127.9.1.4", "127.9.1.5", "127.9.1.6"]);
        assert!(subnet.overlaps(Subnet::parse("127.9.0.0/16").unwrap()));
        assert!(!subnet.overlaps(Subnet::parse("127.9.1.8/29").unwrap()));
    }

    #[test]
    fn two_engines_with_one_index_share_no_subnet() {
        let (mut one, mut other) = (Subnets::new(251), Subnets::new(251));
        let (one, other) = (one.free(|_| false).unwrap(), other.free(|_| false).unwrap());
        assert!(!one.overlaps(other));
    }
}
