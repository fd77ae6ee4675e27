//! The socket over which the gateway is told what to do. Whoever can write to it decides where the traffic goes: it is
//! its owner's alone.

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use windlass_core::problem::{self, Problem};

use crate::own_socket::OwnSocket;
use crate::refusal::{self, Refusal};
use crate::switchboard::Switchboard;

const LARGEST_BODY: usize = 4 << 20;

/// Answers until the gateway stops. Long polls end with it; a switch that has begun does not.
pub(crate) async fn serve(socket: OwnSocket, board: Arc<Switchboard>, look: Arc<Notify>, end: CancellationToken) {
    socket.serve(|stream| converse(stream, Arc::clone(&board)), &look, end).await;
}

async fn converse(stream: UnixStream, board: Arc<Switchboard>) {
    let service = service_fn(move |request| answer(Arc::clone(&board), request));
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "control connection broke");
    }
}

async fn answer(board: Arc<Switchboard>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    Ok(obey(&board, request).await.unwrap_or_else(|refusal| refuse(&refusal)))
}

async fn obey(board: &Switchboard, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Refusal> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (&method, path.as_str()) {
        (&Method::POST, "/v1/prepare") => json(&board.prepare(read(request).await?).await?),
        (&Method::POST, "/v1/switch") => json(&board.switch(read(request).await?).await?),
        (&Method::POST, "/v1/drained") => json(&board.drained(read(request).await?).await?),
        (&Method::POST, "/v1/ailing") => json(&board.ailing(read(request).await?).await?),
        (&Method::POST, "/v1/discard") => {
            board.discard(read(request).await?).await;
            Ok(no_content())
        }
        (&Method::POST, "/v1/remove") => {
            board.remove(read(request).await?).await?;
            Ok(no_content())
        }
        (&Method::POST, "/v1/certificates") => {
            board.certificates(read(request).await?).await?;
            Ok(no_content())
        }
        (&Method::POST, "/v1/challenges") => {
            board.challenges(read(request).await?).await?;
            Ok(no_content())
        }
        (&Method::POST, "/v1/maintenance") => {
            board.maintain(read(request).await?).await?;
            Ok(no_content())
        }
        (&Method::GET, "/v1/status") => json(&board.status().await),
        _ => Err(refusal::unknown_path(method.as_str(), &path)),
    }
}

async fn read<T: DeserializeOwned>(request: Request<Incoming>) -> Result<T, Refusal> {
    let body = Limited::new(request.into_body(), LARGEST_BODY).collect().await.map_err(refusal::unreadable)?;
    serde_json::from_slice(&body.to_bytes()).map_err(refusal::unreadable)
}

fn json(body: &impl Serialize) -> Result<Response<Full<Bytes>>, Refusal> {
    let body = serde_json::to_vec(body).map_err(refusal::unreadable)?;
    Ok(with_type(StatusCode::OK, "application/json", body))
}

fn refuse(problem: &Problem) -> Response<Full<Bytes>> {
    let status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_type(status, problem::MEDIA_TYPE, serde_json::to_vec(problem).unwrap_or_default())
}

fn with_type(status: StatusCode, media_type: &'static str, body: Vec<u8>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn no_content() -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}
