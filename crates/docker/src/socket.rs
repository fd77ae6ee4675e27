//! The way to an engine: a Unix socket, which need not be there yet.

use std::path::{Path, PathBuf};

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue};
use hyper::{Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

/// A client of the engine behind this socket, which waits so many seconds for the beginning of an answer. Bollard's own
/// way refuses a socket whose file is not there, and a host may be away when the service starts.
///
/// # Errors
///
/// When a client cannot be made; whether somebody answers shows with the first request.
pub fn client(socket: &Path, seconds: u64) -> Result<Docker, Error> {
    let socket = socket.to_owned();
    let transport = move |request: BollardRequest| send(socket.clone(), request);
    // The address is never used: the transport knows only one place.
    Docker::connect_with_custom_transport(transport, Some("http://docker"), seconds, API_DEFAULT_VERSION)
}

/// On a connection of its own, which ends with the answer's body or with whoever waits for it.
async fn send(socket: PathBuf, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    let stream = UnixStream::connect(&socket).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection.with_upgrades());
    if let Some(path) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(path.clone());
    }
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    Ok(sender.send_request(request).await?)
}
