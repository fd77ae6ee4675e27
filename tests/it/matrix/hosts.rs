//! The hosts: each an engine and a gateway, with a place between them and the service where calls can fail.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tokio::process::Child;
use windlass_core::config::DockerEndpoint;
use windlass_core::names::InstallationId;
use windlass_engine::Engine;
use windlass_testing::docker::FakeEngine;
use windlass_testing::faults::FaultProxy;
use windlass_testing::free_address;

use crate::world::start_windlass;

const REAL_ENGINE: &str = "/var/run/docker.sock";

/// What runs the containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineKind {
    /// Containers are tasks of this process.
    Fake,
    /// This machine's own.
    Docker,
}

pub(super) struct Host {
    pub(super) name: &'static str,
    pub(super) gateway_address: SocketAddr,
    /// Between the service and the engine.
    pub(super) docker: FaultProxy,
    /// Between the service and the gateway.
    pub(super) control: FaultProxy,
    pub(super) fake: Option<FakeEngine>,
    control_socket: PathBuf,
    pub(super) gateway: Option<Child>,
}

impl Host {
    pub(super) async fn start(name: &'static str, number: u8, kind: EngineKind, folder: &Path) -> Self {
        let fake = match kind {
            EngineKind::Fake => Some(FakeEngine::start(name, number).await),
            EngineKind::Docker => None,
        };
        let socket = fake.as_ref().map_or(Path::new(REAL_ENGINE), FakeEngine::socket);
        let control_socket = folder.join(format!("{name}.sock"));
        Self {
            name,
            gateway_address: free_address(),
            docker: FaultProxy::start(socket),
            control: FaultProxy::start(&control_socket),
            fake,
            control_socket,
            gateway: None,
        }
    }

    /// Its part of the server's file, for the service.
    pub(super) fn config(&self) -> String {
        self.config_at(self.control.socket())
    }

    /// The same for its gateway, which listens where the proxy leads.
    pub(super) fn config_of_gateway(&self) -> String {
        self.config_at(&self.control_socket)
    }

    fn config_at(&self, control: &Path) -> String {
        format!(
            "[hosts.{}]\ndocker = \"unix://{}\"\ngateway = {{ http = \"{}\", control = \"{}\" }}\n{}",
            self.name,
            self.docker.socket().display(),
            self.gateway_address,
            control.display(),
            self.networks()
        )
    }

    /// A played engine's containers listen on this machine, in its own block.
    fn networks(&self) -> String {
        self.fake.as_ref().map(|fake| format!("networks = \"{}\"\n", fake.networks())).unwrap_or_default()
    }

    pub(super) async fn start_gateway(&mut self, config: &Path, log: &Path) {
        let address = self.gateway_address;
        self.gateway = Some(start_windlass("gateway", config, &["--host", self.name], log, address).await);
    }

    /// Its engine, with nothing in between.
    pub(super) async fn engine(&self, installation: InstallationId) -> Engine {
        let socket = self.fake.as_ref().map_or(Path::new(REAL_ENGINE), FakeEngine::socket);
        let endpoint = DockerEndpoint::Unix(socket.to_owned());
        Engine::connect(self.name.parse().unwrap(), &endpoint, installation).await.unwrap()
    }
}
