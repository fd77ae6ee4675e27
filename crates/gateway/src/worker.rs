//! A thread that serves requests: its own single-threaded runtime, its own listener on the shared port, its own pool.

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use windlass_listen::{Connection, Door, Share, serve_client};

use crate::certificates::ACME_TLS;
use crate::client::Client;
use crate::headers;
use crate::pool;
use crate::proxy;
use crate::serving::Shared;

/// Requests under way get so long when the gateway stops.
const SHUTDOWN_GRACE: Duration = Duration::from_secs(10);
/// So long a gateway that was followed accepts with its successor: nobody is left behind who has come to it.
const BOTH_ACCEPT: Duration = Duration::from_millis(200);
/// So long a connection over HTTP/2 has for its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(1);
const BACKLOG: i32 = 4096;

/// Where clients come in.
#[derive(Debug)]
pub(crate) struct Listener {
    socket: StdListener,
    /// By TLS that ends here.
    secure: bool,
}

impl Listener {
    pub(crate) fn plain(socket: StdListener) -> Self {
        Self { socket, secure: false }
    }

    pub(crate) fn secure(socket: StdListener) -> Self {
        Self { socket, secure: true }
    }
}

/// What a worker's work ends with.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    /// It accepts no more, and each connection's next answer is its last.
    pub(crate) followed: CancellationToken,
    /// What is under way gets some seconds.
    pub(crate) shutdown: CancellationToken,
    /// As long as it is there, it may accept yet.
    pub(crate) accepts: TaskTrackerToken,
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
    let others: Vec<StdListener> = (1..sockets).map(|_| listen_too(address)).collect::<io::Result<_>>()?;
    Ok(std::iter::once(first.into()).chain(others).collect())
}

/// Sockets that somebody else listened on, as many as there are, and for threads beyond that others on the same port.
pub(crate) fn listen_on(mut taken: Vec<StdListener>, threads: usize) -> io::Result<Vec<StdListener>> {
    while let Some(known) = taken.first().filter(|_| taken.len() < threads) {
        // Another user's port has no place for one more: then two threads share one.
        let more = known.local_addr().and_then(listen_too).or_else(|_| known.try_clone())?;
        taken.push(more);
    }
    Ok(taken)
}

fn listen_too(address: SocketAddr) -> io::Result<StdListener> {
    let socket = socket(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Each thread's sockets: nobody would come in by one that has none.
pub(crate) fn share_out(plain: Vec<Listener>, secure: Vec<Listener>, threads: usize) -> Vec<Vec<Listener>> {
    let mut shares: Vec<Vec<Listener>> = (0..threads).map(|_| Vec::new()).collect();
    for listeners in [plain, secure] {
        for (number, listener) in listeners.into_iter().enumerate() {
            shares[number % threads].push(listener);
        }
    }
    shares
}

fn socket(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections of a gateway that has gone may still be there.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// Starts serving.
pub(crate) fn start(number: usize, listeners: Vec<Listener>, shared: Arc<Shared>, ends: Ends) -> io::Result<Finished> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (finish, finished) = oneshot::channel();
    std::thread::Builder::new().name(format!("gateway-{number}")).spawn(move || {
        if let Err(error) = runtime.block_on(serve(listeners, shared, ends)) {
            tracing::error!(%error, worker.number = number, "worker could not listen");
        }
        drop(runtime);
        // Nobody waits for it when the gateway was dropped rather than stopped.
        let _ = finish.send(());
    })?;
    Ok(finished)
}

async fn serve(listeners: Vec<Listener>, shared: Arc<Shared>, ends: Ends) -> io::Result<()> {
    // Tokens of our own: looking at one takes a lock, and so no other worker does.
    let Ends { followed, shutdown, accepts } = ends;
    let (followed, shutdown) = (followed.child_token(), shutdown.child_token());
    let under_way = TaskTracker::new();
    let sweeper = tokio::spawn(pool::sweep());
    let mut doors = JoinSet::new();
    for Listener { socket, secure } in listeners {
        let door = Door::new(TcpListener::from_std(socket)?, Arc::clone(&shared.seats));
        let house = House {
            shared: Arc::clone(&shared),
            secure,
            under_way: under_way.clone(),
            followed: followed.clone(),
            shutdown: shutdown.clone(),
        };
        doors.spawn(keep_open(door, house));
    }
    doors.join_all().await;
    drop(accepts);
    shutdown.cancelled().await;
    under_way.close();
    if tokio::time::timeout(SHUTDOWN_GRACE, under_way.wait()).await.is_err() {
        tracing::warn!(connections = under_way.len(), "requests cut because the gateway stops");
    }
    sweeper.abort();
    Ok(())
}

/// What is behind a door.
#[derive(Debug, Clone)]
struct House {
    shared: Arc<Shared>,
    /// Whoever comes in shakes hands first.
    secure: bool,
    under_way: TaskTracker,
    followed: CancellationToken,
    shutdown: CancellationToken,
}

async fn keep_open(door: Door, house: House) {
    let share = |peer: IpAddr| if house.shared.trusted.trust(peer) { Share::All } else { Share::Half };
    let mut alone = pin!(async {
        house.followed.cancelled().await;
        tokio::time::sleep(BOTH_ACCEPT).await;
    });
    loop {
        let (connection, peer) = tokio::select! {
            client = door.next_sharing(share) => client,
            () = alone.as_mut() => return,
            () = house.shutdown.cancelled() => return,
        };
        tokio::spawn(converse(connection, peer, house.clone()));
    }
}

async fn converse(connection: Connection, peer: SocketAddr, house: House) {
    let House { shared, secure, under_way, followed, shutdown } = house;
    // Nothing was asked yet: a gateway that stops does not wait for what may come.
    let welcome = shutdown.run_until_cancelled(welcome(connection, peer, secure, &shared));
    let (connection, peer) = match welcome.await {
        Some(Ok(Some(welcomed))) => welcomed,
        Some(Ok(None)) | None => return,
        Some(Err(error)) => {
            return tracing::debug!(%error, client.address = %peer, "client's connection did not begin");
        }
    };
    let client = Arc::new(Client::new(shared, peer.ip(), secure, under_way));
    let (side_by_side, begun) = (connection.speaks_http2(), tokio::time::Instant::now());
    let is_followed = followed.clone();
    let service = service_fn(move |request| {
        let (answer, followed) = (proxy::forward(Arc::clone(&client), request), is_followed.clone());
        async move {
            let mut answer = answer.await?;
            if !side_by_side && followed.is_cancelled() {
                headers::make_last(&mut answer);
            }
            Ok::<_, Infallible>(answer)
        }
    });
    // One request after another: the next answer says that it is the last. Side by side: the connection says so itself, but
    // not before its first request is there, which clients do not send again.
    let end = shutdown.child_token();
    let says_so = async {
        if side_by_side {
            followed.cancelled().await;
            tokio::time::sleep_until(begun + FIRST_REQUEST).await;
            end.cancel();
        }
        std::future::pending::<()>().await;
    };
    let served = tokio::select! {
        served = serve_client(connection, peer, service, &end) => served,
        () = says_so => return,
    };
    if let Err(error) = served {
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
