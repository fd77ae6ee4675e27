//! Upgraded connections (WebSocket): bytes both ways until a side ends it or the target's drain cuts it.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::target::InFlight;

/// Carries bytes in the background. It stays a request under way for as long as it lives.
pub(crate) fn open(downstream: OnUpgrade, upstream: OnUpgrade, in_flight: InFlight) {
    let target = std::sync::Arc::clone(in_flight.target());
    let tunnel = tokio::spawn(async move {
        let _in_flight = in_flight;
        let (downstream, upstream) = match tokio::try_join!(downstream, upstream) {
            Ok(ends) => ends,
            Err(error) => return tracing::debug!(%error, "tunnel did not open"),
        };
        let (mut downstream, mut upstream) = (TokioIo::new(downstream), TokioIo::new(upstream));
        if let Err(error) = tokio::io::copy_bidirectional(&mut downstream, &mut upstream).await {
            tracing::debug!(%error, "tunnel broke");
        }
    });
    target.hold_line(tunnel.abort_handle());
}
