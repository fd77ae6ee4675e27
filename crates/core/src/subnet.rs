//! Blocks of IPv4 addresses: what a host's networks are cut from, and how each of them is divided.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

/// A block of addresses, `10.213.0.0/16`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subnet {
    first: u32,
    prefix: u8,
}

/// Why a text is no block of addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a block of IPv4 addresses")]
pub struct NoSubnet(String);

impl Subnet {
    /// Where a host's networks come from when the server's file does not say.
    pub const DEFAULT_POOL: Self = Self { first: 0x0AD5_0000, prefix: 16 };

    /// How many bits of its addresses are its own.
    #[must_use]
    pub const fn prefix(self) -> u8 {
        self.prefix
    }

    const fn size(self) -> u32 {
        1 << (32 - self.prefix)
    }

    const fn last(self) -> u32 {
        self.first + (self.size() - 1)
    }

    /// Whether the two have an address in common.
    #[must_use]
    pub const fn overlaps(self, other: Self) -> bool {
        self.first <= other.last() && other.first <= self.last()
    }

    /// Whether the address is one of its.
    #[must_use]
    pub fn contains(self, address: Ipv4Addr) -> bool {
        (self.first..=self.last()).contains(&u32::from(address))
    }

    /// How many blocks of this prefix it can be cut into; one that is smaller is one.
    #[must_use]
    pub const fn parts(self, prefix: u8) -> u32 {
        if prefix > self.prefix { 1 << (prefix - self.prefix) } else { 1 }
    }

    /// One of those blocks, counted from 0 and beginning again after the last.
    #[must_use]
    pub const fn part(self, prefix: u8, number: u32) -> Self {
        let prefix = if prefix > self.prefix { prefix } else { self.prefix };
        let part = Self { first: self.first, prefix };
        Self { first: self.first + (number % self.parts(prefix)) * part.size(), prefix }
    }

    /// The bridge's own address, the first after the block's.
    #[must_use]
    pub fn gateway(self) -> Ipv4Addr {
        (self.first + 1).into()
    }

    /// Its last quarter: what Docker may give away by itself.
    #[must_use]
    pub const fn last_quarter(self) -> Self {
        self.part(self.prefix + 2, 3)
    }

    /// What containers can have: neither the block's own address, nor the bridge's, nor the last, which is for all.
    pub fn addresses(self) -> impl Iterator<Item = Ipv4Addr> {
        (2..self.size().saturating_sub(1)).map(move |offset| (self.first + offset).into())
    }
}

impl FromStr for Subnet {
    type Err = NoSubnet;

    /// Of prefix 8 to 28. An address within the block stands for all of it.
    fn from_str(text: &str) -> Result<Self, NoSubnet> {
        let parsed = || {
            let (address, prefix) = text.split_once('/')?;
            let prefix = prefix.parse().ok().filter(|prefix| (8..=28).contains(prefix))?;
            let address: Ipv4Addr = address.parse().ok()?;
            Some(Self { first: u32::from(address) & (u32::MAX << (32 - prefix)), prefix })
        };
        parsed().ok_or_else(|| NoSubnet(text.to_owned()))
    }
}

impl fmt::Display for Subnet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.first), self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(text: &str) -> Subnet {
        text.parse().unwrap()
    }

    #[test]
    fn a_pool_is_cut_into_blocks_that_do_not_overlap_and_begin_again_after_the_last() {
        let pool = Subnet::DEFAULT_POOL;
        assert_eq!(pool.to_string(), "10.213.0.0/16");
        assert_eq!(pool.parts(23), 128);
        assert_eq!(pool.part(23, 1).to_string(), "10.213.2.0/23");
        assert_eq!(pool.part(23, 127).to_string(), "10.213.254.0/23");
        assert_eq!(pool.part(23, 128), pool.part(23, 0));
        assert!(!pool.part(23, 1).overlaps(pool.part(23, 2)));
        assert!(pool.part(23, 1).overlaps(pool) && pool.overlaps(pool.part(23, 1)));
        let small = subnet("10.0.0.0/24");
        assert_eq!((small.parts(23), small.part(23, 5)), (1, small));
    }

    #[test]
    fn a_block_has_its_bridge_and_its_last_quarter() {
        let block = subnet("10.0.4.77/23");
        assert_eq!(block.to_string(), "10.0.4.0/23");
        assert_eq!(block.gateway().to_string(), "10.0.4.1");
        assert_eq!(block.last_quarter().to_string(), "10.0.5.128/25");
        let tiny: Vec<String> = subnet("10.0.0.0/28").addresses().map(|it| it.to_string()).collect();
        assert_eq!((tiny.len(), tiny[0].as_str(), tiny[12].as_str()), (13, "10.0.0.2", "10.0.0.14"));
        assert!(block.contains("10.0.5.255".parse().unwrap()) && !block.contains("10.0.6.0".parse().unwrap()));
    }

    #[test]
    fn what_is_no_block_is_refused() {
        for wrong in ["", "10.0.0.0", "10.0.0.0/33", "10.0.0.0/7", "fd00::/64", "10.0.0.0/x", "10.0.0/16"] {
            assert!(wrong.parse::<Subnet>().is_err(), "{wrong}");
        }
    }
}
