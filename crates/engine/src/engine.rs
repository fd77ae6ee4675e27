//! One Docker Engine.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bollard::Docker;
use windlass_core::config::DockerEndpoint;
use windlass_core::labels;
use windlass_core::names::{HostName, InstallationId};
use windlass_core::subnet::Subnet;

use crate::docker::Filters;
use crate::error::EngineError;
use crate::images::Pulls;
use crate::join::{Identities, Twin};

/// How long the engine may take to begin an answer, in seconds. Removing a big container takes a while.
const ANSWER_SECONDS: u64 = 120;

/// One host's Docker Engine, as one installation sees it. Every request has a connection of its own, so an engine that
/// was restarted is simply there again. Cloning is cheap.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
    place: Arc<Place>,
}

/// What the server's file says of the host beyond its address.
#[derive(Clone)]
struct Place {
    networks: Subnet,
    mountable: Vec<String>,
    identities: Identities,
    /// Once it has said who it is: the host that is the same engine, if there is one.
    twin: OnceLock<Option<Twin>>,
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
    /// One at a time starts a container that mounts something of the host.
    mounts: tokio::sync::Mutex<()>,
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
        let docker = windlass_docker::client(socket, ANSWER_SECONDS);
        let docker = docker.map_err(|error| EngineError::Unreachable {
            host: host.clone(),
            endpoint: endpoint.clone(),
            reason: windlass_docker::words(&error),
        })?;
        let (network, mounts, pulls) = (tokio::sync::Mutex::default(), tokio::sync::Mutex::default(), Pulls::default());
        let agreed = AtomicBool::new(false);
        let inner = Inner { docker, host, endpoint, installation, agreed, network, mounts, pulls };
        let place = Place {
            networks: Subnet::DEFAULT_POOL,
            mountable: Vec::new(),
            identities: Identities::default(),
            twin: OnceLock::new(),
        };
        Ok(Self { inner: Arc::new(inner), place: Arc::new(place) })
    }

    /// Its networks are cut from this block.
    #[must_use]
    pub fn with_networks(self, networks: Subnet) -> Self {
        self.placed(|place| place.networks = networks)
    }

    /// What projects may mount of the host: these files and folders with all below, but not by a link out of them.
    /// Otherwise nothing that a link leads to is mounted at all.
    #[must_use]
    pub fn with_mountable(self, mountable: Vec<String>) -> Self {
        self.placed(|place| place.mountable = mountable)
    }

    /// It is one of several, each of which must be an engine of its own.
    pub(crate) fn among(self, identities: Identities) -> Self {
        self.placed(|place| place.identities = identities)
    }

    fn placed(self, change: impl FnOnce(&mut Place)) -> Self {
        let mut place = (*self.place).clone();
        change(&mut place);
        Self { place: Arc::new(place), ..self }
    }

    /// On a version of the API: what was agreed on holds for all clones.
    pub(crate) async fn agree(&self) -> Result<(), EngineError> {
        let agreed = self.docker().clone().negotiate_version().await;
        agreed.map_err(|error| EngineError::Unreachable {
            host: self.host().clone(),
            endpoint: self.endpoint().to_owned(),
            reason: windlass_docker::words(&error),
        })?;
        self.inner.agreed.store(true, Ordering::Relaxed);
        self.identify().await
    }

    /// The same, unless it was done: an engine that was away at first may be there by now.
    pub(crate) async fn agree_once(&self) -> Result<(), EngineError> {
        if self.inner.agreed.load(Ordering::Relaxed) { self.identify().await } else { self.agree().await }
    }

    /// Asked once: an engine that another host is already is not used as a second one.
    async fn identify(&self) -> Result<(), EngineError> {
        if self.place.twin.get().is_none() {
            let info = self.docker().info().await.map_err(|error| self.error("ask the engine who it is", &error))?;
            let twin = info.id.filter(|id| !id.is_empty()).and_then(|id| self.place.identities.claim(id, self.host()));
            self.place.twin.get_or_init(|| twin);
        }
        match self.place.twin.get() {
            Some(Some(Twin { other, id })) => {
                Err(EngineError::SameEngine { host: self.host().clone(), other: other.clone(), id: id.clone() })
            }
            Some(None) | None => Ok(()),
        }
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

    pub(crate) fn mounts_lock(&self) -> &tokio::sync::Mutex<()> {
        &self.inner.mounts
    }

    pub(crate) fn networks_pool(&self) -> Subnet {
        self.place.networks
    }

    pub(crate) fn mountable(&self) -> &[String] {
        &self.place.mountable
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
