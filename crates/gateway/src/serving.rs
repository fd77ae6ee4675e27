//! What all workers serve by, and all clients are served by.

use std::sync::Arc;

use arc_swap::ArcSwap;
use windlass_core::proxies::TrustedProxies;
use windlass_listen::Seats;

use crate::options::RequestLimits;
use crate::router::Table;
use crate::seen::Seen;
use crate::tls::Tls;

/// One for all of them.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) trusted: TrustedProxies,
    /// Whether they begin each connection with the PROXY protocol.
    pub(crate) proxy_protocol: bool,
    pub(crate) seats: Arc<Seats>,
    /// What is kept of requests; `None`: nothing.
    pub(crate) seen: Option<Arc<Seen>>,
    /// `None`: it is somebody else who ends TLS.
    pub(crate) tls: Option<Tls>,
    pub(crate) requests: RequestLimits,
}
