//! A thread that serves requests: its own single-threaded runtime, its own listener on the shared port, its own pool.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_core::proxies::TrustedProxies;

use crate::forwarded::Peer;
use crate::pool;
use crate::proxy::{self, Client};
use crate::router::Table;

/// Requests under way get so long when the gateway stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// For a request's head, and for an idle connection until its next one: longer than the 60 s that load balancers in
/// front of us keep theirs, so that it is they who close.
const HEAD_TIMEOUT: Duration = Duration::from_secs(65);
/// After the system had no descriptor left for a client.
pub(crate) const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
const BACKLOG: i32 = 4096;

/// What all workers serve by.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) trusted: TrustedProxies,
}

/// A worker's thread. Resolves when the thread has ended.
pub(crate) type Finished = oneshot::Receiver<()>;

/// A socket on the port that all workers share: the kernel spreads the connections over them.
pub(crate) fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Starts serving.
pub(crate) fn start(
    number: usize,
    listener: StdListener,
    shared: Arc<Shared>,
    shutdown: CancellationToken,
) -> io::Result<Finished> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (finish, finished) = oneshot::channel();
    std::thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
        if let Err(error) = runtime.block_on(serve(listener, shared, shutdown)) {
            tracing::error!(%error, worker.number = number, "worker could not listen");
        }
        drop(runtime);
        // Nobody waits for it when the gateway was dropped rather than stopped.
        let _ = finish.send(());
    })?;
    Ok(finished)
}

async fn serve(listener: StdListener, shared: Arc<Shared>, shutdown: CancellationToken) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    // A token of our own: looking at it takes a lock, and so no other worker does.
    let shutdown = shutdown.child_token();
    let tasks = TaskTracker::new();
    let sweeper = tokio::spawn(pool::sweep());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, peer)) => {
                tasks.spawn(serve_client(stream, peer, Arc::clone(&shared), tasks.clone(), shutdown.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "client not accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    tasks.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, tasks.wait()).await.is_err() {
        tracing::warn!(connections = tasks.len(), "requests cut because the gateway stops");
    }
    sweeper.abort();
    Ok(())
}

async fn serve_client(
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        return tracing::debug!(%error, "client has gone");
    }
    let peer_says = Peer::new(peer.ip(), &shared.trusted);
    let client = Arc::new(Client { shared, peer: peer_says, tasks });
    let service = service_fn(move |request| proxy::forward(Arc::clone(&client), request));
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    let mut connection = pin!(server.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        biased;
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, client.address = %peer, "client's connection broke");
    }
}
