//! What the requests of one client's connection share.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use windlass_core::gateway::ServiceSpec;

use crate::forwarded::{Peer, Scheme};
use crate::serving::Shared;

/// One connection's.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    /// Whether it came by TLS that ends here.
    pub(crate) secure: bool,
    under_way: TaskTracker,
    /// As long as it is there, a gateway that stops waits for the connection's end.
    waited_for: Mutex<Option<TaskTrackerToken>>,
}

impl Client {
    pub(crate) fn new(shared: Arc<Shared>, address: IpAddr, secure: bool, under_way: TaskTracker) -> Self {
        let waited_for = Mutex::new(Some(under_way.token()));
        let peer = Peer::new(address, &shared.trusted);
        Self { shared, peer, secure, under_way, waited_for }
    }

    /// Whether its requests are told to the service's app as https, unless a proxy has said how they came. Where nobody here
    /// ends TLS, and all addresses of the app are https, somebody in front does.
    pub(crate) fn how_it_came(&self, spec: &ServiceSpec) -> Scheme {
        match self.shared.tls {
            Some(_) if self.secure => Scheme::Https,
            Some(_) => Scheme::Http,
            None if spec.https => Scheme::Assumed,
            None => Scheme::Http,
        }
    }

    /// A request has come that will have an end.
    pub(crate) fn asks(&self) {
        let mut waited_for = self.waited_for.lock().unwrap_or_else(PoisonError::into_inner);
        waited_for.get_or_insert_with(|| self.under_way.token());
    }

    /// Whatever is sent now has no end of its own: a gateway that stops does not wait for it.
    pub(crate) fn listens_on(&self) {
        self.waited_for.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}
