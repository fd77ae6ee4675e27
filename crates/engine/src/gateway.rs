//! The service's side of a gateway's control socket. What is said is in [`windlass_core::gateway`].

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use windlass_core::gateway::{
    AwaitAiling, AwaitDrained, Discard, Drained, GatewayStatus, Prepare, Prepared, Remove, SetCertificates,
    SetChallenges, SetMaintenance, Switch, Switched, TargetStatus,
};
use windlass_core::problem::Problem;

use crate::error::GatewayError;

/// How long an answer may take that waits for nothing.
const AT_ONCE: Duration = Duration::from_secs(10);
/// So long a gateway may say that it stops, until another answers in its place.
const STOPPING: Duration = Duration::from_secs(10);
/// So often in a row one may hang up: whoever has followed it does as it was told before.
const HANG_UPS: u32 = 3;
/// What lasted longer is no part of the row.
const A_ROW: Duration = Duration::from_secs(1);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// Speaks to one host's gateway. A connection per request: requests are few, and some wait for long.
#[derive(Debug, Clone)]
pub struct GatewayClient {
    control: PathBuf,
}

impl GatewayClient {
    /// On this socket. Nothing is sent yet.
    #[must_use]
    pub const fn new(control: PathBuf) -> Self {
        Self { control }
    }

    /// Its socket.
    #[must_use]
    pub fn control(&self) -> &Path {
        &self.control
    }

    /// Has the targets asked for their health; answers when all are healthy.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Refused`] with the code `unhealthy` when the deadline is over.
    pub async fn prepare(&self, request: &Prepare) -> Result<Prepared, GatewayError> {
        self.post("/v1/prepare", request, Some(request.deadline.0 + AT_ONCE)).await
    }

