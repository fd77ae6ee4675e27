//! Whose word about a client is taken: the proxies in front of a gateway.

use std::net::IpAddr;
use std::str::FromStr;

/// Who may say whom a request comes from and how it came. Empty: nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Vec<TrustedProxy>);

/// One of them, or a block of addresses of which each is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrustedProxy {
    /// An address, `192.0.2.7`, or a block, `10.0.0.0/8`; of either family.
    Block {
        /// As IPv6; an IPv4 address is mapped.
        first: u128,
        /// So many bits of it are the block's.
        prefix: u8,
    },
    /// `unix`: whoever connects to a Unix socket.
    Unix,
}

/// Why a text names no proxy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither an address nor a block of addresses")]
pub struct NoProxy(String);

impl TrustedProxies {
    /// Whether nobody is named.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a peer with this address is one of them. An IPv4 address that came mapped into IPv6 is the IPv4 address.
    #[must_use]
    pub fn trust(&self, peer: IpAddr) -> bool {
        let peer = bits(peer);
        self.0.iter().any(|proxy| match *proxy {
            TrustedProxy::Block { first, prefix } => peer & mask(prefix) == first,
            TrustedProxy::Unix => false,
        })
    }

    /// Whether those on Unix sockets are among them.
    #[must_use]
    pub fn trust_unix(&self) -> bool {
        self.0.contains(&TrustedProxy::Unix)
    }
}

impl FromIterator<TrustedProxy> for TrustedProxies {
    fn from_iter<T: IntoIterator<Item = TrustedProxy>>(proxies: T) -> Self {
        Self(proxies.into_iter().collect())
    }
}

impl FromStr for TrustedProxy {
    type Err = NoProxy;

    /// An address within a block stands for all of it.
    fn from_str(text: &str) -> Result<Self, NoProxy> {
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let parsed = || {
            let (address, prefix) = text.split_once('/').map_or((text, None), |(it, prefix)| (it, Some(prefix)));
            let address: IpAddr = address.parse().ok()?;
            let width = if address.is_ipv4() { 32 } else { 128 };
            let prefix = match prefix {
                Some(prefix) if !prefix.bytes().all(|byte| byte.is_ascii_digit()) => return None,
                Some(prefix) => prefix.parse().ok().filter(|prefix| *prefix <= width)?,
                None => width,
            };
            let prefix = prefix + (128 - width);
            Some(Self::Block { first: bits(address) & mask(prefix), prefix })
        };
        parsed().ok_or_else(|| NoProxy(text.to_owned()))
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

const fn mask(prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(texts: &[&str]) -> TrustedProxies {
        texts.iter().map(|text| text.parse::<TrustedProxy>().unwrap()).collect()
    }

    #[test]
    fn rule_102_addresses_and_blocks_of_both_families_are_trusted_and_nobody_else() {
        let some = proxies(&["192.0.2.7", "10.1.2.3/8", "2001:db8::/32", "::ffff:198.51.100.0/120"]);
        let trusted = ["192.0.2.7", "10.255.0.1", "::ffff:10.0.0.1", "2001:db8:1::1", "198.51.100.9"];
        let others = ["192.0.2.8", "11.0.0.1", "::ffff:11.0.0.1", "2001:db9::1", "198.51.101.1", "::1", "127.0.0.1"];
        for (peers, expected) in [(&trusted[..], true), (&others[..], false)] {
            for peer in peers {
                assert_eq!(some.trust(peer.parse().unwrap()), expected, "{peer}");
            }
        }
        let everyone = proxies(&["0.0.0.0/0", "::/0"]);
        assert!(everyone.trust("203.0.113.1".parse().unwrap()) && everyone.trust("::1".parse().unwrap()));
        assert!(!proxies(&["0.0.0.0/0"]).trust("2001:db8::1".parse().unwrap()));
        let unix = proxies(&["unix"]);
        assert!(unix.trust_unix() && !unix.is_empty() && !unix.trust("127.0.0.1".parse().unwrap()));
    }

    #[test]
    fn what_names_no_proxy_is_refused() {
        for wrong in [
            "",
            "proxy.internal",
            "10.0.0.0/33",
            "10.0.0.1:80",
            "::/129",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0",
            "Unix",
            "*",
        ] {
            assert!(wrong.parse::<TrustedProxy>().is_err(), "{wrong}");
        }
    }
}
