//! How the commands that run for long are asked to end.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::CommandError;

/// Ready at the first Ctrl-C or SIGTERM from now on.
pub(super) fn asked_to_stop() -> Result<impl Future<Output = ()>, CommandError> {
    let listen =
        |kind| signal(kind).map_err(|error| CommandError::failed("cannot listen for signals").caused_by(&error));
    let (mut interrupt, mut terminate) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
