//! BuildKit's own voice: the engine hands out its control channel to whoever asks for an upgrade of `/grpc`. Only what
//! a build says about its progress is heard there; the build itself goes through bollard.

use std::path::PathBuf;
use std::task::{Context, Poll};

use bollard::grpc::BuildRef;
use bollard::grpc::build::moby::buildkit::v1::control_client::ControlClient;
use bollard::grpc::build::moby::buildkit::v1::{StatusRequest, StatusResponse};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt, once};
use http_body_util::Empty;
use hyper::upgrade::Upgraded;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tonic::Status;
use tonic::codegen::Service;
use tonic::transport::Endpoint;

/// The longest message that BuildKit sends, in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// All that BuildKit tells of one build, from the moment it begins until it is over. The request may be made before
/// the build: BuildKit waits a few seconds for one that it does not know yet.
pub(super) fn follow(socket: PathBuf, build: &BuildRef) -> BoxStream<'static, Result<StatusResponse, Status>> {
    let request = StatusRequest { r#ref: build.as_ref().to_owned() };
    let statuses = async move {
        // The address is never used: the connector knows only one place.
        let endpoint = Endpoint::from_static("http://buildkit");
        let channel = endpoint
            .connect_with_connector(EngineSocket(socket))
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let mut control = ControlClient::new(channel).max_decoding_message_size(LONGEST_MESSAGE);
        Ok::<_, Status>(control.status(request).await?.into_inner())
    };
    once(statuses).try_flatten().boxed()
}

struct EngineSocket(PathBuf);

impl Service<Uri> for EngineSocket {
    type Response = Upgraded;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Upgraded, std::io::Error>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), std::io::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(upgrade(self.0.clone()))
    }
}

async fn upgrade(socket: PathBuf) -> Result<Upgraded, std::io::Error> {
    let stream = UnixStream::connect(&socket).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(std::io::Error::other)?;
    // Ends with the last of its two users: this function, or the channel that it hands out.
    tokio::spawn(connection.with_upgrades());
    let request = Request::builder()
        .method(Method::POST)
        .uri("/grpc")
        .header(header::HOST, "docker")
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "h2c")
        .body(Empty::<Bytes>::new())
        .map_err(std::io::Error::other)?;
    let answer = sender.send_request(request).await.map_err(std::io::Error::other)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(std::io::Error::other(format!("the engine answered {} to /grpc", answer.status())));
    }
    hyper::upgrade::on(answer).await.map_err(std::io::Error::other)
}
