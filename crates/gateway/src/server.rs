//! The gateway as a whole: how it starts, follows another, is followed, and stops.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, Notify};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use windlass_core::config::CertificateFiles;
use windlass_listen::{Seats, open_files};

use crate::access_log::RequestLog;
use crate::certificates::{self, Certificates, Watch};
use crate::control;
use crate::error::GatewayError;
use crate::handover::{self, Estate, HTTP, HTTPS, METRICS, Taken};
use crate::metrics::{self, Numbers};
use crate::options::GatewayOptions;
use crate::own_socket::{OwnSocket, Unbound};
use crate::seen::Seen;
use crate::serving::Shared;
use crate::snapshot::SnapshotFile;
use crate::switchboard::Switchboard;
use crate::tls::Tls;
use crate::worker::{self, Ends, Finished, Listener};

/// So long a write of the snapshot may hold up the end.
const CLOSING: Duration = Duration::from_secs(2);

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
    followed: CancellationToken,
    accepting: TaskTracker,
    handover: Duration,
    seats: Arc<Seats>,
    board: Arc<Switchboard>,
    /// What opens the control socket, hands over, and does as a successor says.
    unique: Vec<JoinHandle<()>>,
    workers: Vec<Finished>,
}

/// Serves until `shutdown` or until a newer gateway has taken over, then lets requests under way end.
///
/// # Errors
///
/// When it cannot start; see [`GatewayError`].
pub async fn run(options: GatewayOptions, shutdown: CancellationToken) -> Result<(), GatewayError> {
    let gateway = Gateway::start(options).await?;
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = gateway.handed_over() => {}
    }
    gateway.stop().await;
    Ok(())
}

/// The sockets of one kind: those that the gateway before has for this address, or new ones.
#[derive(Debug)]
struct Sockets {
    kind: &'static str,
    address: SocketAddr,
    listeners: Vec<TcpListener>,
}

impl Sockets {
    fn open(
        kind: &'static str,
        address: SocketAddr,
        threads: usize,
        before: Option<&mut Taken>,
    ) -> Result<Self, GatewayError> {
        let not_listening = GatewayError::listen(address);
        let listeners = match before.map(|before| before.claim(kind, address)).unwrap_or_default() {
            none if none.is_empty() => worker::listen(address, threads),
            taken => worker::listen_on(taken, threads),
        };
        let listeners = listeners.map_err(&not_listening)?;
        let address = listeners[0].local_addr().map_err(not_listening)?;
        Ok(Self { kind, address, listeners })
    }

    /// For a successor.
    fn copies(&self) -> Result<Vec<(&'static str, TcpListener)>, GatewayError> {
        let copies = self.listeners.iter().map(|listener| Ok((self.kind, listener.try_clone()?)));
        copies.collect::<io::Result<_>>().map_err(GatewayError::listen(self.address))
    }
}

fn end_tls(port: u16, files: BTreeMap<String, CertificateFiles>, snapshot: &Path) -> Result<Tls, GatewayError> {
    let path = snapshot.with_extension("certificates");
    let made = Certificates::load(files, path.clone()).and_then(|it| Tls::new(it, port).map_err(io::Error::other));
    made.map_err(|source| GatewayError::Certificates { path, source })
}

fn take_place(path: &Path) -> Result<OwnSocket, GatewayError> {
    OwnSocket::replace(path).map_err(|error| GatewayError::control(Unbound::Failed(error), path.to_owned()))
}

