//! Requests that go on and on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

pub(super) struct Traffic {
    ends: Arc<AtomicBool>,
    task: JoinHandle<(usize, Vec<String>)>,
}

impl Traffic {
    pub(super) fn start(client: reqwest::Client, url: String) -> Self {
        let ends = Arc::new(AtomicBool::default());
        let end = Arc::clone(&ends);
        let task = tokio::spawn(async move {
            let (mut requests, mut failed) = (0, Vec::new());
            while !end.load(Ordering::Relaxed) {
                requests += 1;
                let asked = client.get(&url).send().await.and_then(reqwest::Response::error_for_status);
                failed.extend(asked.err().map(|error| format!("{error:?}")));
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            (requests, failed)
        });
        Self { ends, task }
    }

    /// How many requests there were, and why some failed.
    pub(super) async fn end(self) -> (usize, Vec<String>) {
        self.ends.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}
