//! Addresses to listen at, for servers that are told theirs before they start and may be started again at it.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU16, Ordering};

/// Below the ports that Linux gives to whoever connects or listens at port 0 (`ip_local_port_range`, from 32768): a port
/// of those could be taken between the choice and the start, or while a server is down.
const FIRST: u16 = 15_000;
const COUNT: u16 = 17_000;

/// Other processes begin elsewhere.
static NEXT: LazyLock<AtomicU16> = LazyLock::new(|| AtomicU16::new(rand::random_range(0..COUNT)));

/// A loopback address where nobody listens, and that this process gives to nobody else.
///
/// # Panics
///
/// When all of them are taken.
#[must_use]
pub fn free_address() -> SocketAddr {
    let addresses = (0..COUNT).map(|_| {
        let offset = NEXT.fetch_add(1, Ordering::Relaxed) % COUNT;
        SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST + offset))
    });
    addresses.into_iter().find(|address| TcpListener::bind(address).is_ok()).expect("a free port")
}
