//! What a running gateway hands over, and how: all of it or nothing.

use std::io;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

use crate::lineage::{Word, wire};
use crate::switchboard::Switchboard;

/// So long a successor may take until it serves. Meanwhile nothing is changed: less than the service waits for a change.
const PATIENCE: Duration = Duration::from_secs(8);

/// One gateway's.
#[derive(Debug)]
pub(crate) struct Estate {
    pub(crate) board: Arc<Switchboard>,
    /// What each is for, and the socket.
    pub(crate) sockets: Vec<(&'static str, TcpListener)>,
    /// The end of accepting, and of everything that only one gateway does.
    pub(crate) followed: CancellationToken,
    /// Tell the two Unix sockets to look whether they are in their places.
    pub(crate) look: [Arc<Notify>; 2],
    /// One successor at a time.
    pub(crate) turn: Mutex<()>,
}

impl Estate {
    /// Until the successor has said that it serves, it can be taken back.
    pub(super) async fn hand_over(&self, mut stream: UnixStream, version: &str) {
        let _turn = self.turn.lock().await;
        if self.followed.is_cancelled() {
            return;
        }
        tracing::info!(successor.version = version, "a newer gateway wants to take over");
        self.board.pause().await;
        match tokio::time::timeout(PATIENCE, self.offer(&mut stream))
            .await
            .unwrap_or(Err(io::ErrorKind::TimedOut.into()))
        {
            Ok(()) => {
                self.board.leave_to_successor().await;
                tracing::info!(successor.version = version, "a newer gateway has taken over");
                self.followed.cancel();
            }
            Err(error) => {
                tracing::warn!(%error, "the newer gateway did not come to serve: this one goes on");
                self.look.iter().for_each(|look| look.notify_one());
                self.board.resume();
            }
        }
    }

    async fn offer(&self, stream: &mut UnixStream) -> io::Result<()> {
        let kinds = self.sockets.iter().map(|(kind, _)| (*kind).to_owned()).collect();
        wire::send(stream, &self.board.offer(kinds).await).await?;
        for (_, socket) in &self.sockets {
            wire::send_socket(stream, socket.as_fd()).await?;
        }
        match wire::receive(stream).await? {
            Word::Serving => wire::send(stream, &Word::Yours).await,
            Word::Yours => Err(io::Error::other("an answer that makes no sense")),
        }
    }
}
