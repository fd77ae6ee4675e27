//! One Docker Engine.

use std::fmt;
use std::sync::Arc;

use bollard::{API_DEFAULT_VERSION, Docker};
use windlass_core::config::DockerEndpoint;
use windlass_core::labels;
use windlass_core::names::{HostName, InstallationId};

use crate::docker::Filters;
use crate::error::EngineError;
use crate::images::Pulls;

/// How long the engine may take to begin an answer, in seconds. Removing a big container takes a while.
const ANSWER_SECONDS: u64 = 120;

/// One host's Docker Engine, as one installation sees it. Every request has a connection of its own, so an engine that
/// was restarted is simply there again. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    docker: Docker,
    host: HostName,
    endpoint: String,
    installation: InstallationId,
    /// One at a time makes the network.
    network: tokio::sync::Mutex<()>,
    /// One at a time pulls an image.
    pulls: Pulls,
}

impl Engine {
    /// Finds the engine and agrees with it on a version of its API.
    ///
    /// # Errors
    ///
    /// When it does not answer, or its address is none of a Unix socket.
    pub async fn connect(
        host: HostName,
        endpoint: &DockerEndpoint,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        let engine = Self::expect(host, endpoint, installation)?;
        engine.agree().await?;
        Ok(engine)
    }

    /// An engine that may not answer yet. Nothing is asked: whoever waits for it, as [`Engine::events`] does, agrees with
    /// it once it is there.
    ///
    /// # Errors
    ///
    /// When its socket is not there at all, or its address is none of a Unix socket.
    pub fn expect(
        host: HostName,
        endpoint: &DockerEndpoint,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        let socket = match endpoint {
            DockerEndpoint::Unix(socket) => socket.display().to_string(),
            DockerEndpoint::Ssh { url, .. } | DockerEndpoint::Tcp { url, .. } => {
                return Err(EngineError::Unsupported { host, endpoint: url.to_string() });
            }
        };
        let endpoint = format!("unix://{socket}");
        let docker = Docker::connect_with_unix(&socket, ANSWER_SECONDS, API_DEFAULT_VERSION);
        let docker = docker.map_err(|error| EngineError::Unreachable {
            host: host.clone(),
            endpoint: endpoint.clone(),
            reason: crate::docker::words(&error),
        })?;
        let (network, pulls) = (tokio::sync::Mutex::new(()), Pulls::default());
        Ok(Self { inner: Arc::new(Inner { docker, host, endpoint, installation, network, pulls }) })
    }

    /// On a version of the API: what was agreed on holds for all clones.
    pub(crate) async fn agree(&self) -> Result<(), EngineError> {
        let agreed = self.docker().clone().negotiate_version().await;
        agreed.map(drop).map_err(|error| EngineError::Unreachable {
            host: self.host().clone(),
            endpoint: self.endpoint().to_owned(),
            reason: crate::docker::words(&error),
        })
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.docker().ping().await.map(drop).map_err(|error| self.error("ping the engine", &error))
    }

    /// The version of Docker's API that both sides speak, such as `1.41`.
    #[must_use]
    pub fn api_version(&self) -> String {
        self.docker().client_version().to_string()
    }

    /// Its host.
    #[must_use]
    pub fn host(&self) -> &HostName {
        &self.inner.host
    }

    /// For whom it looks and works.
    #[must_use]
    pub fn installation(&self) -> InstallationId {
        self.inner.installation
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    pub(crate) fn endpoint(&self) -> &str {
        &self.inner.endpoint
    }

    pub(crate) fn network_lock(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.network
    }

    pub(crate) fn pulls(&self) -> &Pulls {
        &self.inner.pulls
    }

    /// What carries this installation's label, in Docker's language.
    pub(crate) fn ours(&self) -> Filters {
        Filters::default().with("label", format!("{}={}", labels::INSTALLATION, self.inner.installation))
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Engine")
            .field("host", &self.inner.host)
            .field("endpoint", &self.inner.endpoint)
            .field("installation", &self.inner.installation)
            .finish_non_exhaustive()
    }
}
