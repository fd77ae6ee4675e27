//! Ctrl-C while a command waits.

/// Runs `work` to its end, or until somebody presses Ctrl-C: then there is nothing.
pub(super) async fn unless_interrupted<T>(work: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        done = work => Some(done),
        Ok(()) = tokio::signal::ctrl_c() => None,
    }
}
