//! The gateway as a whole: what it is started with, and how it stops.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::config::{AccessLog, CertificateFiles, GatewayLimits, GatewayListen, GatewayTls};
use windlass_core::proxies::TrustedProxies;
use windlass_listen::{Limits, Patience, Seats, open_files};

use crate::access_log::RequestLog;
use crate::certificates::{self, Certificates, Watch};
use crate::control::{ControlSocket, Unbound};
use crate::metrics::{self, Numbers};
use crate::seen::Seen;
use crate::snapshot::SnapshotFile;
use crate::switchboard::Switchboard;
use crate::tls::Tls;
use crate::worker::{self, Finished, Listeners, Shared};

/// So long a write of the snapshot may hold up the end.
const CLOSING: Duration = Duration::from_secs(2);

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
            ..Self::new(http, control, snapshot)
        }
    }
}

/// A running gateway. Stops when it is dropped; [`Gateway::stop`] lets requests under way end first.
#[derive(Debug)]
pub struct Gateway {
    http: SocketAddr,
    https: Option<SocketAddr>,
    metrics: Option<SocketAddr>,
    log: Option<Arc<RequestLog>>,
    shutdown: DropGuard,
    /// For as long as it runs, the operator's certificates are read again when they change.
    _files: Option<Watch>,
    board: Arc<Switchboard>,
    control: JoinHandle<()>,
    workers: Vec<Finished>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port is not ours to take.
    #[error("cannot listen on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody listens there.
    #[error(
        "something listens at {address} already, perhaps another gateway: a port has one gateway; stop that one, or choose \
         another address"
    )]
    AddressInUse { address: SocketAddr },
    /// There is one already.
    #[error("a gateway is running with the control socket {}; stop it, or give this one another path", path.display())]
    ControlInUse { path: PathBuf },
    /// The control socket cannot be made.
    #[error("cannot open the control socket {}: {source}; check its folder's permissions", path.display())]
    Control {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot {}: {source}; check its permissions", path.display())]
    Snapshot {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// There is no TLS without a place for certificates.
    #[error("cannot use the folder of certificates {}: {source}; check its permissions", path.display())]
    Certificates {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The access log is not to be had.
    #[error("cannot write the access log {}: {source}; check that its folder is there and open to this user", path.display())]
    AccessLog {
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gives no more threads.
    #[error("cannot start a worker thread: {source}")]
    Worker {
        /// What the system said.
        source: io::Error,
    },
}

/// A listening socket for each thread.
fn listen(address: SocketAddr, threads: usize) -> Result<(SocketAddr, Vec<TcpListener>), GatewayError> {
    let listeners = worker::listen(address, threads.max(1)).map_err(not_listening(address))?;
    Ok((listeners[0].local_addr().map_err(not_listening(address))?, listeners))
}

fn end_tls(port: u16, files: BTreeMap<String, CertificateFiles>, snapshot: &Path) -> Result<Tls, GatewayError> {
    let path = snapshot.with_extension("certificates");
    let made = Certificates::load(files, path.clone()).and_then(|it| Tls::new(it, port).map_err(io::Error::other));
    made.map_err(|source| GatewayError::Certificates { path, source })
}

/// Serves until `shutdown`, then lets requests under way end.
///
/// # Errors
///
/// When it cannot start; see [`GatewayError`].
pub async fn run(options: GatewayOptions, shutdown: CancellationToken) -> Result<(), GatewayError> {
    let gateway = Gateway::start(options).await?;
    shutdown.cancelled().await;
    gateway.stop().await;
    Ok(())
}

impl Gateway {
    /// Serves what the snapshot knows and listens for more. Control and probes run on the caller's runtime.
    ///
    /// # Errors
    ///
    /// When the port, the control socket or the snapshot is not to be had; see [`GatewayError`].
    pub async fn start(options: GatewayOptions) -> Result<Self, GatewayError> {
        let GatewayOptions { http, https, certificates, control, snapshot, threads, .. } = options;
        let socket = ControlSocket::bind(&control).map_err(|unbound| match unbound {
            Unbound::InUse => GatewayError::ControlInUse { path: control },
            Unbound::Failed(source) => GatewayError::Control { path: control, source },
        })?;
        let (address, listeners) = listen(http, threads)?;
        let secured = https.map(|https| listen(https, threads)).transpose()?;
        let https = secured.as_ref().map(|(address, _)| *address);

        let tls = https.map(|address| end_tls(address.port(), certificates, &snapshot)).transpose()?;
        let certificates = tls.as_ref().map(|tls| Arc::clone(&tls.certificates));
        let files = certificates.as_ref().and_then(certificates::watch);

        let file = SnapshotFile::new(snapshot.clone());
        let stored = file.load().map_err(|source| GatewayError::Snapshot { path: snapshot, source })?;
        let table = Arc::new(ArcSwap::default());
        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        let seen = Seen::start(options.access_log, options.metrics, &shutdown)?;
        let meters = seen.as_ref().and_then(|seen| seen.meters.clone());
        let board = Switchboard::restore(Arc::clone(&table), certificates, file, stored, meters);

        let seats = Seats::new(options.limits, open_files());
        let connections = seats.most();
        let log = seen.as_ref().and_then(|seen| seen.log.clone());
        let metrics = match (options.metrics, &seen) {
            (Some(address), Some(seen)) => {
                let numbers = Numbers::new(Arc::clone(&board), Arc::clone(&seats), Arc::clone(seen));
                Some(metrics::start(address, numbers, shutdown.clone()).map_err(not_listening(address))?)
            }
            _ => None,
        };
        let shared = Arc::new(Shared {
            table,
            trusted: options.trusted,
            proxy_protocol: options.proxy_protocol,
            seats,
            seen,
            tls,
            requests: options.requests,
        });
        let mut workers = Vec::new();
        let mut secured = secured.into_iter().flat_map(|(_, listeners)| listeners);
        for (number, http) in listeners.into_iter().enumerate() {
            let listeners = Listeners { http, https: secured.next() };
            let worker = worker::start(number, listeners, Arc::clone(&shared), shutdown.clone());
            workers.push(worker.map_err(|source| GatewayError::Worker { source })?);
        }
        tracing::info!(http.address = %address, threads = workers.len(), connections, https.address = https.map(tracing::field::display), "gateway serves");
        let control = tokio::spawn(socket.serve(Arc::clone(&board), shutdown));
        Ok(Self { http: address, https, metrics, log, shutdown: guard, _files: files, board, control, workers })
    }

    /// Where it listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Where it listens for TLS, if it does.
    #[must_use]
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https
    }

    /// Where the numbers are.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics
    }

    /// Leaves port and control socket to a successor at once, lets requests under way end for up to ten seconds and cuts
    /// the rest. Tunnels and event streams have no end of their own and are not waited for.
    pub async fn stop(self) {
        let Self { shutdown, log, board, control, workers, .. } = self;
        // What has begun to be recorded is, before a successor reads it.
        if tokio::time::timeout(CLOSING, board.close()).await.is_err() {
            tracing::warn!("a change is not recorded yet");
        }
        drop(shutdown);
        for worker in workers {
            // It says so by going away, whatever the reason.
            let _ = worker.await;
        }
        let _ = control.await;
        if let Some(log) = log {
            log.close().await;
        }
        tracing::info!("gateway stopped");
    }
}

fn not_listening(address: SocketAddr) -> impl Fn(io::Error) -> GatewayError {
    move |source| match source.kind() {
        io::ErrorKind::AddrInUse => GatewayError::AddressInUse { address },
        _ => GatewayError::Listen { address, source },
    }
}
