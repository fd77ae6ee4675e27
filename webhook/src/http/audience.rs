//! How many may follow what happens: for each address, and in all. Whoever has a token is not kept out by those who have
//! only a page's address, and neither of them takes the connections that deliveries need.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::HeaderMap;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Strangers of one address.
const OF_ONE_ADDRESS: usize = 100;
/// Of all addresses together; and as many with a token.
const IN_ALL: usize = 1000;
/// Of the connections, each of the two has no more than one of so many.
const SHARE: usize = 4;
/// So many pages and logs are read for strangers at a time; the others wait.
const PAGES: usize = 4;

/// Who is there.
#[derive(Debug)]
pub(crate) struct Audience {
    most: usize,
    present: Mutex<Present>,
    pages: Semaphore,
}

#[derive(Debug, Default)]
struct Present {
    strangers: HashMap<IpAddr, usize>,
    known: usize,
}

/// Who comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Follower {
    /// With a token.
    Known,
    /// From this address.
    Stranger(IpAddr),
}

/// One's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    audience: Arc<Audience>,
    follower: Follower,
}

/// Why there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    /// The address has all that one may have.
    Address,
    /// All are taken.
    All,
}

impl Audience {
    /// For a server with so many connections.
    pub(crate) fn new(connections: usize) -> Arc<Self> {
        let most = (connections / SHARE).clamp(1, IN_ALL);
        Arc::new(Self { most, present: Mutex::default(), pages: Semaphore::new(PAGES) })
    }

    /// A place for somebody who follows.
    pub(crate) fn take(self: &Arc<Self>, follower: Follower) -> Result<Ticket, Full> {
        let mut present = self.lock();
        match follower {
            Follower::Known => {
                if present.known >= self.most {
                    return Err(Full::All);
                }
                present.known += 1;
            }
            Follower::Stranger(address) => {
                if present.strangers.values().sum::<usize>() >= self.most {
                    return Err(Full::All);
                }
                let of_address = present.strangers.entry(address).or_default();
                if *of_address >= OF_ONE_ADDRESS.min(self.most.div_ceil(2)) {
                    return Err(Full::Address);
                }
                *of_address += 1;
            }
        }
        Ok(Ticket { audience: Arc::clone(self), follower })
    }

    /// Waits until a stranger's page or log may be read. `None` never comes: it is not closed.
    pub(crate) async fn page(&self) -> Option<SemaphorePermit<'_>> {
        self.pages.acquire().await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, Present> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut present = self.audience.lock();
        match self.follower {
            Follower::Known => present.known -= 1,
            Follower::Stranger(address) => {
                if let Some(count) = present.strangers.get_mut(&address) {
                    *count -= 1;
                    if *count == 0 {
                        present.strangers.remove(&address);
                    }
                }
            }
        }
    }
}

/// Whose connection it is. A proxy on this machine speaks for many, and says for whom last; nobody else is believed.
pub(crate) fn address_of(peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    let peer = peer.to_canonical();
    let said = headers.get_all("x-forwarded-for").iter().next_back().filter(|_| peer.is_loopback());
    let last = said.and_then(|value| value.to_str().ok()?.rsplit(',').next()?.trim().parse().ok());
    windlass_listen::group(last.unwrap_or(peer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(last: u8) -> Follower {
        Follower::Stranger([192, 0, 2, last].into())
    }

    #[test]
    fn one_address_has_no_more_than_its_share_and_others_come_in() {
        let audience = Audience::new(4096);
        let places: Vec<Ticket> = (0..OF_ONE_ADDRESS).map(|_| audience.take(stranger(1)).unwrap()).collect();
        assert_eq!(audience.take(stranger(1)).unwrap_err(), Full::Address);
        let other = audience.take(stranger(2)).unwrap();
        drop(places);
        let again = audience.take(stranger(1)).unwrap();
        drop((again, other));
        assert!(audience.lock().strangers.is_empty(), "nobody who has gone is remembered");
    }

    #[test]
    fn all_addresses_together_keep_out_nobody_who_has_a_token() {
        let audience = Audience::new(8);
        let _one = audience.take(stranger(1)).unwrap();
        assert_eq!(audience.take(stranger(1)).unwrap_err(), Full::Address, "one of two");
        let _two = audience.take(stranger(2)).unwrap();
        assert_eq!(audience.take(stranger(3)).unwrap_err(), Full::All);
        let known = [Follower::Known; 2].map(|follower| audience.take(follower).unwrap());
        assert_eq!(audience.take(Follower::Known).unwrap_err(), Full::All);
        drop(known);
        assert!(audience.take(Follower::Known).is_ok());
    }

    #[test]
    fn a_proxy_on_this_machine_is_believed_and_nobody_else() {
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", "203.0.113.9".parse().unwrap());
        headers.append("x-forwarded-for", "198.51.100.1, 203.0.113.7".parse().unwrap());
        let of = |peer: &str| address_of(peer.parse().unwrap(), &headers).to_string();
        assert_eq!(of("127.0.0.1"), "203.0.113.7");
        assert_eq!(of("::1"), "203.0.113.7");
        assert_eq!(of("192.0.2.1"), "192.0.2.1");
        assert_eq!(address_of("127.0.0.1".parse().unwrap(), &HeaderMap::new()).to_string(), "127.0.0.1");
    }
}
