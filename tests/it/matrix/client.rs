//! A client of one host that asks one thing after the other and never stops.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;

use crate::world::{HOST, PATIENCE};

/// Between an answer and the next question.
const PAUSE: Duration = Duration::from_millis(2);

pub(super) struct Client {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

impl Client {
    pub(super) fn start(gateway: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let task = tokio::spawn(ask(gateway, Arc::clone(&stop)));
        Self { stop, task }
    }

    /// What it was told, every change once: `release 3`, or what was no release's answer.
    pub(super) async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.task.await.unwrap()
    }
}

async fn ask(gateway: SocketAddr, stop: Arc<AtomicBool>) -> Vec<String> {
    let client = reqwest::Client::builder().timeout(PATIENCE).build().unwrap();
    let mut told: Vec<String> = Vec::new();
    loop {
        let answer = client.get(format!("http://{gateway}/")).header("host", HOST).send().await;
        let answer = match answer {
            Ok(answer) if answer.status() == 200 => {
                short(&answer.text().await.unwrap_or_else(|error| error.to_string()))
            }
            Ok(answer) => answer.status().as_u16().to_string(),
            Err(error) => format!("{error:?}"),
        };
        if told.last() != Some(&answer) {
            told.push(answer);
        }
        if stop.load(Ordering::Relaxed) {
            return told;
        }
        // Others want to be served too.
        tokio::time::sleep(PAUSE).await;
    }
}

/// `release 3` of `release 3 (abc1234) …`
fn short(text: &str) -> String {
    text.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}
