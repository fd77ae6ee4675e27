//! The way to a BuildKit: to be told what to build, and to ask back. The one inside of an engine has two doors behind
//! the engine's socket, both HTTP/2 on a connection that began as HTTP/1 and was upgraded. The one in a container has a
//! program that passes on what it reads, and asks back within a call.

use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bollard::Docker;
use bollard::container::LogOutput;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use bollard::grpc::build::moby::buildkit::v1::BytesMessage;
use bollard::grpc::build::moby::buildkit::v1::control_client::ControlClient;
use bytes::Bytes;
use futures_util::future::{BoxFuture, ready};
use futures_util::{StreamExt, TryStreamExt};
use http_body_util::Empty;
use hyper::{Method, Request, StatusCode, Uri, header};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio_util::io::{ReaderStream, StreamReader};
use tonic::codegen::Service;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};

/// The longest message that BuildKit sends or takes, in bytes.
const LONGEST_MESSAGE: usize = 16 << 20;

/// How much is passed on at once, in bytes.
const PIECE: usize = 64 * 1024;

/// The names of a session and of what BuildKit may ask of it, as BuildKit knows them.
const SESSION: &str = "x-docker-expose-session-uuid";
const METHOD: &str = "x-docker-expose-session-grpc-method";

/// Bytes in both directions.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Duplex for T {}
/// A connection, whatever it is made of.
pub(super) type Connection = Pin<Box<dyn Duplex>>;

/// A BuildKit that answers, as who is told what to build.
pub(super) type Control = ControlClient<Channel>;

/// Tells the BuildKit inside of an engine.
pub(super) async fn to_engine(socket: PathBuf) -> Result<Control, tonic::transport::Error> {
    control(move || {
        let socket = socket.clone();
        Box::pin(async move { upgrade(&socket, "/grpc", &[]).await })
    })
    .await
}

/// Where the BuildKit inside of an engine asks for what it needs: `methods` are all that it may ask of the session `id`.
pub(super) async fn engine_session(socket: &Path, id: &str, methods: &[&str]) -> io::Result<Connection> {
    let methods = methods.iter().map(|method| (METHOD, *method));
    let headers: Vec<_> = [(SESSION, id)].into_iter().chain(methods).collect();
    upgrade(socket, "/session", &headers).await
}

/// Tells the BuildKit in a container.
pub(super) async fn to_container(docker: Docker, container: String) -> Result<Control, tonic::transport::Error> {
    control(move || Box::pin(dial(docker.clone(), container.clone()))).await
}

/// As [`engine_session`], within a call to the BuildKit in a container.
pub(super) async fn call_session(control: &mut Control, id: &str, methods: &[&str]) -> io::Result<Connection> {
    let (ours, theirs) = tokio::io::duplex(PIECE);
    let outgoing = ReaderStream::with_capacity(theirs, PIECE).filter_map(|piece| ready(piece.ok()));
    let mut request = tonic::Request::new(outgoing.map(|piece| BytesMessage { data: piece.to_vec() }));
    let value = |text: &str| text.parse::<MetadataValue<Ascii>>().map_err(io::Error::other);
    request.metadata_mut().insert(SESSION, value(id)?);
    for method in methods {
        request.metadata_mut().append(METHOD, value(method)?);
    }
    let incoming = control.session(request).await.map_err(io::Error::other)?.into_inner();
    let incoming = incoming.map_ok(|message| Bytes::from(message.data)).map_err(io::Error::other);
    Ok(Box::pin(tokio::io::join(StreamReader::new(incoming), ours)))
}

async fn control(
    dial: impl Fn() -> BoxFuture<'static, io::Result<Connection>> + Send + Sync + 'static,
) -> Result<Control, tonic::transport::Error> {
    // The address is never used: the connector knows only one place.
    let channel = Endpoint::from_static("http://buildkit").connect_with_connector(Connector(Arc::new(dial))).await?;
    Ok(ControlClient::new(channel)
        .max_decoding_message_size(LONGEST_MESSAGE)
        .max_encoding_message_size(LONGEST_MESSAGE))
}

struct Connector(Arc<dyn Fn() -> BoxFuture<'static, io::Result<Connection>> + Send + Sync>);

impl Service<Uri> for Connector {
    type Response = TokioIo<Connection>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let dialled = (self.0)();
        Box::pin(async move { dialled.await.map(TokioIo::new) })
    }
}

/// BuildKit's own client, which passes on what it reads and writes.
async fn dial(docker: Docker, container: String) -> io::Result<Connection> {
    let command = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        cmd: Some(vec!["buildctl", "dial-stdio"]),
        ..CreateExecOptions::default()
    };
    let command = docker.create_exec(&container, command).await.map_err(io::Error::other)?.id;
    let options = StartExecOptions { output_capacity: Some(PIECE), ..StartExecOptions::default() };
    let started = docker.start_exec(&command, Some(options)).await.map_err(io::Error::other)?;
    let StartExecResults::Attached { output, input } = started else {
        return Err(io::Error::other("the engine runs a command without being connected to it"));
    };
    let written = output.map_err(io::Error::other).try_filter_map(|piece| {
        ready(Ok(if let LogOutput::StdOut { message } = piece { Some(message) } else { None }))
    });
    Ok(Box::pin(tokio::io::join(StreamReader::new(written), input)))
}

async fn upgrade(socket: &Path, path: &str, headers: &[(&str, &str)]) -> io::Result<Connection> {
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
    let upgraded = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
    Ok(Box::pin(TokioIo::new(upgraded)))
}
