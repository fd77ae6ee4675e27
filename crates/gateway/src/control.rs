//! The socket over which the gateway is told what to do. Whoever can write to it decides where the traffic goes: it is
//! its owner's alone.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

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
use tokio::net::{UnixListener, UnixStream};
use tokio_util::sync::CancellationToken;
use windlass_core::problem::{self, Problem};
use windlass_listen::Seldom;

use crate::refusal::{self, Refusal};
use crate::switchboard::Switchboard;

const LARGEST_BODY: usize = 4 << 20;
/// After the system had no file left for a connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// For its owner only.
const SOCKET_MODE: u32 = 0o600;

/// The bound socket; its file goes with it.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
    inode: u64,
}

/// Why there is no socket.
#[derive(Debug)]
pub(crate) enum Unbound {
    InUse,
    Failed(io::Error),
}

impl ControlSocket {
    /// Takes the path, from a dead gateway too, but never from a live one.
    pub(crate) fn bind(path: &Path) -> Result<Self, Unbound> {
        match StdUnixStream::connect(path) {
            Ok(_) => return Err(Unbound::InUse),
            Err(error) if is_nobody_there(&error) => {}
            Err(error) => return Err(Unbound::Failed(error)),
        }
        Self::replace(path).map_err(Unbound::Failed)
    }

    /// Under another name first: at its own it never is without an owner or open to others.
    fn replace(path: &Path) -> io::Result<Self> {
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let mut fresh = path.to_owned().into_os_string();
        fresh.push(".new");
        let fresh = PathBuf::from(fresh);
        if fresh.exists() {
            fs::remove_file(&fresh)?;
        }
        let listener = UnixListener::bind(&fresh)?;
        fs::set_permissions(&fresh, fs::Permissions::from_mode(SOCKET_MODE))?;
        fs::rename(&fresh, path)?;
        Ok(Self { listener, path: path.to_owned(), inode: fs::metadata(path)?.ino() })
    }

    /// Answers until the gateway stops. Long polls end with it; a switch that has begun does not.
    pub(crate) async fn serve(self, board: Arc<Switchboard>, shutdown: CancellationToken) {
        let failing = Seldom::default();
        loop {
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = shutdown.cancelled() => return,
            };
            match accepted {
                Ok((stream, _)) => {
                    let conversation = converse(stream, Arc::clone(&board));
                    tokio::spawn(shutdown.clone().run_until_cancelled_owned(conversation));
                }
                Err(error) => {
                    if let Some(times) = failing.count() {
                        tracing::warn!(%error, times, "control connections cannot be accepted; it is tried again and again");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Made for its owner only. Where everybody may rename what is in it, the socket would be everybody's.
fn make_folder(folder: &Path) -> io::Result<()> {
    const STICKY: u32 = 0o1000;
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let mode = fs::metadata(folder)?.mode();
    if mode & 0o002 != 0 && mode & STICKY == 0 {
        let why = format!("everybody may exchange what is in {}: take that away with `chmod o-w`", folder.display());
        return Err(io::Error::other(why));
    }
    Ok(())
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // By now it may be a successor's.
        if fs::metadata(&self.path).is_ok_and(|metadata| metadata.ino() == self.inode)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, control.path = %self.path.display(), "control socket left behind");
        }
    }
}

fn is_nobody_there(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused)
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
            board.challenges(read(request).await?);
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
