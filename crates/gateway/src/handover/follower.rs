//! What a gateway does that was followed: until its last request has ended it tells its successor of them, and does as
//! that says.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::lineage::{Order, Visitor, wire};
use crate::switchboard::Switchboard;

/// Before it is looked again for a successor that went away: there may be another by then.
const AGAIN: Duration = Duration::from_millis(500);
/// How often it is told what is under way where nothing has to wait for it.
const NOW_AND_THEN: Duration = Duration::from_secs(1);

/// Comes back at the end only.
pub(crate) async fn follow(board: Arc<Switchboard>, door: &Path, end: CancellationToken) {
    loop {
        match obey(&board, door, &end).await {
            Ok(()) => return,
            Err(error) => tracing::debug!(%error, "the successor does not listen"),
        }
        tokio::select! {
            () = tokio::time::sleep(AGAIN) => {}
            () = end.cancelled() => return,
        }
    }
}

async fn obey(board: &Switchboard, door: &Path, end: &CancellationToken) -> io::Result<()> {
    let mut stream = UnixStream::connect(door).await?;
    let mut said = board.report(0, 0).await;
    wire::send(&mut stream, &Visitor::Predecessor { report: said.clone() }).await?;
    let (mut reading, mut writing) = stream.into_split();
    let (hear, mut orders) = mpsc::channel::<io::Result<Order>>(1);
    // A message that is read half must be read to its end.
    let _reader = AbortOnDropHandle::new(tokio::spawn(async move {
        loop {
            let order = wire::receive(&mut reading).await;
            let is_last = order.is_err();
            if hear.send(order).await.is_err() || is_last {
                return;
            }
        }
    }));
    let mut now_and_then = tokio::time::interval(NOW_AND_THEN);
    let (mut obeyed, mut cut) = (0, 0);
    loop {
        tokio::select! {
            order = orders.recv() => {
                let order = order.ok_or(io::ErrorKind::UnexpectedEof)??;
                obeyed = order.number;
                cut = board.obey(order).await;
            }
            () = board.one_ended() => {}
            _ = now_and_then.tick() => {}
            // What was ordered before is done, and said to be.
            () = end.cancelled() => return Ok(()),
        }
        let report = board.report(obeyed, cut).await;
        if report != said {
            wire::send(&mut writing, &report).await?;
            said = report;
        }
    }
}
