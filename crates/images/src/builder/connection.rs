//! The engine's two doors to BuildKit, behind its own socket. Through one BuildKit is spoken to; through the other it
//! asks back. Both are HTTP/2 on a connection that began as HTTP/1 and was upgraded.

use std::io;
use std::path::{Path, PathBuf};
use std::task::{Context, Poll};

use bollard::grpc::build::moby::buildkit::v1::control_client::ControlClient;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::codegen::Service;
use tonic::transport::{Channel, Endpoint};

/// The longest message that BuildKit sends or takes, in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// Where BuildKit is told what to build, and tells how it goes.
pub(super) async fn control(socket: PathBuf) -> Result<ControlClient<Channel>, tonic::transport::Error> {
    // The address is never used: the connector knows only one place.
    let channel = Endpoint::from_static("http://buildkit").connect_with_connector(EngineSocket(socket)).await?;
    Ok(ControlClient::new(channel)
        .max_decoding_message_size(LONGEST_MESSAGE)
        .max_encoding_message_size(LONGEST_MESSAGE))
}

/// Where BuildKit asks for what it needs: `methods` are all that it may ask of the session `id`.
pub(super) async fn session(socket: &Path, id: &str, methods: &[&str]) -> io::Result<Upgraded> {
    let methods = methods.iter().map(|method| ("X-Docker-Expose-Session-Grpc-Method", *method));
    let headers: Vec<_> = [("X-Docker-Expose-Session-Uuid", id)].into_iter().chain(methods).collect();
    upgrade(socket, "/session", &headers).await
}

struct EngineSocket(PathBuf);

impl Service<Uri> for EngineSocket {
    type Response = Upgraded;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Upgraded>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let socket = self.0.clone();
        Box::pin(async move { upgrade(&socket, "/grpc", &[]).await })
    }
}

async fn upgrade(socket: &Path, path: &str, headers: &[(&str, &str)]) -> io::Result<Upgraded> {
    let stream = UnixStream::connect(socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // Ends when the connection is handed over, or with this function.
    tokio::spawn(connection.with_upgrades());
    let mut request = Request::builder()
        .method(Method::POST)
        .uri(path)
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(io::Error::other)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(io::Error::other(format!("it answers {} to {path}, as if it had no BuildKit", answer.status())));
    }
    hyper::upgrade::on(answer).await.map_err(io::Error::other)
}
