//! A socket between a client and an HTTP server on a Unix socket, a Docker Engine's or a gateway's, where requests fail
//! on demand.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::Json;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use axum::response::IntoResponse as _;
use futures_util::StreamExt as _;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::docker::connections;

/// Passes every request on, unless a [`Rule`] says otherwise. It ends, with its connections and its socket, when it is
/// dropped. Connections that change their protocol (`Upgrade`) are not passed on.
pub struct FaultProxy {
    socket: PathBuf,
    line: Arc<Line>,
    _server: AbortOnDropHandle<()>,
    _folder: TempDir,
}

/// Which requests fail, and how. Of several that fit, the first that was set counts.
#[derive(Debug, Clone)]
pub struct Rule {
    /// `None`: any.
    pub method: Option<Method>,
    /// A part of the path or of the query after it, as `/containers/create?name=web`. Empty: any.
    pub path_contains: String,
    /// How often. `None`: until [`FaultProxy::clear`].
    pub times: Option<usize>,
    pub answer: Fault,
}

/// How a request fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this status and message, as Docker and a gateway would say it. Nothing is passed on.
    Status(u16, String),
    /// The connection is closed. Nothing is passed on.
    CutBefore,
    /// It is passed on and carried out; when it has been answered to the end, the connection is closed and the answer
    /// is lost. A client that goes away meanwhile changes nothing.
    CutAfter,
    /// There is no answer until [`FaultProxy::clear`]. Then it is passed on, if its client is still there.
    Hang,
}

struct Line {
    target: PathBuf,
    state: Mutex<State>,
    /// A rule has struck.
    struck: Notify,
    /// What hangs may go on.
    cleared: Notify,
}

#[derive(Default)]
struct State {
    rules: Vec<Rule>,
    seen: Vec<(Method, String)>,
    struck: usize,
}

/// An error that stands for a closed connection.
#[derive(Debug, thiserror::Error)]
#[error("the connection is cut")]
struct Cut;

impl FaultProxy {
    /// Listens on a socket of its own and passes on to this one, which may come later.
    ///
    /// # Panics
    ///
    /// When there can be no socket, or outside of a runtime.
    #[must_use]
    pub fn start(target: &Path) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-faults-").tempdir().expect("a folder");
        let socket = folder.path().join("proxy.sock");
        let listener = UnixListener::bind(&socket).expect("a socket in a folder of its own");
        let line = Arc::new(Line {
            target: target.to_owned(),
            state: Mutex::default(),
            struck: Notify::new(),
            cleared: Notify::new(),
        });
        let meet = line.clone();
        let service = service_fn(move |request| meet.clone().meet(request));
        let server = tokio::spawn(connections::serve(listener, service, CancellationToken::new()));
        Self { socket, line, _server: AbortOnDropHandle::new(server), _folder: folder }
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// From now on.
    pub fn fail(&self, rule: Rule) {
        self.line.state().rules.push(rule);
    }

    /// Nothing fails any more, and what hangs goes on.
    pub fn clear(&self) {
        let mut state = self.line.state();
        state.rules.clear();
        state.struck = 0;
        self.line.cleared.notify_waiters();
    }

    /// Every request that came, oldest first: its method, and its path with the query.
    #[must_use]
    pub fn seen(&self) -> Vec<(Method, String)> {
        self.line.state().seen.clone()
    }

    /// How many requests have failed since the last [`clear`](Self::clear).
    #[must_use]
    pub fn struck(&self) -> usize {
        self.line.state().struck
    }

    /// Returns when the first request fails; at once if one has since the last [`clear`](Self::clear).
    pub async fn reached(&self) {
        loop {
            let struck = self.line.struck.notified();
            if self.struck() > 0 {
                return;
            }
            struck.await;
        }
    }
}

impl Line {
    async fn meet(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        // Before it is struck: a clearing in between must not be missed.
        let cleared = self.cleared.notified();
        match self.strike(&request) {
            None => self.pass_on(request).await,
            Some(Fault::Status(status, message)) => Ok(refuse(status, &message)),
            Some(Fault::CutBefore) => Err(Cut),
            Some(Fault::CutAfter) => {
                let line = self.clone();
                let carried_out = tokio::spawn(async move {
                    let answer = line.pass_on(request).await?;
                    axum::body::to_bytes(answer.into_body(), usize::MAX).await.map_err(|_| Cut)
                });
                // Whatever came of it, nobody is told.
                let _ = carried_out.await;
                Err(Cut)
            }
            Some(Fault::Hang) => {
                cleared.await;
                self.pass_on(request).await
            }
        }
    }

    fn strike(&self, request: &Request<Incoming>) -> Option<Fault> {
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        let method = request.method();
        let mut state = self.state();
        state.seen.push((method.clone(), path.clone()));
        let fits = |rule: &&mut Rule| {
            rule.times != Some(0)
                && rule.method.as_ref().is_none_or(|wanted| wanted == method)
                && path.contains(&rule.path_contains)
        };
        let rule = state.rules.iter_mut().find(fits)?;
        rule.times = rule.times.map(|times| times - 1);
        let fault = rule.answer.clone();
        state.struck += 1;
        self.struck.notify_waiters();
        Some(fault)
    }

    /// On a connection of its own, which ends with the answer's body or with whoever waits for it.
    async fn pass_on(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let stream = UnixStream::connect(&self.target).await.map_err(|_| Cut)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|_| Cut)?;
        let connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let response = sender.send_request(request).await.map_err(|_| Cut)?;
        Ok(response.map(|body| {
            let pieces = Body::new(body).into_data_stream();
            Body::from_stream(pieces.inspect(move |_| {
                let _kept_until_the_end = &connection;
            }))
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Docker reads the message, a gateway's client the problem.
fn refuse(status: u16, message: &str) -> Response<Body> {
    let problem = json!({ "message": message, "status": status, "code": "fault", "title": message });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (status, Json(problem)).into_response()
}
