//! An app to stand behind the gateway. Stops, with all its connections, when dropped.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::header::{HeaderMap, HeaderName};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, broadcast};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::Target;

type Body = UnsyncBoxBody<Bytes, Infallible>;

pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) address: SocketAddr,
    pub(crate) knobs: Arc<Knobs>,
    _server: AbortOnDropHandle<()>,
}

/// More than the system buffers for a client that does not read.
pub(crate) const LARGE: usize = 64 << 20;

pub(crate) struct Knobs {
    pub(crate) healthy: AtomicBool,
    /// Whether it sends everybody away who has not come by https, as far as it is told.
    pub(crate) https_only: AtomicBool,
    pub(crate) probes: AtomicU64,
    /// The host that the last probe asked for.
    pub(crate) probed_as: Mutex<String>,
    pub(crate) hits: AtomicU64,
    pub(crate) uploaded: AtomicU64,
    /// What `/page` has found out in a browser.
    pub(crate) reported: Mutex<Option<String>>,
    /// Each permit lets one request to `/slow` end.
    pub(crate) gate: Semaphore,
    pub(crate) events: broadcast::Sender<&'static str>,
}

impl Backend {
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, ([127, 0, 0, 1], 0).into()).await
    }

    /// One that speaks HTTP/2 in the clear, and nothing else.
    pub(crate) async fn start_http2(name: &str) -> Self {
        Self::start_speaking(name, ([127, 0, 0, 1], 0).into(), Speaks::Http2).await
    }

    pub(crate) async fn start_at(name: &str, address: SocketAddr) -> Self {
        Self::start_speaking(name, address, Speaks::Http1).await
    }

    async fn start_speaking(name: &str, address: SocketAddr, speaks: Speaks) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let knobs = Arc::new(Knobs {
            healthy: AtomicBool::new(true),
            https_only: AtomicBool::new(false),
            probes: AtomicU64::new(0),
            probed_as: Mutex::default(),
            hits: AtomicU64::new(0),
            uploaded: AtomicU64::new(0),
            reported: Mutex::default(),
            gate: Semaphore::new(0),
            events: broadcast::Sender::new(16),
        });
        let name = name.to_owned();
        let server = tokio::spawn(serve(listener, speaks, name.clone(), Arc::clone(&knobs)));
        Self { name, address, knobs, _server: AbortOnDropHandle::new(server) }
    }

    pub(crate) fn target(&self) -> Target {
        Target { name: self.name.clone(), address: self.address }
    }

    pub(crate) fn hits(&self) -> u64 {
        self.knobs.hits.load(Ordering::SeqCst)
    }

    pub(crate) fn set_healthy(&self, healthy: bool) {
        self.knobs.healthy.store(healthy, Ordering::SeqCst);
    }
}

#[derive(Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
}

async fn serve(listener: TcpListener, speaks: Speaks, name: String, knobs: Arc<Knobs>) {
    let mut connections = JoinSet::new();
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (name, knobs) = (name.clone(), Arc::clone(&knobs));
        connections.spawn(async move {
            let service = service_fn(move |request| answer(name.clone(), Arc::clone(&knobs), request));
            let _ = match speaks {
                Speaks::Http1 => {
                    http1::Builder::new().serve_connection(TokioIo::new(stream), service).with_upgrades().await
                }
                Speaks::Http2 => {
                    http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await
                }
            };
        });
        while connections.try_join_next().is_some() {}
    }
}

