//! A client in front of the gateway: one connection, one request at a time.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

pub(crate) type RequestBody = UnsyncBoxBody<Bytes, hyper::Error>;

/// No test keeps a request waiting for longer on purpose.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) struct Client {
    sender: SendRequest<RequestBody>,
    _connection: AbortOnDropHandle<()>,
}

impl Client {
    pub(crate) async fn connect(gateway: SocketAddr) -> Self {
        let stream = TcpStream::connect(gateway).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let connection = tokio::spawn(async move {
            let _ = connection.await;
        });
        Self { sender, _connection: AbortOnDropHandle::new(connection) }
    }

    pub(crate) async fn send(&mut self, request: Request<RequestBody>) -> hyper::Result<Response<Incoming>> {
        let answer = async {
            self.sender.ready().await?;
            self.sender.send_request(request).await
        };
        tokio::time::timeout(PATIENCE, answer).await.expect("an answer, of whatever kind")
    }

    /// Status and body.
    pub(crate) async fn get(&mut self, host: &str, path: &str) -> hyper::Result<(u16, String)> {
        let response = self.send(get(host, path)).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        Ok((status, String::from_utf8(body.to_vec()).unwrap()))
    }
}

/// One request on a connection of its own.
pub(crate) async fn fetch(gateway: SocketAddr, host: &str, path: &str) -> (u16, String) {
    Client::connect(gateway).await.get(host, path).await.unwrap()
}

pub(crate) fn get(host: &str, path: &str) -> Request<RequestBody> {
    Request::get(path).header("host", host).body(nothing()).unwrap()
}

pub(crate) fn nothing() -> RequestBody {
    Empty::new().map_err(|never| match never {}).boxed_unsync()
}
