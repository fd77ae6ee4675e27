//! A gateway of the test's own, and the words to command it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::net::UnixStream;
use tokio_util::task::AbortOnDropHandle;
use windlass_core::gateway::{
    AppProtocol, AwaitAiling, AwaitDrained, Drained, GatewayStatus, Hold, Prepare, Prepared, Probe, Remove, Route,
    ServiceKey, ServiceSpec, Switch, Switched, TargetState, TargetStatus,
};
use windlass_core::names::{Generation, ReleaseNumber};
use windlass_core::problem::Problem;
use windlass_core::proxies::TrustedProxy;
use windlass_core::quantity::Duration as Span;
use windlass_gateway::{Gateway, GatewayOptions, Limits};

use crate::backend::Backend;
use crate::client;

pub(crate) const HOST: &str = "shop.test";

pub(crate) struct Front {
    pub(crate) gateway: Gateway,
    pub(crate) control: Control,
    folder: TempDir,
}

impl Front {
    pub(crate) async fn start() -> Self {
        Self::start_in(tempfile::tempdir().unwrap()).await
    }

    pub(crate) async fn start_in(folder: TempDir) -> Self {
        Self::start_with(options(folder.path()), folder).await
    }

    /// Behind these proxies.
    pub(crate) async fn behind(proxies: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let trusted = proxies.iter().map(|proxy| proxy.parse::<TrustedProxy>().unwrap()).collect();
        Self::start_with(GatewayOptions { trusted, ..options(folder.path()) }, folder).await
    }

    /// With other limits than a gateway has.
    pub(crate) async fn within(limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self::start_with(GatewayOptions { limits, ..options(folder.path()) }, folder).await
    }

    pub(crate) async fn start_with(options: GatewayOptions, folder: TempDir) -> Self {
        let control = Control { path: options.control.clone() };
        Self { gateway: Gateway::start(options).await.unwrap(), control, folder }
    }

    pub(crate) fn http(&self) -> SocketAddr {
        self.gateway.http_addr()
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Stops it and keeps what it has left on disk.
    pub(crate) async fn stop(self) -> TempDir {
        self.gateway.stop().await;
        self.folder
    }

    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        client::fetch(self.http(), HOST, path).await
    }
}

pub(crate) fn options(folder: &Path) -> GatewayOptions {
    let (control, snapshot) = (folder.join("gateway.sock"), folder.join("gateway.json"));
    GatewayOptions { threads: 2, ..GatewayOptions::new(([127, 0, 0, 1], 0).into(), control, snapshot) }
}

/// A service on `shop.test/` with these backends, to be changed at will.
pub(crate) fn spec(generation: u64, backends: &[&Backend]) -> ServiceSpec {
    ServiceSpec {
        key: ServiceKey("1/production/default".to_owned()),
        generation: Generation(generation),
        release: ReleaseNumber(generation),
        routes: vec![route(HOST, "/")],
        targets: backends.iter().map(|backend| backend.target()).collect(),
        probe: Probe { path: Some("/up".to_owned()), interval: Span::from_millis(100), timeout: Span::from_secs(1) },
        drain: Span::from_secs(10),
        hold: Hold { requests: 10, time: Span::from_secs(5) },
        https: false,
        protocol: AppProtocol::Http1,
        hsts: None,
        pages: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn route(host: &str, path: &str) -> Route {
    Route::new(host, path)
}

pub(crate) struct Control {
    pub(crate) path: PathBuf,
}

impl Control {
    pub(crate) async fn prepare(&self, service: ServiceSpec, deadline: Span) -> Result<Prepared, Problem> {
        self.post("/v1/prepare", &Prepare { service, deadline }).await
    }

    pub(crate) async fn switch(&self, service: ServiceSpec) -> Result<Switched, Problem> {
        self.post("/v1/switch", &Switch { service, deadline: Span::from_secs(10), unchecked: false }).await
    }

    pub(crate) async fn switch_unchecked(&self, service: ServiceSpec) -> Result<Switched, Problem> {
        self.post("/v1/switch", &Switch { service, deadline: Span::from_secs(10), unchecked: true }).await
    }

    pub(crate) async fn remove(&self, service: &ServiceSpec) -> Result<(), Problem> {
        let (key, generation) = (service.key.clone(), service.generation);
        self.send("POST", "/v1/remove", &Remove { key, generation }).await.map(|body| assert!(body.is_empty()))
    }

    pub(crate) async fn drained(&self, service: &ServiceSpec, targets: &[&str]) -> Result<Drained, Problem> {
        let targets = targets.iter().map(|name| (*name).to_owned()).collect();
        self.post("/v1/drained", &AwaitDrained { key: service.key.clone(), targets }).await
    }

    pub(crate) async fn ailing(&self, service: &ServiceSpec, every: Span) -> Result<TargetStatus, Problem> {
        let targets = service.targets.iter().map(|target| target.name.clone()).collect();
        self.post("/v1/ailing", &AwaitAiling { key: service.key.clone(), targets, every }).await
    }

    pub(crate) async fn status(&self) -> GatewayStatus {
        serde_json::from_slice(&self.send("GET", "/v1/status", &()).await.unwrap()).unwrap()
    }

    /// All targets of all services.
    pub(crate) async fn targets(&self) -> Vec<TargetStatus> {
        self.status().await.services.into_iter().flat_map(|service| service.targets).collect()
    }

    pub(crate) async fn state_of(&self, name: &str) -> Option<TargetState> {
        self.targets().await.into_iter().find(|target| target.name == name).map(|target| target.state)
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Problem> {
        self.send("POST", path, body).await.map(|answer| serde_json::from_slice(&answer).unwrap())
    }

    pub(crate) async fn send(&self, method: &str, path: &str, body: &impl Serialize) -> Result<Bytes, Problem> {
        let stream = UnixStream::connect(&self.path).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        let _connection = AbortOnDropHandle::new(tokio::spawn(connection));
        let body = Full::<Bytes>::from(serde_json::to_vec(body).unwrap());
        let request = Request::builder().method(method).uri(path).header("host", "gateway").body(body).unwrap();
        let response = sender.send_request(request).await.unwrap();
        let (status, media_type) = (response.status(), response.headers().get("content-type").cloned());
        let answer = response.into_body().collect().await.unwrap().to_bytes();
        if status.is_success() {
            return Ok(answer);
        }
        assert_eq!(media_type.unwrap(), "application/problem+json");
        let problem: Problem = serde_json::from_slice(&answer).unwrap();
        assert_eq!(problem.status, status.as_u16());
        Err(problem)
    }
}

/// Waits for something that is about to happen elsewhere.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let soon = tokio::time::timeout(Duration::from_secs(10), async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    soon.await.unwrap_or_else(|_| panic!("never: {what}"));
}