async fn answer(name: String, knobs: Arc<Knobs>, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.uri().path() != "/up" {
        knobs.hits.fetch_add(1, Ordering::SeqCst);
    }
    if knobs.https_only.load(Ordering::SeqCst)
        && request.headers().get("x-forwarded-proto").is_none_or(|it| it != "https")
    {
        let host = request.headers()["host"].to_str().unwrap();
        let mut response = text(String::new());
        *response.status_mut() = StatusCode::MOVED_PERMANENTLY;
        let there = format!("https://{host}{}", request.uri());
        response.headers_mut().insert("location", there.parse().unwrap());
        return Ok(response);
    }
    Ok(match request.uri().path() {
        "/up" => {
            knobs.probes.fetch_add(1, Ordering::SeqCst);
            let healthy = knobs.healthy.load(Ordering::SeqCst);
            let host = request.headers().get("host").map(|host| host.to_str().unwrap());
            host.or(request.uri().host()).unwrap().clone_into(&mut knobs.probed_as.lock().unwrap());
            let mut response = text(String::new());
            *response.status_mut() = if healthy { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
            response
        }
        "/slow" => {
            knobs.gate.acquire().await.unwrap().forget();
            text(name)
        }
        "/headers" => {
            let mut lines: Vec<String> =
                request.headers().iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
            lines.insert(0, format!("{} {}", request.method(), request.uri()));
            let mut response = text(lines.join("\n"));
            response.headers_mut().insert("connection", "x-hop".parse().unwrap());
            response.headers_mut().insert("x-hop", "1".parse().unwrap());
            response.headers_mut().insert("x-end", "2".parse().unwrap());
            response
        }
        "/upload" => {
            let mut body = request.into_body();
            while let Some(frame) = body.frame().await {
                let Ok(frame) = frame else { break };
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                knobs.uploaded.fetch_add(length, Ordering::SeqCst);
            }
            text(knobs.uploaded.load(Ordering::SeqCst).to_string())
        }
        "/event-that-ends" => {
            let mut response = text("data: 1\n\n".to_owned());
            response.headers_mut().insert("content-type", "Text/Event-Stream; charset=utf-8".parse().unwrap());
            response
        }
        "/named" => {
            let mut response = text(name);
            response.headers_mut().insert("x-request-id", "the-apps-own".parse().unwrap());
            response
        }
        "/broken" => {
            let mut response = text(name);
            *response.status_mut() = StatusCode::BAD_GATEWAY;
            response
        }
        "/page" => {
            let mut response = text(include_str!("clients/page.html").to_owned());
            response.headers_mut().insert("content-type", "text/html; charset=utf-8".parse().unwrap());
            response
        }
        "/report" => {
            *knobs.reported.lock().unwrap() = request.uri().query().map(ToOwned::to_owned);
            text(String::new())
        }
        "/large" => text("x".repeat(LARGE)),
        "/events" => {
            let events = tokio_stream(knobs.events.subscribe());
            let mut response = Response::new(BodyExt::boxed_unsync(StreamBody::new(events)));
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            response
        }
        "/trailers" => {
            let told = format!("te: {}", request.headers()["te"].to_str().unwrap());
            let trailers = HeaderMap::from_iter([(HeaderName::from_static("grpc-status"), "0".parse().unwrap())]);
            let frames = [Ok(Frame::data(Bytes::from(told))), Ok(Frame::trailers(trailers))];
            Response::new(BodyExt::boxed_unsync(StreamBody::new(futures_util::stream::iter(frames))))
        }
        "/ws" => web_socket(request),
        _ => text(name),
    })
}

fn tokio_stream(
    events: broadcast::Receiver<&'static str>,
) -> impl futures_util::Stream<Item = Result<Frame<Bytes>, Infallible>> {
    futures_util::stream::unfold(events, |mut events| async move {
        let event = events.recv().await.ok()?;
        Some((Ok(Frame::data(Bytes::from_static(event.as_bytes()))), events))
    })
}

fn web_socket(mut request: Request<Incoming>) -> Response<Body> {
    let told = request.headers()["x-forwarded-proto"].to_str().unwrap().to_owned();
    let accept = derive_accept_key(request.headers()["sec-websocket-key"].as_bytes());
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let upgraded = TokioIo::new(upgrade.await.unwrap());
        let mut socket = WebSocketStream::from_raw_socket(upgraded, Role::Server, None).await;
        while let Some(Ok(message)) = socket.next().await {
            if message.is_text() && socket.send(message).await.is_err() {
                break;
            }
        }
    });
    let mut response = text(String::new());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    for (name, value) in
        [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", &accept), ("x-told", &told)]
    {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    response
}

fn text(body: String) -> Response<Body> {
    Response::new(Full::from(body).boxed_unsync())
}
