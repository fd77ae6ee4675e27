//! The gateway as a whole: what it is started with, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::proxies::TrustedProxies;
use windlass_listen::{Limits, Seats, open_files};

use crate::control::{ControlSocket, Unbound};
use crate::snapshot::SnapshotFile;
use crate::switchboard::Switchboard;
use crate::worker::{self, Finished, Shared};

/// So long a write of the snapshot may hold up the end.
const CLOSING: Duration = Duration::from_secs(2);

/// What one host's gateway needs to know.
#[derive(Debug, Clone)]
pub struct GatewayOptions {
    /// Where clients connect. With port 0 the system chooses one.
    pub http: SocketAddr,
    /// The path of the control socket.
    pub control: PathBuf,
    /// The path of the file that remembers what is served.
    pub snapshot: PathBuf,
    /// How many threads serve requests, each with its own listener and connection pool. At least one.
    pub threads: usize,
    /// Whose word about clients is taken.
    pub trusted: TrustedProxies,
    /// What clients may take; of connections no more than open files allow.
    pub limits: Limits,
}

impl GatewayOptions {
    /// One thread, nobody's word, and the limits of a gateway.
    #[must_use]
    pub fn new(http: SocketAddr, control: PathBuf, snapshot: PathBuf) -> Self {
        Self { http, control, snapshot, threads: 1, trusted: TrustedProxies::default(), limits: Limits::gateway() }
    }
}

/// A running gateway. Stops when it is dropped; [`Gateway::stop`] lets requests under way end first.
#[derive(Debug)]
pub struct Gateway {
    http: SocketAddr,
    shutdown: DropGuard,
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
    /// The system gives no more threads.
    #[error("cannot start a worker thread: {source}")]
    Worker {
        /// What the system said.
        source: io::Error,
    },
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
        let GatewayOptions { http, control, snapshot, threads, trusted, limits } = options;
        let socket = ControlSocket::bind(&control).map_err(|unbound| match unbound {
            Unbound::InUse => GatewayError::ControlInUse { path: control },
            Unbound::Failed(source) => GatewayError::Control { path: control, source },
        })?;
        let not_listening = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => GatewayError::AddressInUse { address: http },
            _ => GatewayError::Listen { address: http, source },
        };
        let listeners = worker::listen(http, threads.max(1)).map_err(not_listening)?;
        let address = listeners[0].local_addr().map_err(not_listening)?;

        let file = SnapshotFile::new(snapshot.clone());
        let stored = file.load().map_err(|source| GatewayError::Snapshot { path: snapshot, source })?;
        let table = Arc::new(ArcSwap::default());
        let board = Switchboard::restore(Arc::clone(&table), file, stored);

        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        let seats = Seats::new(limits, open_files());
        let connections = seats.most();
        let shared = Arc::new(Shared { table, trusted, seats });
        let mut workers = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let worker = worker::start(number, listener, Arc::clone(&shared), shutdown.clone());
            workers.push(worker.map_err(|source| GatewayError::Worker { source })?);
        }
        tracing::info!(http.address = %address, threads = workers.len(), connections, "gateway serves");
        let control = tokio::spawn(socket.serve(Arc::clone(&board), shutdown));
        Ok(Self { http: address, shutdown: guard, board, control, workers })
    }

    /// Where it listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Leaves port and control socket to a successor at once, lets requests under way end for up to ten seconds and cuts
    /// the rest. Tunnels and event streams have no end of their own and are not waited for.
    pub async fn stop(self) {
        let Self { shutdown, board, control, workers, .. } = self;
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
        tracing::info!("gateway stopped");
    }
}
