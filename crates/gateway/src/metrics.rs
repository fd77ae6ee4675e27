//! The gateway in numbers, in Prometheus' text format: `GET /metrics` of an address of its own.

mod exposition;

use std::convert::Infallible;
use std::io;
use std::net::TcpListener as StdListener;
use std::sync::Arc;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{self, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use jiff::Timestamp;
use prometheus_client::encoding::prometheus_text;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use windlass_listen::{Arriving, Door, Limits, Seats, open_files, serve_client};

use crate::seen::Seen;
use crate::switchboard::Switchboard;

/// Nobody needs more of them to read numbers.
const CONNECTIONS: usize = 32;

/// Where the numbers are, at the moment at which somebody asks.
#[derive(Debug)]
pub(crate) struct Numbers {
    board: Arc<Switchboard>,
    /// The clients' connections.
    seats: Arc<Seats>,
    seen: Arc<Seen>,
    since: Timestamp,
}

impl Numbers {
    /// From now on.
    pub(crate) fn new(board: Arc<Switchboard>, seats: Arc<Seats>, seen: Arc<Seen>) -> Self {
        Self { board, seats, seen, since: Timestamp::now() }
    }
}

/// Answers until the gateway stops, or another has followed it.
pub(crate) fn start(listeners: Vec<StdListener>, numbers: Numbers, end: &CancellationToken) -> io::Result<()> {
    let numbers = Arc::new(numbers);
    for listener in listeners {
        let listener = TcpListener::from_std(listener)?;
        tracing::info!(metrics.address = %listener.local_addr()?, "numbers are at /metrics");
        tokio::spawn(serve(listener, Arc::clone(&numbers), end.clone()));
    }
    Ok(())
}

async fn serve(listener: TcpListener, numbers: Arc<Numbers>, shutdown: CancellationToken) {
    let limits = Limits { connections: CONNECTIONS, ..Limits::gateway() };
    let door = Door::new(listener, Seats::new(limits, open_files()));
    loop {
        let (connection, peer) = tokio::select! {
            client = door.next() => client,
            () = shutdown.cancelled() => return,
        };
        let (numbers, shutdown) = (Arc::clone(&numbers), shutdown.clone());
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let numbers = Arc::clone(&numbers);
                async move { Ok::<_, Infallible>(answer(&numbers, &request).await) }
            });
            if let Err(error) = serve_client(connection, peer, service, &shutdown).await {
                tracing::debug!(%error, client.address = %peer, "a connection for metrics broke");
            }
        });
    }
}

async fn answer(numbers: &Numbers, request: &Request<Arriving<Incoming>>) -> Response<Full<Bytes>> {
    if request.uri().path() != "/metrics" {
        return say(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "The numbers are at /metrics.\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return say(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", "The numbers can be read only.\n");
    }
    match exposition::text(numbers).await {
        Ok(text) => say(StatusCode::OK, prometheus_text::CONTENT_TYPE, text),
        Err(error) => {
            tracing::error!(%error, "the numbers cannot be written down");
            say(StatusCode::INTERNAL_SERVER_ERROR, "text/plain; charset=utf-8", "The gateway's log says why.\n")
        }
    }
}

fn say(status: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