    /// Moves the traffic.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn switch(&self, request: &Switch) -> Result<Switched, GatewayError> {
        self.post("/v1/switch", request, Some(request.deadline.0 + AT_ONCE)).await
    }

    /// Forgets what was prepared and never switched to.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn discard(&self, request: &Discard) -> Result<(), GatewayError> {
        self.post("/v1/discard", request, Some(AT_ONCE)).await
    }

    /// Takes a service's routes away.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn remove(&self, request: &Remove) -> Result<(), GatewayError> {
        self.post("/v1/remove", request, Some(AT_ONCE)).await
    }

    /// Has an app kept from its clients, or no more.
    ///
    /// # Errors
    ///
    /// [`GatewayError::Refused`] with the code `older_maintenance` when it knows something newer.
    pub async fn maintain(&self, request: &SetMaintenance) -> Result<(), GatewayError> {
        self.post("/v1/maintenance", request, Some(AT_ONCE)).await
    }

    /// Waits until these targets have no request any more. The gateway itself knows how long that may take.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn drained(&self, request: &AwaitDrained) -> Result<Drained, GatewayError> {
        self.post("/v1/drained", request, None).await
    }

    /// Waits until one of these targets is unhealthy, and gives that one. Waits for ever if none ever is.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn ailing(&self, request: &AwaitAiling) -> Result<TargetStatus, GatewayError> {
        self.post("/v1/ailing", request, None).await
    }

    /// Has it serve these certificates by https, and no others that came this way.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn set_certificates(&self, request: &SetCertificates) -> Result<(), GatewayError> {
        self.post("/v1/certificates", request, Some(AT_ONCE)).await
    }

    /// Has it answer these challenges, and no others.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn set_challenges(&self, request: &SetChallenges) -> Result<(), GatewayError> {
        self.post("/v1/challenges", request, Some(AT_ONCE)).await
    }

    /// What the gateway knows.
    ///
    /// # Errors
    ///
    /// See [`GatewayError`].
    pub async fn status(&self) -> Result<GatewayStatus, GatewayError> {
        self.send(Method::GET, "/v1/status", Bytes::new(), Some(AT_ONCE)).await
    }

    async fn post<A: DeserializeOwned>(
        &self,
        path: &'static str,
        request: &impl Serialize,
        within: Option<Duration>,
    ) -> Result<A, GatewayError> {
        let body = serde_json::to_vec(request).map_err(|error| self.garbled(path, &error))?;
        self.send(Method::POST, path, body.into(), within).await
    }

    async fn send<A: DeserializeOwned>(
        &self,
        method: Method,
        path: &'static str,
        body: Bytes,
        within: Option<Duration>,
    ) -> Result<A, GatewayError> {
        let exchange = self.exchange_until_answered(method, path, body);
        let (status, body) = match within {
            Some(within) => tokio::time::timeout(within, exchange).await.map_err(|_| GatewayError::Silent {
                socket: self.control.clone(),
                request: path,
                seconds: within.as_secs(),
            })??,
            None => exchange.await?,
        };
        if status.is_success() {
            // 204 has no body, which is JSON's `null` as far as the caller is concerned.
            let body: &[u8] = if body.is_empty() { b"null" } else { &body };
            return serde_json::from_slice(body).map_err(|error| self.garbled(path, &error));
        }
        match serde_json::from_slice::<Problem>(&body) {
            Ok(problem) => Err(GatewayError::Refused(problem)),
            Err(_) => Err(self.garbled(path, &format_args!("HTTP {} without a reason", status.as_u16()))),
        }
    }

    /// A gateway that is followed by a newer one hangs up, or says that it stops; the newer one answers. Every request can
    /// be made again: the same generation is the same request.
    async fn exchange_until_answered(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), GatewayError> {
        let (begun, mut hung_up) = (Instant::now(), 0);
        loop {
            let tried = Instant::now();
            match self.exchange(method.clone(), path, body.clone()).await {
                Ok((status, answer)) if begun.elapsed() < STOPPING && is_stopping(status, &answer) => {}
                Ok(answer) => return Ok(answer),
                Err(Broken::HungUp(error)) => {
                    hung_up = if tried.elapsed() > A_ROW { 1 } else { hung_up + 1 };
                    if hung_up >= HANG_UPS {
                        return Err(self.unreachable(&error));
                    }
                }
                Err(Broken::NobodyThere(error)) => return Err(self.unreachable(&error)),
            }
            tokio::time::sleep(AGAIN).await;
        }
    }

    fn unreachable(&self, reason: &dyn std::fmt::Display) -> GatewayError {
        let reason = windlass_core::reason::plain(&reason.to_string());
        GatewayError::Unreachable { socket: self.control.clone(), reason }
    }

    async fn exchange(&self, method: Method, path: &str, body: Bytes) -> Result<(StatusCode, Bytes), Broken> {
        let stream = UnixStream::connect(&self.control).await.map_err(Broken::NobodyThere)?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(Broken::hung_up)?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "gateway")
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body))
            .map_err(Broken::hung_up)?;
        // The sender goes with the last byte of the answer, and the connection with it.
        let exchange = async move {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        // The connection lives within this call: whoever drops the call hangs up.
        let (connected, answer) = tokio::join!(connection, exchange);
        if let Err(error) = connected {
            tracing::debug!(%error, "the connection to the gateway ended badly");
        }
        answer.map_err(Broken::hung_up)
    }

    fn garbled(&self, request: &'static str, reason: &dyn std::fmt::Display) -> GatewayError {
        GatewayError::Garbled { socket: self.control.clone(), request, reason: reason.to_string() }
    }
}

/// Why there is no answer.
#[derive(Debug)]
enum Broken {
    NobodyThere(io::Error),
    /// It took the connection, and no answer came.
    HungUp(Box<dyn Error + Send + Sync>),
}

impl Broken {
    fn hung_up(error: impl Error + Send + Sync + 'static) -> Self {
        Self::HungUp(error.into())
    }
}

fn is_stopping(status: StatusCode, answer: &[u8]) -> bool {
    status == StatusCode::SERVICE_UNAVAILABLE
        && serde_json::from_slice::<Problem>(answer).is_ok_and(|problem| problem.code == "stopping")
}
