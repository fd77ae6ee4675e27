//! Connections to targets that wait for their next request. Each worker thread has a pool of its own: no lock, and a
//! request is answered by the core that accepted it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::client::conn::{TrySendError, http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use windlass_core::gateway::AppProtocol;

use crate::body::RequestBody;
use crate::target::{Target, TargetId};

thread_local! {
    static IDLE: RefCell<HashMap<TargetId, Vec<Idle>>> = RefCell::default();
    /// Where requests go side by side, one connection is enough.
    static SHARED: RefCell<HashMap<TargetId, http2::SendRequest<RequestBody>>> = RefCell::default();
}

/// Apps close idle connections as they like; the shorter we keep them, the rarer a request meets one that just closes.
pub(crate) const LONGEST_IDLE: Duration = Duration::from_secs(15);
/// A request that must not be sent twice takes only a connection that was in use a moment ago.
const FRESH: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const IDLE_PER_TARGET: usize = 256;
const SWEEP_EVERY: Duration = Duration::from_secs(5);

/// Newest last: the busiest connections stay warm and the others age.
#[derive(Debug)]
struct Idle {
    sender: http1::SendRequest<RequestBody>,
    since: Instant,
    /// How long the target promised to keep it.
    patience: Duration,
}

/// How a request goes out.
#[derive(Debug)]
pub(crate) enum Sender {
    /// On a connection that it has for itself,
    Alone(http1::SendRequest<RequestBody>),
    /// or on one with others.
    Shared(http2::SendRequest<RequestBody>),
}

impl Sender {
    pub(crate) async fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, TrySendError<Request<RequestBody>>> {
        match self {
            Self::Alone(sender) => sender.try_send_request(request).await,
            Self::Shared(sender) => sender.try_send_request(request).await,
        }
    }
}

/// A connection for a request.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: Sender,
    /// It has carried a request before, so the target may close it at any moment.
    pub(crate) reused: bool,
    /// How long it may be idle afterwards.
    pub(crate) patience: Duration,
    target: TargetId,
}

/// What a request asks of a pooled connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    /// The request can be sent again if the connection turns out closed.
    Safe,
    /// It cannot.
    Unsafe,
}

/// The newest idle connection that serves the purpose.
pub(crate) fn take(target: TargetId, protocol: AppProtocol, repeat: Repeat) -> Option<Connection> {
    match protocol {
        AppProtocol::Http1 => take_idle(target, repeat),
        AppProtocol::H2c => take_shared(target),
    }
}

fn take_shared(target: TargetId) -> Option<Connection> {
    SHARED.with_borrow_mut(|shared| {
        let sender = shared.get(&target)?.clone();
        if sender.is_closed() {
            shared.remove(&target);
            return None;
        }
        Some(Connection { sender: Sender::Shared(sender), reused: true, patience: LONGEST_IDLE, target })
    })
}

fn take_idle(target: TargetId, repeat: Repeat) -> Option<Connection> {
    IDLE.with_borrow_mut(|pool| {
        let idle = pool.get_mut(&target)?;
        let now = Instant::now();
        loop {
            let newest = idle.last()?;
            let age = now.duration_since(newest.since);
            if repeat == Repeat::Unsafe && age > FRESH {
                return None;
            }
            let Idle { sender, patience, .. } = idle.pop()?;
            if sender.is_ready() && age < patience {
                let sender = Sender::Alone(sender);
                return Some(Connection { sender, reused: true, patience: LONGEST_IDLE, target });
            }
        }
    })
}

/// A new connection.
pub(crate) async fn connect(target: &Arc<Target>, protocol: AppProtocol) -> io::Result<Connection> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target.address));
    let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let sender = match protocol {
        AppProtocol::Http1 => Sender::Alone(connect_alone(target, stream).await.map_err(io::Error::other)?),
        AppProtocol::H2c => Sender::Shared(connect_shared(target, stream).await.map_err(io::Error::other)?),
    };
    Ok(Connection { sender, reused: false, patience: LONGEST_IDLE, target: target.id })
}

async fn connect_alone(target: &Target, stream: TcpStream) -> hyper::Result<http1::SendRequest<RequestBody>> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let id = target.id;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a target broke");
        }
        forget_closed(id);
    });
    target.hold_line(task.abort_handle());
    Ok(sender)
}

async fn connect_shared(target: &Target, stream: TcpStream) -> hyper::Result<http2::SendRequest<RequestBody>> {
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let id = target.id;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to a target broke");
        }
    });
    target.hold_line(task.abort_handle());
    SHARED.with_borrow_mut(|shared| shared.insert(id, sender.clone()));
    Ok(sender)
}

impl Connection {
    /// Puts it back for the next request. The response has been read to its end.
    pub(crate) fn give_back(self) {
        let Self { sender, patience, target, .. } = self;
        let Sender::Alone(mut sender) = sender else { return };
        if sender.is_ready() {
            store(sender, patience, target);
        } else if !sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            // The target has answered before it had read all of the request.
            runtime.spawn(async move {
                if sender.ready().await.is_ok() {
                    store(sender, patience, target);
                }
            });
        }
    }
}

fn store(sender: http1::SendRequest<RequestBody>, patience: Duration, target: TargetId) {
    let idle = Idle { sender, since: Instant::now(), patience };
    // Fails when the thread is ending, and the pool with it.
    let _ = IDLE.try_with(|pool| {
        let mut pool = pool.borrow_mut();
        let connections = pool.entry(target).or_default();
        if connections.len() < IDLE_PER_TARGET {
            connections.push(idle);
        }
    });
}

/// Closes what has been idle too long, for as long as the worker lives.
pub(crate) async fn sweep() {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
        SHARED.with_borrow_mut(|shared| shared.retain(|_, sender| !sender.is_closed()));
        IDLE.with_borrow_mut(|pool| {
            pool.retain(|_, idle| {
                idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < idle.patience);
                !idle.is_empty()
            });
        });
    }
}

fn forget_closed(target: TargetId) {
    let _ = IDLE.try_with(|pool| {
        if let Some(idle) = pool.borrow_mut().get_mut(&target) {
            idle.retain(|idle| !idle.sender.is_closed());
        }
    });
}
