//! What clients do meanwhile: 64 connections that are never idle, 200 new ones a second, uploads, event streams,
//! WebSockets, and all of it by TLS with HTTP/2 and HTTP/1.1 too. Whatever goes wrong is written down.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::host::{Host, SECURE_HOST};
use crate::world::HOST;

const SATURATED: usize = 64;
const NEW_EVERY: Duration = Duration::from_millis(5);
const UPLOADS: usize = 4;
/// By TLS, side by side over HTTP/2, and as many one after the other over HTTP/1.1.
const SECURE: usize = 8;
const HANDSHAKE_EVERY: Duration = Duration::from_millis(50);
/// Nothing may be silent for longer.
const SILENCE: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
pub(super) struct Counts {
    kept: AtomicU64,
    /// How often a kept connection was closed behind an answer that had said so.
    reopened: AtomicU64,
    new: AtomicU64,
    uploads: AtomicU64,
    events: AtomicU64,
    echoes: AtomicU64,
    /// By TLS.
    secure: AtomicU64,
    failures: Mutex<Vec<String>>,
}

pub(super) struct Traffic {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
    clients: JoinSet<()>,
}

impl Traffic {
    pub(super) fn start(host: &Host) -> Self {
        let address = host.http;
        let (counts, stop) = (Arc::<Counts>::default(), Arc::<AtomicBool>::default());
        let mut traffic = Self { address, counts, stop, clients: JoinSet::new() };
        for _ in 0..SATURATED {
            traffic.go_on("kept", |client| async move { client.ask_without_end().await });
        }
        for _ in 0..UPLOADS {
            traffic.go_on("upload", |client| async move { client.upload_without_end().await });
        }
        traffic.go_on("new", |client| async move {
            client.come_and_go().await;
            Ok(())
        });
        traffic.start_secure(host.https);
        traffic
    }

    fn start_secure(&mut self, address: SocketAddr) {
        let trusting = || {
            let builder = reqwest::Client::builder().tls_danger_accept_invalid_certs(true).timeout(SILENCE);
            builder.resolve(SECURE_HOST, address)
        };
        let side_by_side = trusting().build().unwrap();
        let one_by_one = trusting().http1_only().build().unwrap();
        let never_kept = trusting().http1_only().pool_max_idle_per_host(0).build().unwrap();
        let port = address.port();
        for _ in 0..SECURE {
            let (by_http2, by_http1) = (side_by_side.clone(), one_by_one.clone());
            self.go_on("h2", move |client| async move { client.ask_securely(&by_http2, port, Duration::ZERO).await });
            self.go_on("tls", move |client| async move { client.ask_securely(&by_http1, port, Duration::ZERO).await });
        }
        self.go_on(
            "handshake",
            move |client| async move { client.ask_securely(&never_kept, port, HANDSHAKE_EVERY).await },
        );
    }

    /// An event stream and a WebSocket that are there from now on.
    pub(super) fn open_long_ones(&mut self) {
        self.go_on("events", |client| async move { client.listen().await });
        self.go_on("socket", |client| async move { client.echo().await });
    }

    fn go_on<F: Future<Output = io::Result<()>> + Send + 'static>(
        &mut self,
        what: &'static str,
        task: impl FnOnce(Client) -> F,
    ) {
        let client = Client { address: self.address, counts: Arc::clone(&self.counts), stop: Arc::clone(&self.stop) };
        let (counts, task) = (Arc::clone(&self.counts), task(client));
        self.clients.spawn(async move {
            if let Err(error) = task.await {
                counts.fail(what, &error);
            }
        });
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Waits until everybody has done with what is under way.
    pub(super) async fn stop(mut self) -> Arc<Counts> {
        self.stop.store(true, Ordering::SeqCst);
        while let Some(ended) = self.clients.join_next().await {
            ended.unwrap();
        }
        self.counts
    }
}

impl Counts {
    fn fail(&self, what: &str, error: &io::Error) {
        let kind = match error.kind() {
            io::ErrorKind::ConnectionRefused => "refused",
            io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => "reset",
            _ => "failed",
        };
        self.failures.lock().unwrap().push(format!("{what} {kind}: {error}"));
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.failures.lock().unwrap().clone()
    }

    /// Enough of everything that a failure would have shown.
    pub(super) fn all() -> [fn(&Self) -> u64; 6] {
        [
            |counts| counts.kept.load(Ordering::SeqCst),
            |counts| counts.new.load(Ordering::SeqCst),
            |counts| counts.uploads.load(Ordering::SeqCst),
            |counts| counts.events.load(Ordering::SeqCst),
            |counts| counts.echoes.load(Ordering::SeqCst),
            |counts| counts.secure.load(Ordering::SeqCst),
        ]
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [kept, new, uploads, events, echoes, secure] = Self::all().map(|of| of(self));
        let reopened = self.reopened.load(Ordering::SeqCst);
        write!(
            formatter,
            "{kept} answers over 64 kept connections ({reopened} times opened again), {new} new connections, {uploads} \
             uploads, {events} events, {echoes} echoes, {secure} answers by TLS, {} failed",
            self.failures.lock().unwrap().len()
        )
    }
}

