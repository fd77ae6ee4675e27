//! What a gateway is started with.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use windlass_core::config::{AccessLog, CertificateFiles, GatewayLimits, GatewayListen, GatewayTls};
use windlass_core::proxies::TrustedProxies;
use windlass_listen::{Limits, Patience};

/// What one host's gateway needs to know.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where clients connect. With port 0 the system chooses one.
    pub http: SocketAddr,
    /// Where they connect by TLS. `None`: another proxy ends it.
    pub https: Option<SocketAddr>,
    /// The operator's certificates, by host name.
    pub certificates: BTreeMap<String, CertificateFiles>,
    /// The path of the control socket.
    pub control: PathBuf,
    /// The path of the file that remembers what is served.
    pub snapshot: PathBuf,
    /// How many threads serve requests, each with its own listener and connection pool. At least one.
    pub threads: usize,
    /// Whose word about clients is taken.
    pub trusted: TrustedProxies,
    /// Whether they begin each connection with the PROXY protocol.
    pub proxy_protocol: bool,
    /// What clients may take; of connections no more than open files allow.
    pub limits: Limits,
    /// What each request may take.
    pub requests: RequestLimits,
    /// Where the numbers are to be had; `None`: nowhere.
    pub metrics: Option<SocketAddr>,
    /// `None`: requests are not logged.
    pub access_log: Option<AccessLog>,
    /// How long it serves what it still has when a newer one has followed it.
    pub handover: Duration,
}

/// What a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestLimits {
    /// Bytes of its body.
    pub body: Option<u64>,
    /// From its head to the end of its answer.
    pub whole: Option<Duration>,
    /// From its end to the first byte of the app's answer.
    pub first_byte: Duration,
}

impl GatewayOptions {
    /// One thread, no TLS, nobody's word, the limits of a gateway, and nobody who watches.
    #[must_use]
    pub fn new(http: SocketAddr, control: PathBuf, snapshot: PathBuf) -> Self {
        let requests = RequestLimits { body: None, whole: None, first_byte: GatewayLimits::default().first_byte.0 };
        Self {
            http,
            https: None,
            certificates: BTreeMap::new(),
            control,
            snapshot,
            threads: 1,
            trusted: TrustedProxies::default(),
            proxy_protocol: false,
            limits: Limits::gateway(),
            requests,
            metrics: None,
            access_log: None,
            handover: GatewayLimits::default().handover.0,
        }
    }

    /// As the server's file has it. `snapshot` is the file that remembers what is served; what the service gives of
    /// certificates is beside it.
    #[must_use]
    pub fn configured(listen: GatewayListen, snapshot: PathBuf, threads: usize) -> Self {
        let GatewayListen { http, https, tls, control, trusted_proxies, proxy_protocol, metrics, access_log, limits } =
            listen;
        let (https, certificates) = match tls {
            GatewayTls::Here(certificates) => (https, certificates),
            GatewayTls::Upstream => (None, BTreeMap::new()),
        };
        let count = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        let usual = Limits::gateway();
        Self {
            https,
            certificates,
            threads,
            trusted: trusted_proxies,
            proxy_protocol,
            limits: Limits {
                connections: count(limits.connections),
                of_address: limits.connections_per_address.map(count),
                head: limits.head_time.0,
                idle: limits.idle.0,
                head_bytes: usize::try_from(limits.head.0).unwrap_or(usize::MAX),
                fields: count(limits.headers),
                streams: limits.streams,
                resets: count(limits.resets),
                body: Patience { bytes_per_second: limits.body_rate.0, ..usual.body },
                ..usual
            },
            requests: RequestLimits {
                body: limits.body.map(|most| most.0),
                whole: limits.request.map(|time| time.0),
                first_byte: limits.first_byte.0,
            },
            metrics,
            access_log,
            handover: limits.handover.0,
            ..Self::new(http, control, snapshot)
        }
    }
}
