//! Accepting: one connection for one seat, and a pause where the system has no more files.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;
use tokio::net::{TcpListener, TcpStream};

use crate::connection::Connection;
use crate::seats::{Seats, Share};
use crate::seldom::Seldom;

/// After an error that says nothing about when it ends.
const PAUSE: Duration = Duration::from_millis(50);
/// Clients that vanish without a word are noticed after some minutes.
const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// Where clients come in. Several may lead to the same seats.
#[derive(Debug)]
pub struct Door {
    listener: TcpListener,
    seats: Arc<Seats>,
    failing: Seldom,
}

impl Door {
    /// A door to these seats.
    #[must_use]
    pub fn new(listener: TcpListener, seats: Arc<Seats>) -> Self {
        Self { listener, seats, failing: Seldom::default() }
    }

    /// The next client, with its seat.
    pub async fn next(&self) -> (Connection, SocketAddr) {
        self.next_sharing(|_| Share::Half).await
    }

    /// The same, where some addresses speak for many clients. Loopback always does.
    pub async fn next_sharing(&self, share: impl Fn(IpAddr) -> Share) -> (Connection, SocketAddr) {
        loop {
            let (stream, peer) = self.accept().await;
            // One that has gone already is found out by whoever reads from it.
            let _ = stream.set_nodelay(true);
            let keep_alive = socket2::TcpKeepalive::new().with_time(KEEP_ALIVE);
            let _ = socket2::SockRef::from(&stream).set_tcp_keepalive(&keep_alive);
            if let Some(taking) = self.seats.take(peer.ip(), share(peer.ip())).await {
                return (Connection::new(stream, taking), peer);
            }
        }
    }

    async fn accept(&self) -> (TcpStream, SocketAddr) {
        loop {
            let error = match self.listener.accept().await {
                Ok(accepted) => return accepted,
                Err(error) => error,
            };
            // That client's own trouble.
            if is_the_clients(&error) {
                continue;
            }
            if let Some(times) = self.failing.count() {
                tracing::warn!(%error, times, "clients cannot be accepted; it is tried again and again");
            }
            if is_out_of_files(&error) {
                self.seats.make_room().await;
            } else {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

fn is_the_clients(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

fn is_out_of_files(error: &io::Error) -> bool {
    let known = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    error.raw_os_error().is_some_and(|code| known.iter().any(|errno| errno.raw_os_error() == code))
}
