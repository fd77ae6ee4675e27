//! A browser that nobody sees.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio_util::task::AbortOnDropHandle;

use super::front;

/// A browser's first start on a machine that is busy takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Carries connections to the gateway, and notes for each whether the client would speak HTTP/2 on it.
async fn relay(to: SocketAddr) -> (u16, Arc<Mutex<Vec<bool>>>, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let offered = Arc::new(Mutex::new(Vec::new()));
    let notes = Arc::clone(&offered);
    let relay = tokio::spawn(async move {
        loop {
            let (mut client, _) = listener.accept().await.unwrap();
            let notes = Arc::clone(&notes);
            tokio::spawn(async move {
                // A record with the client's hello, in which the protocols stand as text.
                let mut hello = vec![0; 5];
                client.read_exact(&mut hello).await?;
                hello.resize(5 + usize::from(u16::from_be_bytes([hello[3], hello[4]])), 0);
                client.read_exact(&mut hello[5..]).await?;
                notes.lock().unwrap().push(hello.windows(3).any(|text| text == b"\x02h2"));
                let mut gateway = TcpStream::connect(to).await?;
                gateway.write_all(&hello).await?;
                tokio::io::copy_bidirectional(&mut client, &mut gateway).await
            });
        }
    });
    (port, offered, AbortOnDropHandle::new(relay))
}

#[tokio::test]
async fn a_browser_has_pages_web_sockets_and_events_over_http_2() {
    let (front, app) = front().await;
    let (port, offered, _relay) = relay(front.gateway.https_addr().unwrap()).await;
    let profile = tempfile::tempdir().unwrap();
    let mut browser = Command::new("chromium");
    browser.args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    browser.args(["--disable-background-networking", "--disable-extensions", "--no-proxy-server"]);
    browser.args(["--ignore-certificate-errors", &format!("--user-data-dir={}", profile.path().display())]);
    browser.arg(format!("https://localhost:{port}/page")).kill_on_drop(true);
    browser.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut browser = browser.spawn().unwrap_or_else(|error| panic!("chromium: {error}; .ci/test installs it"));
    let report = async {
        loop {
            if let Some(report) = app.knobs.reported.lock().unwrap().take() {
                return report;
            }
            // Whoever listens by now has it.
            let _ = app.knobs.events.send("data: news\n\n");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let report = tokio::time::timeout(PATIENCE, report).await;
    browser.kill().await.unwrap();
    assert_eq!(report.expect("the page reports"), "h2_hello_news");
    // A WebSocket of HTTP/1.1 has a connection of its own, on which nothing else is offered.
    let offered = offered.lock().unwrap();
    assert!(!offered.is_empty() && offered.iter().all(|http2| *http2), "{offered:?}");
}
