//! A thread that serves requests: its own single-threaded runtime, its own listener on the shared port, its own pool.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::service::service_fn;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_core::proxies::TrustedProxies;
use windlass_listen::{Connection, Door, Seats, Share, serve_client};

use crate::certificates::ACME_TLS;
use crate::client::Client;
use crate::pool;
use crate::proxy;
use crate::router::Table;
use crate::seen::Seen;
use crate::server::RequestLimits;
use crate::tls::Tls;

/// Requests under way get so long when the gateway stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
const BACKLOG: i32 = 4096;

/// What all workers serve by.
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

/// Where one worker's clients come in.
#[derive(Debug)]
pub(crate) struct Listeners {
    pub(crate) http: StdListener,
    pub(crate) https: Option<StdListener>,
}

/// A worker's thread. Resolves when the thread has ended.
pub(crate) type Finished = oneshot::Receiver<()>;

/// So many sockets on one port that is nobody else's: the kernel spreads the connections over them.
pub(crate) fn listen(address: SocketAddr, sockets: usize) -> io::Result<Vec<StdListener>> {
    let first = socket(address)?;
    first.bind(&address.into())?;
    first.listen(BACKLOG)?;
    let address = first.local_addr()?.as_socket().unwrap_or(address);
    // Only now: with it another gateway could have listened here as well, and would have got every second client.
    first.set_reuse_port(true)?;
    let others = (1..sockets).map(|_| {
        let other = socket(address)?;
        other.set_reuse_port(true)?;
        other.bind(&address.into())?;
        other.listen(BACKLOG)?;
        Ok(other.into())
    });
    let others: Vec<StdListener> = others.collect::<io::Result<_>>()?;
    Ok(std::iter::once(first.into()).chain(others).collect())
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a gateway that has gone may still be there.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Starts serving.
pub(crate) fn start(
    number: usize,
    listeners: Listeners,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> io::Result<Finished> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (finish, finished) = oneshot::channel();
    std::thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
        if let Err(error) = runtime.block_on(serve(listeners, shared, shutdown)) {
            tracing::error!(%error, worker.number = number, "worker could not listen");
        }
        drop(runtime);
        // Nobody waits for it when the gateway was dropped rather than stopped.
        let _ = finish.send(());
    })?;
    Ok(finished)
}

async fn serve(listeners: Listeners, shared: Arc<Shared>, shutdown: CancellationToken) -> io::Result<()> {
    let door = |listener| Ok::<_, io::Error>(Door::new(TcpListener::from_std(listener)?, Arc::clone(&shared.seats)));
    let http = door(listeners.http)?;
    let https = listeners.https.map(door).transpose()?;
    // A token of our own: looking at it takes a lock, and so no other worker does.
    let shutdown = shutdown.child_token();
    let under_way = TaskTracker::new();
    let sweeper = tokio::spawn(pool::sweep());
    let share = |peer: IpAddr| if shared.trusted.trust(peer) { Share::All } else { Share::Half };
    loop {
        let ((connection, peer), secure) = tokio::select! {
            client = http.next_sharing(share) => (client, false),
            client = next_of(https.as_ref(), share) => (client, true),
            () = shutdown.cancelled() => break,
        };
        tokio::spawn(converse(connection, peer, secure, Arc::clone(&shared), under_way.clone(), shutdown.clone()));
    }
    drop((http, https));
    under_way.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, under_way.wait()).await.is_err() {
        tracing::warn!(connections = under_way.len(), "requests cut because the gateway stops");
    }
    sweeper.abort();
    Ok(())
}

async fn next_of(door: Option<&Door>, share: impl Fn(IpAddr) -> Share) -> (Connection, SocketAddr) {
    match door {
        Some(door) => door.next_sharing(share).await,
        None => std::future::pending().await,
    }
}

async fn converse(
    connection: Connection,
    peer: SocketAddr,
    secure: bool,
    shared: Arc<Shared>,
    under_way: TaskTracker,
    shutdown: CancellationToken,
) {
    // Nothing was asked yet: a gateway that stops does not wait for what may come.
    let welcome = shutdown.run_until_cancelled(welcome(connection, peer, secure, &shared));
    let (connection, peer) = match welcome.await {
        Some(Ok(Some(welcomed))) => welcomed,
        Some(Ok(None)) | None => return,
        Some(Err(error)) => {
            return tracing::debug!(%error, client.address = %peer, "client's connection did not begin");
        }
    };
    let client = Client::new(shared, peer.ip(), secure, under_way);
    let client = Arc::new(client);
    let service = service_fn(move |request| proxy::forward(Arc::clone(&client), request));
    if let Err(error) = serve_client(connection, peer, service, &shutdown).await {
        tracing::debug!(%error, client.address = %peer, "client's connection broke");
    }
}

/// What comes before the first request: a proxy's word, the handshake, and what is spoken. `None`: there will be none.
async fn welcome(
    mut connection: Connection,
    mut peer: SocketAddr,
    secure: bool,
    shared: &Shared,
) -> io::Result<Option<(Connection, SocketAddr)>> {
    if shared.proxy_protocol && shared.trusted.trust(peer.ip()) {
        let (introduced, client) = connection.introduced().await?;
        (connection, peer) = (introduced, client.unwrap_or(peer));
    }
    match shared.tls.as_ref().filter(|_| secure) {
        Some(tls) => {
            let connection = connection.secured(&tls.acceptor).await?;
            // The handshake was all that the authority wanted to see.
            let is_challenge = connection.agreed() == Some(ACME_TLS);
            Ok((!is_challenge).then_some((connection, peer)))
        }
        None => Ok(Some((connection.recognized().await?, peer))),
    }
}
