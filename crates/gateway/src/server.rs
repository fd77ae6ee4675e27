//! The gateway as a whole: what it is started with, and how it stops.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::proxies::TrustedProxies;

use crate::control::{ControlSocket, Unbound};
use crate::snapshot::SnapshotFile;
use crate::switchboard::Switchboard;
use crate::worker::{self, Finished, Shared};

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
}

/// A running gateway. Stops when it is dropped; [`Gateway::stop`] lets requests under way end first.
#[derive(Debug)]
pub struct Gateway {
    http: SocketAddr,
    shutdown: DropGuard,
    control: JoinHandle<()>,
    workers: Vec<Finished>,
}

/// Why a gateway does not start.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// The port is taken or not ours to take.
    #[error("cannot listen on {address}: {source}; choose another address or stop what listens there")]
    Listen {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// There is one already.
    #[error("a gateway is running with the control socket {}; stop it, or give this one another path", path.display())]
    ControlInUse {
        /// The socket's path.
        path: PathBuf,
    },
    /// The control socket cannot be made.
    #[error("cannot open the control socket {}: {source}; check its folder's permissions", path.display())]
    Control {
        /// The socket's path.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The snapshot cannot be read.
    #[error("cannot read the snapshot {}: {source}; check its permissions", path.display())]
    Snapshot {
        /// The file's path.
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
        let GatewayOptions { http, control, snapshot, threads, trusted } = options;
        let socket = ControlSocket::bind(&control).map_err(|unbound| match unbound {
            Unbound::InUse => GatewayError::ControlInUse { path: control },
            Unbound::Failed(source) => GatewayError::Control { path: control, source },
        })?;
        let mut listeners = Vec::new();
        let mut address = http;
        for _ in 0..threads.max(1) {
            let listening = worker::listen(address).and_then(|listener| Ok((listener.local_addr()?, listener)));
            let (bound, listener) = listening.map_err(|source| GatewayError::Listen { address, source })?;
            address = bound;
            listeners.push(listener);
        }

        let file = SnapshotFile::new(snapshot.clone());
        let stored = file.load().map_err(|source| GatewayError::Snapshot { path: snapshot, source })?;
        let table = Arc::new(ArcSwap::default());
        let board = Switchboard::restore(Arc::clone(&table), file, stored);

        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        let shared = Arc::new(Shared { table, trusted });
        let mut workers = Vec::new();
        for (number, listener) in listeners.into_iter().enumerate() {
            let worker = worker::start(number, listener, Arc::clone(&shared), shutdown.clone());
            workers.push(worker.map_err(|source| GatewayError::Worker { source })?);
        }
        tracing::info!(http.address = %address, threads = workers.len(), "gateway serves");
        let control = tokio::spawn(socket.serve(board, shutdown));
        Ok(Self { http: address, shutdown: guard, control, workers })
    }

    /// Where it listens.
    #[must_use]
    pub fn http_addr(&self) -> SocketAddr {
        self.http
    }

    /// Takes no more requests, lets those under way end for up to ten seconds and cuts the rest.
    pub async fn stop(self) {
        let Self { shutdown, control, workers, .. } = self;
        drop(shutdown);
        for worker in workers {
            // It says so by going away, whatever the reason.
            let _ = worker.await;
        }
        let _ = control.await;
        tracing::info!("gateway stopped");
    }
}