struct Client {
    address: SocketAddr,
    counts: Arc<Counts>,
    stop: Arc<AtomicBool>,
}

impl Client {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    async fn connect(&self) -> io::Result<BufReader<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(BufReader::new(stream))
    }

    async fn ask_without_end(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        while !self.is_over() {
            let answer = exchange(&mut stream, "").await?;
            expect(&answer, "app")?;
            self.counts.kept.fetch_add(1, Ordering::SeqCst);
            if answer.is_last {
                self.counts.reopened.fetch_add(1, Ordering::SeqCst);
                stream = self.connect().await?;
            }
        }
        Ok(())
    }

    async fn come_and_go(self) {
        let mut pace = tokio::time::interval(NEW_EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let this = Arc::new(self);
        let mut guests = JoinSet::new();
        while !this.is_over() {
            pace.tick().await;
            let this = Arc::clone(&this);
            guests.spawn(async move {
                let asked = async {
                    let mut stream = this.connect().await?;
                    expect(&exchange(&mut stream, "connection: close\r\n").await?, "app")
                };
                match asked.await {
                    Ok(()) => {
                        this.counts.new.fetch_add(1, Ordering::SeqCst);
                    }
                    Err(error) => this.counts.fail("new", &error),
                }
            });
            while guests.try_join_next().is_some() {}
        }
        guests.join_all().await;
    }

    async fn ask_securely(&self, client: &reqwest::Client, port: u16, pause: Duration) -> io::Result<()> {
        while !self.is_over() {
            let asked = client.get(format!("https://{SECURE_HOST}:{port}/")).send().await;
            let answer = asked.map_err(|error| io::Error::other(format!("{error:?}")))?;
            let status = answer.status();
            let body = answer.text().await.map_err(|error| io::Error::other(format!("{error:?}")))?;
            expect_text(&format!("{status} {body}"), "200 OK app")?;
            self.counts.secure.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(pause).await;
        }
        Ok(())
    }

    async fn upload_without_end(&self) -> io::Result<()> {
        const PIECES: usize = 10;
        let piece = [b'x'; 4096];
        while !self.is_over() {
            let mut stream = self.connect().await?;
            let length = PIECES * piece.len();
            let head = format!("POST /upload HTTP/1.1\r\nhost: {HOST}\r\ncontent-length: {length}\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            for _ in 0..PIECES {
                stream.write_all(&piece).await?;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
            expect(&read(&mut stream).await?, &length.to_string())?;
            self.counts.uploads.fetch_add(1, Ordering::SeqCst);
        }
        Ok(())
    }

    /// Each event is the next.
    async fn listen(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        stream.write_all(format!("GET /events HTTP/1.1\r\nhost: {HOST}\r\n\r\n").as_bytes()).await?;
        let mut next = 0;
        while !self.is_over() {
            let mut line = String::new();
            if patient(stream.read_line(&mut line)).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(number) = line.trim().strip_prefix("data: ") {
                expect_text(number, &next.to_string())?;
                next += 1;
                self.counts.events.fetch_add(1, Ordering::SeqCst);
            }
        }
        Ok(())
    }

    async fn echo(&self) -> io::Result<()> {
        let mut stream = self.connect().await?;
        let head = format!("GET /ws HTTP/1.1\r\nhost: {HOST}\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n");
        stream.write_all(head.as_bytes()).await?;
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            patient(stream.read_line(&mut line)).await?;
        }
        while !self.is_over() {
            stream.write_all(b"hello\n").await?;
            line.clear();
            patient(stream.read_line(&mut line)).await?;
            expect_text(&line, "hello\n")?;
            self.counts.echoes.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }
}

struct Answer {
    status: String,
    body: String,
    is_last: bool,
}

async fn exchange(stream: &mut BufReader<TcpStream>, more: &str) -> io::Result<Answer> {
    stream.write_all(format!("GET / HTTP/1.1\r\nhost: {HOST}\r\n{more}\r\n").as_bytes()).await?;
    read(stream).await
}

async fn read(stream: &mut BufReader<TcpStream>) -> io::Result<Answer> {
    let (mut head, mut length) = (String::new(), 0);
    while !head.ends_with("\r\n\r\n") {
        let begun = head.len();
        if patient(stream.read_line(&mut head)).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(value) = head[begun..].to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().map_err(io::Error::other)?;
        }
    }
    let mut body = vec![0; length];
    patient(stream.read_exact(&mut body)).await?;
    let status = head.lines().next().unwrap_or_default().to_owned();
    let is_last = head.to_ascii_lowercase().contains("connection: close");
    Ok(Answer { status, body: String::from_utf8_lossy(&body).into_owned(), is_last })
}

fn expect(answer: &Answer, body: &str) -> io::Result<()> {
    expect_text(&answer.status, "HTTP/1.1 200 OK")?;
    expect_text(&answer.body, body)
}

fn expect_text(heard: &str, wanted: &str) -> io::Result<()> {
    if heard == wanted { Ok(()) } else { Err(io::Error::other(format!("{heard:?} instead of {wanted:?}"))) }
}

async fn patient<T>(read: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(SILENCE, read).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
