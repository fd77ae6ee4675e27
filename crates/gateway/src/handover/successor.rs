//! The newcomer's side: what it gets from the gateway that runs, and the word that it serves.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::time::Instant;

use super::door_of;
use crate::lineage::{Offer, Visitor, Word, wire};

/// The one that runs may be handing over to another just now.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two visits to a door that was closed before anything was said.
const AGAIN: Duration = Duration::from_millis(50);

/// A gateway that waits for the word that it is followed. Dropped without, it goes on as if nothing had been.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) offer: Offer,
    stream: UnixStream,
    sockets: Vec<(String, TcpListener)>,
}

/// Why there is nothing to take over though somebody is there.
#[derive(Debug)]
pub(crate) enum TakeOverError {
    /// The door does not open.
    Shut(PathBuf, io::Error),
    /// It was closed in the middle.
    Broken(io::Error),
}

/// `None`: nobody is there, or one that does not hand over.
pub(crate) async fn take_over(control: &Path) -> Result<Option<Taken>, TakeOverError> {
    let door = door_of(control);
    let deadline = Instant::now() + PATIENCE;
    loop {
        let stream = match UnixStream::connect(&door).await {
            Ok(stream) => stream,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
                return Ok(None);
            }
            Err(error) => return Err(TakeOverError::Shut(door, error)),
        };
        match tokio::time::timeout_at(deadline, receive(stream)).await {
            Ok(Ok(taken)) => return Ok(Some(taken)),
            // It stops, or somebody else was first: then that one has a door.
            Ok(Err(error)) if is_closed(&error) && Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
            Ok(Err(error)) => return Err(TakeOverError::Broken(error)),
            Err(_) => return Err(TakeOverError::Broken(io::ErrorKind::TimedOut.into())),
        }
    }
}

async fn receive(mut stream: UnixStream) -> io::Result<Taken> {
    wire::send(&mut stream, &Visitor::Successor { version: env!("CARGO_PKG_VERSION").to_owned() }).await?;
    let offer: Offer = wire::receive(&mut stream).await?;
    let mut sockets = Vec::new();
    for kind in &offer.sockets {
        let socket = TcpListener::from(wire::receive_socket(&stream).await?);
        socket.set_nonblocking(true)?;
        sockets.push((kind.clone(), socket));
    }
    Ok(Taken { offer, stream, sockets })
}

fn is_closed(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof)
}

impl Taken {
    /// The version of the one before.
    pub(crate) fn version(&self) -> &str {
        &self.offer.version
    }

    /// Those that listen at this address, of which there may be none. Port 0 is whichever was chosen then.
    pub(crate) fn claim(&mut self, kind: &str, address: SocketAddr) -> Vec<TcpListener> {
        let is_it = |(known, socket): &mut (String, TcpListener)| {
            let listens =
                |at: SocketAddr| at.ip() == address.ip() && (at.port() == address.port() || address.port() == 0);
            known == kind && socket.local_addr().is_ok_and(listens)
        };
        self.sockets.extract_if(.., is_it).map(|(_, socket)| socket).collect()
    }

    /// Says that this one serves, and comes back when the one before has stopped to.
    pub(crate) async fn serving(mut self) -> Result<(), TakeOverError> {
        let said = async {
            wire::send(&mut self.stream, &Word::Serving).await?;
            wire::receive::<Word>(&mut self.stream).await
        };
        match tokio::time::timeout(PATIENCE, said).await {
            Ok(Ok(Word::Yours)) => Ok(()),
            Ok(Ok(Word::Serving)) => Err(TakeOverError::Broken(io::Error::other("an answer that makes no sense"))),
            Ok(Err(error)) => Err(TakeOverError::Broken(error)),
            Err(_) => Err(TakeOverError::Broken(io::ErrorKind::TimedOut.into())),
        }
    }
}
