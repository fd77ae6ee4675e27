//! A server with little of its own, and clients that say exactly what a test wants them to.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_listen::{Arriving, Door, Limits, Seats, serve_client};

const PATIENCE: Duration = Duration::from_secs(30);
/// More than the system buffers for a client that does not read.
pub(crate) const LARGE: usize = 64 * 1024 * 1024;

pub(crate) struct Server {
    address: SocketAddr,
    seats: Arc<Seats>,
    shutdown: CancellationToken,
    ended: tokio::task::JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seats = Seats::new(limits, usize::MAX);
        let shutdown = CancellationToken::new();
        let ended = tokio::spawn(accept(Door::new(listener, Arc::clone(&seats)), shutdown.clone()));
        Self { address, seats, shutdown, ended }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client { stream: TcpStream::connect(self.address).await.unwrap(), read: String::new() }
    }

    pub(crate) async fn until_taken(&self, seats: usize) {
        let wait = async {
            while self.seats.taken() != seats {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("as many seats are taken");
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.ended.await.unwrap();
    }
}

async fn accept(door: Door, shutdown: CancellationToken) {
    let clients = TaskTracker::new();
    while let Some((connection, peer)) = shutdown.run_until_cancelled(door.next()).await {
        let shutdown = shutdown.clone();
        clients.spawn(async move {
            let _ = serve_client(connection, peer, service_fn(answer), &shutdown).await;
        });
    }
    clients.close();
    clients.wait().await;
}

async fn answer(
    mut request: Request<Arriving<Incoming>>,
) -> Result<Response<UnsyncBoxBody<Bytes, Infallible>>, hyper::Error> {
    Ok(match request.uri().path() {
        "/slow" => {
            let piece = async {
                tokio::time::sleep(Duration::from_millis(1500)).await;
                Ok(Frame::data(Bytes::from_static(b"slowly")))
            };
            Response::new(StreamBody::new(Box::pin(futures_util::stream::once(piece))).boxed_unsync())
        }
        "/large" => Response::new(Full::new(Bytes::from(vec![b'x'; LARGE])).boxed_unsync()),
        "/echo" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut client = TokioIo::new(upgrade.await.unwrap());
                let mut bytes = [0; 5];
                client.read_exact(&mut bytes).await.unwrap();
                client.write_all(&bytes).await.unwrap();
            });
            let mut switched = Response::new(Full::default().boxed_unsync());
            *switched.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            switched.headers_mut().insert("upgrade", "echo".parse().unwrap());
            switched.headers_mut().insert("connection", "upgrade".parse().unwrap());
            switched
        }
        path => {
            if path == "/late" {
                tokio::time::sleep(Duration::from_millis(1500)).await;
            }
            let read = request.into_body().collect().await?.to_bytes();
            Response::new(Full::new(Bytes::from(read.len().to_string())).boxed_unsync())
        }
    })
}

/// A client; what it does not get in time fails its test.
pub(crate) struct Client {
    stream: TcpStream,
    read: String,
}

impl Client {
    pub(crate) async fn send(&mut self, text: &str) {
        assert!(self.try_send(text).await, "the server listens");
    }

    /// Whether the server still takes something.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        self.stream.write_all(text.as_bytes()).await.is_ok()
    }

    /// One answer with a length of less than ten bytes.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.ask_until(&format!("{line} HTTP/1.1\r\nhost: x\r\n\r\n"), "\r\n\r\n0").await
    }

    pub(crate) async fn ask_with(&mut self, line: &str, body: &str) -> String {
        let length = body.len();
        let request = format!("{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n{body}");
        self.ask_until(&request, &format!("\r\n\r\n{length}")).await
    }

    pub(crate) async fn ask_until(&mut self, request: &str, end: &str) -> String {
        self.send(request).await;
        self.until(end).await
    }

    /// What comes up to here.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        loop {
            if let Some(place) = self.read.find(end) {
                let rest = self.read.split_off(place + end.len());
                return std::mem::replace(&mut self.read, rest);
            }
            assert!(self.read_more().await, "the connection ended after {:?}", self.read);
        }
    }

    /// What comes until the server closes the connection.
    pub(crate) async fn rest(&mut self) -> String {
        while self.read_more().await {}
        std::mem::take(&mut self.read)
    }

    async fn read_more(&mut self) -> bool {
        let mut bytes = vec![0; 64 * 1024];
        let read =
            tokio::time::timeout(PATIENCE, self.stream.read(&mut bytes)).await.expect("something comes, or the end");
        let read = read.unwrap_or(0);
        self.read.push_str(std::str::from_utf8(&bytes[..read]).unwrap());
        read > 0
    }
}
