//! Upgraded connections (WebSocket): bytes both ways until a side ends it or the target's drain cuts it.

use std::sync::Arc;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_util::io::InspectWriter;
use windlass_listen::Stay;

use crate::seen::Note;
use crate::target::InFlight;

/// A client's side of a tunnel that it asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) upgrade: OnUpgrade,
    /// It is one of several requests on its connection, which stays for it (RFC 8441).
    pub(crate) stay: Option<Stay>,
}

/// Carries bytes in the background. It stays a request under way for as long as it lives.
pub(crate) fn open(downstream: Asked, upstream: OnUpgrade, in_flight: InFlight, note: Option<Box<Note>>) {
    let target = Arc::clone(in_flight.target());
    let tunnel = tokio::spawn(async move {
        let _in_flight = in_flight;
        let Asked { upgrade: downstream, stay: _stay } = downstream;
        let (downstream, upstream) = match tokio::try_join!(downstream, upstream) {
            Ok(ends) => ends,
            Err(error) => return tracing::debug!(%error, "tunnel did not open"),
        };
        let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
        let carried = match note {
            Some(mut note) => {
                let counted = |bytes: &[u8]| note.sent(bytes.len() as u64);
                let mut downstream = InspectWriter::new(downstream, counted);
                let carried = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await;
                drop(downstream);
                if carried.is_ok() {
                    note.is_whole();
                }
                carried
            }
            None => tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await,
        };
        if let Err(error) = carried {
            tracing::debug!(%error, "tunnel broke");
        }
    });
    target.hold_line(tunnel.abort_handle());
}
