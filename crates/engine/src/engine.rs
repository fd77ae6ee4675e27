//! One Docker Engine.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bollard::Docker;
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
    /// Whether a version of the API was agreed on.
    agreed: AtomicBool,
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

    /// An engine that may not answer yet, and whose socket need not be there. Nothing is asked: whoever waits for it, as
    /// [`Engine::events`] does, or looks at it agrees with it once it is there.
    ///
    /// # Errors
    ///
    /// When its address is none of a Unix socket.
    pub fn expect(
        host: HostName,
        endpoint: &DockerEndpoint,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        let socket = match endpoint {
            DockerEndpoint::Unix(socket) => socket,
            DockerEndpoint::Ssh { url, .. } | DockerEndpoint::Tcp { url, .. } => {
                return Err(EngineError::Unsupported { host, endpoint: url.to_string() });
            }
        };
        let endpoint = format!("unix://{}", socket.display());
        let docker = crate::transport::client(socket, ANSWER_SECONDS);
        let docker = docker.map_err(|error| EngineError::Unreachable {
            host: host.clone(),
            endpoint: endpoint.clone(),
            reason: crate::docker::words(&error),
        })?;
        let (network, pulls) = (tokio::sync::Mutex::new(()), Pulls::default());
        let agreed = AtomicBool::new(false);
        Ok(Self { inner: Arc::new(Inner { docker, host, endpoint, installation, agreed, network, pulls }) })
    }

    /// On a version of the API: what was agreed on holds for all clones.
    pub(crate) async fn agree(&self) -> Result<(), EngineError> {
        let agreed = self.docker().clone().negotiate_version().await;
        agreed.map_err(|error| EngineError::Unreachable {
            host: self.host().clone(),
            endpoint: self.endpoint().to_owned(),
            reason: crate::docker::words(&error),
        })?;
        self.inner.agreed.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The same, unless it was done: an engine that was away at first may be there by now.
    pub(crate) async fn agree_once(&self) -> Result<(), EngineError> {
        if self.inner.agreed.load(Ordering::Relaxed) { Ok(()) } else { self.agree().await }
    }

    /// Asks for a sign of life.
    ///
    /// # Errors
    ///
    /// When there is none.
    pub async fn ping(&self) -> Result<(), EngineError> {
        self.agree_once().await?;
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
