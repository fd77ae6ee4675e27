//! Ctrl-C while a command waits.

use tokio::signal::unix::{SignalKind, signal};

/// Runs `work` to its end, or until somebody presses Ctrl-C: then there is nothing.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    // Heard from before the work's first word on: whoever reads that may press it at once.
    let Ok(mut pressed) = signal(SignalKind::interrupt()) else { return Some(work.await) };
    tokio::select! {
        biased;
        done = work => Some(done),
        Some(()) = pressed.recv() => None,
    }
}