impl Gateway {
    /// Serves what the snapshot knows and listens for more. If a gateway with this control socket runs, takes over from
    /// it. Control and probes run on the caller's runtime.
    ///
    /// # Errors
    ///
    /// When the port, the control socket or the snapshot is not to be had; see [`GatewayError`].
    pub async fn start(options: GatewayOptions) -> Result<Self, GatewayError> {
        let GatewayOptions { http, https, certificates, control, snapshot, .. } = options;
        let threads = options.threads.max(1);
        let mut before = handover::take_over(&control).await?;
        let socket = match before {
            Some(_) => None,
            None => Some(OwnSocket::bind(&control).map_err(|unbound| GatewayError::control(unbound, control.clone()))?),
        };
        let http = Sockets::open(HTTP, http, threads, before.as_mut())?;
        let https = https.map(|it| Sockets::open(HTTPS, it, threads, before.as_mut())).transpose()?;
        let metrics = options.metrics.map(|it| Sockets::open(METRICS, it, 1, before.as_mut())).transpose()?;
        let all = [Some(&http), https.as_ref(), metrics.as_ref()].into_iter().flatten();
        let sockets = all.map(Sockets::copies).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect();

        let tls = https.as_ref().map(|https| end_tls(https.address.port(), certificates, &snapshot)).transpose()?;
        let certificates = tls.as_ref().map(|tls| Arc::clone(&tls.certificates));
        let files = certificates.as_ref().and_then(certificates::watch);
        let file = SnapshotFile::new(snapshot.clone());
        let stored = file.load().map_err(|source| GatewayError::Snapshot { path: snapshot, source })?;
        let table = Arc::new(ArcSwap::default());
        let shutdown = CancellationToken::new();
        let guard = shutdown.clone().drop_guard();
        let followed = shutdown.child_token();
        let log_file = options.access_log.as_ref().and_then(|log| log.file.clone());
        let seen = Seen::start(options.access_log, options.metrics, &shutdown).map_err(|source| {
            let path = log_file.unwrap_or_else(|| "on standard output".into());
            GatewayError::AccessLog { path, source }
        })?;
        let meters = seen.as_ref().and_then(|seen| seen.meters.clone());
        let board = Switchboard::restore(Arc::clone(&table), certificates, file, stored, meters);
        if let Some(before) = &before {
            board.inherit(&before.offer).await;
        }

        let seats = Seats::new(options.limits, open_files());
        let addresses = (http.address, https.as_ref().map(|it| it.address), metrics.as_ref().map(|it| it.address));
        if let (Some(metrics), Some(seen)) = (metrics, &seen) {
            let numbers = Numbers::new(Arc::clone(&board), Arc::clone(&seats), Arc::clone(seen));
            let not_listening = GatewayError::listen(metrics.address);
            metrics::start(metrics.listeners, numbers, &followed).map_err(not_listening)?;
        }
        let log = seen.as_ref().and_then(|seen| seen.log.clone());
        let shared = Arc::new(Shared {
            table,
            trusted: options.trusted,
            proxy_protocol: options.proxy_protocol,
            seats: Arc::clone(&seats),
            seen,
            tls,
            requests: options.requests,
        });
        let (mut workers, accepting) = (Vec::new(), TaskTracker::new());
        let plain = http.listeners.into_iter().map(Listener::plain);
        let secure = https.into_iter().flat_map(|https| https.listeners).map(Listener::secure);
        let shares = worker::share_out(plain.collect(), secure.collect(), threads);
        for (number, listeners) in shares.into_iter().enumerate() {
            let ends = Ends { followed: followed.clone(), shutdown: shutdown.clone(), accepts: accepting.token() };
            let worker = worker::start(number, listeners, Arc::clone(&shared), ends);
            workers.push(worker.map_err(|source| GatewayError::Worker { source })?);
        }
        let (http, https, metrics) = addresses;
        let connections = seats.most();
        tracing::info!(
            http.address = %http, https.address = https.map(tracing::field::display), threads = workers.len(), connections,
            "gateway serves"
        );

        let look = [Arc::new(Notify::new()), Arc::new(Notify::new())];
        let door = handover::door_of(&control);
        let socket = socket.map_or_else(|| take_place(&control), Ok)?;
        let hands_over = take_place(&door)?;
        if let Some(before) = before {
            tracing::info!(predecessor.version = before.version(), "took over from a gateway that ran");
            before.serving().await?;
        }
        let estate = Estate {
            board: Arc::clone(&board),
            sockets,
            followed: followed.clone(),
            look: look.clone(),
            turn: Mutex::default(),
        };
        let control = control::serve(socket, Arc::clone(&board), Arc::clone(&look[0]), followed.clone());
        let unique = vec![
            tokio::spawn(control),
            tokio::spawn(handover::serve(hands_over, estate)),
            tokio::spawn(settle(Arc::clone(&board), shutdown.clone())),
            tokio::spawn(follow(Arc::clone(&board), door, followed.clone(), shutdown)),
        ];
        let handover = options.handover;
        Ok(Self {
            http,
            https,
            metrics,
            log,
            shutdown: guard,
            _files: files,
            followed,
            accepting,
            handover,
            seats,
            board,
            unique,
            workers,
        })
    }

    /// Waits until a newer gateway has taken over and nothing is under way here any more, or its time is over.
    pub async fn handed_over(&self) {
        self.followed.cancelled().await;
        self.accepting.close();
        self.accepting.wait().await;
        if tokio::time::timeout(self.handover, self.seats.empty()).await.is_err() {
            tracing::warn!(connections = self.seats.taken(), "a newer gateway has the rest: what is left here is cut");
        }
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
        let Self { shutdown, log, board, unique, workers, .. } = self;
        // What has begun to be recorded is, before a successor reads it.
        if tokio::time::timeout(CLOSING, board.close()).await.is_err() {
            tracing::warn!("a change is not recorded yet");
        }
        drop(shutdown);
        for worker in workers {
            // It says so by going away, whatever the reason.
            let _ = worker.await;
        }
        for task in unique {
            let _ = task.await;
        }
        if let Some(log) = log {
            log.close().await;
        }
        tracing::info!("gateway stopped");
    }
}

async fn settle(board: Arc<Switchboard>, end: CancellationToken) {
    // Whoever stops waits for nobody.
    let _ = end.run_until_cancelled(board.predecessors.settle()).await;
}

async fn follow(board: Arc<Switchboard>, door: PathBuf, followed: CancellationToken, end: CancellationToken) {
    followed.cancelled().await;
    // Nobody follows a gateway that only stops.
    if !end.is_cancelled() {
        handover::follow(board, &door, end).await;
    }
}
