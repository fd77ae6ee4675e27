//! A steady stream of requests, counted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// One request every 5 ms: 200 a second.
const PACE: Duration = Duration::from_millis(5);

/// What came of the requests.
#[derive(Debug, Default, Clone)]
pub(super) struct Count {
    pub(super) answered: u64,
    pub(super) failed: u64,
    /// What went wrong, one example.
    pub(super) example: Option<String>,
    /// By the first two words of the answer: `release 2`.
    pub(super) by_release: BTreeMap<String, u64>,
}

/// Requests that go on until they are stopped.
pub(super) struct Traffic {
    stop: CancellationToken,
    sender: JoinHandle<()>,
    count: Arc<Mutex<Count>>,
}

impl Traffic {
    pub(super) fn start(request: RequestBuilder) -> Self {
        let stop = CancellationToken::new();
        let count = Arc::new(Mutex::new(Count::default()));
        let sender = tokio::spawn(send(request, Arc::clone(&count), stop.clone()));
        Self { stop, sender, count }
    }

    /// Ends the stream, waits for the requests under way, and counts.
    pub(super) async fn stop(self) -> anyhow::Result<Count> {
        self.stop.cancel();
        self.sender.await?;
        Ok(self.count.lock().map_err(|_| anyhow::anyhow!("a request panicked"))?.clone())
    }
}

async fn send(request: RequestBuilder, count: Arc<Mutex<Count>>, stop: CancellationToken) {
    let mut pace = tokio::time::interval(PACE);
    let mut under_way = JoinSet::new();
    loop {
        tokio::select! {
            _ = pace.tick() => {}
            () = stop.cancelled() => break,
        }
        let Some(request) = request.try_clone() else { break };
        let count = Arc::clone(&count);
        under_way.spawn(async move {
            let answer = ask(request).await;
            let Ok(mut count) = count.lock() else { return };
            match answer {
                Ok(release) => {
                    count.answered += 1;
                    *count.by_release.entry(release).or_default() += 1;
                }
                Err(why) => {
                    count.failed += 1;
                    count.example.get_or_insert(why);
                }
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
}

/// The first two words of a good answer.
async fn ask(request: RequestBuilder) -> Result<String, String> {
    let answer = request.send().await.map_err(|error| format!("{error:?}"))?;
    let status = answer.status();
    let text = answer.text().await.map_err(|error| format!("{error:?}"))?;
    if status == StatusCode::OK { Ok(release_in(&text)) } else { Err(format!("{status}: {text}")) }
}

/// `release 2` out of `release 2 (abc1234) task …`.
pub(super) fn release_in(answer: &str) -> String {
    answer.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
