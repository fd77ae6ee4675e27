//! Connections to targets that wait for their next request. Each worker thread has a pool of its own: no lock, and a
//! request is answered by the core that accepted it.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::runtime::Handle;

use crate::body::RequestBody;
use crate::target::{Target, TargetId};

thread_local! {
    static IDLE: RefCell<HashMap<TargetId, Vec<Idle>>> = RefCell::default();
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
    sender: SendRequest<RequestBody>,
    since: Instant,
    /// How long the target promised to keep it.
    patience: Duration,
}

/// A connection that one request has for itself.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) sender: SendRequest<RequestBody>,
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
pub(crate) fn take(target: TargetId, repeat: Repeat) -> Option<Connection> {
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
                return Some(Connection { sender, reused: true, patience: LONGEST_IDLE, target });
            }
        }
    })
}

/// A new connection.
pub(crate) async fn connect(target: &Arc<Target>) -> io::Result<Connection> {
    let connecting = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(target.address));
    let stream = connecting.await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    stream.set_nodelay(true)?;
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let id = target.id;
    let task = tokio::spawn(async move {
        if let Err(error) = connection.with_upgrades().await {
            tracing::debug!(%error, "connection to a target broke");
        }
        forget_closed(id);
    });
    target.hold_line(task.abort_handle());
    Ok(Connection { sender, reused: false, patience: LONGEST_IDLE, target: id })
}

impl Connection {
    /// Puts it back for the next request. The response has been read to its end.
    pub(crate) fn give_back(self) {
        if self.sender.is_ready() {
            self.store();
        } else if !self.sender.is_closed()
            && let Ok(runtime) = Handle::try_current()
        {
            // The target has answered before it had read all of the request.
            runtime.spawn(async move {
                let mut connection = self;
                if connection.sender.ready().await.is_ok() {
                    connection.store();
                }
            });
        }
    }

    fn store(self) {
        let idle = Idle { sender: self.sender, since: Instant::now(), patience: self.patience };
        // Fails when the thread is ending, and the pool with it.
        let _ = IDLE.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            let connections = pool.entry(self.target).or_default();
            if connections.len() < IDLE_PER_TARGET {
                connections.push(idle);
            }
        });
    }
}

/// Closes what has been idle too long, for as long as the worker lives.
pub(crate) async fn sweep() {
    let mut ticks = tokio::time::interval(SWEEP_EVERY);
    loop {
        ticks.tick().await;
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
