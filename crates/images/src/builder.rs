//! Builds images with the BuildKit inside a Docker Engine, or in a container of that engine where a cache needs it, and
//! pushes them. It belongs to no installation: it runs in jobs and on people's machines. What an image is called, how it is labelled and what of its log must be masked, the
//! caller decides.

mod cache;
mod connection;
mod container;
mod context;
mod diagnosis;
mod error;
mod github;
mod ignored;
mod lacks;
mod load;
mod progress;
mod push;
mod session;
mod solve;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bollard::Docker;
use bollard::query_parameters::RemoveImageOptions;
use secrecy::SecretString;
use windlass_core::config::DockerEndpoint;
use windlass_core::names::Digest;
use windlass_docker::{is_unreachable, status, words};
use windlass_registry::RegistryCredentials;

pub use error::{BuildError, CacheFault};
pub use github::{CacheMode, CacheProtocol, GitHubCache};
pub use lacks::{ContextFolder, Lack, is_pattern};
pub use progress::BuildEvent;
pub use push::PushEvent;

/// How long the engine may take to begin an answer, in seconds. A build may take as long as it likes.
const ANSWER_SECONDS: u64 = 120;

/// Docker Engine 20.10: the first whose BuildKit knows `RUN --mount` without fetching a newer Dockerfile syntax.
const OLDEST_API: (u32, u32) = (1, 41);

/// A Docker Engine as a place that builds and pushes images. Belongs to no installation. Cheap to clone.
#[derive(Clone)]
pub struct Builder {
    inner: Arc<Inner>,
}

struct Inner {
    docker: Docker,
    socket: PathBuf,
}

/// What an engine says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuilderFacts {
    /// Such as `20.10.24`.
    pub version: String,
    /// The version of Docker's API that both sides speak, such as `1.41`.
    pub api_version: String,
    /// What it builds for unless told otherwise, such as `linux/amd64`.
    pub platform: String,
}

/// What to build, and from what.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// The folder that the Dockerfile can copy from. Its `.dockerignore` says what of it is not sent.
    pub context: PathBuf,
    /// Where the Dockerfile is, relative to the context.
    pub dockerfile: PathBuf,
    /// The stage to build; the last one when left out.
    pub target: Option<String>,
    /// Values of the Dockerfile's `ARG`s. They are seen in the image's history.
    pub args: BTreeMap<String, String>,
    /// By id, for `RUN --mount=type=secret,id=…`. Nothing of them stays in the image.
    pub secrets: BTreeMap<String, SecretString>,
    /// The image's labels.
    pub labels: BTreeMap<String, String>,
    /// Such as `linux/arm64`; the engine's own when left out.
    pub platform: Option<String>,
    /// Where steps may come from instead of being run, as `docker buildx build --cache-from` has it.
    pub cache_from: Vec<String>,
    /// Where steps are kept, as `docker buildx build --cache-to` has it.
    pub cache_to: Vec<String>,
    /// GitHub's cache, for caches with `type=gha`; only a job of GitHub Actions has one.
    pub github_cache: Option<GitHubCache>,
    /// Under what the steps lie in GitHub's cache, unless an entry says its `scope`. Builds that share it overwrite each
    /// other's.
    pub cache_scope: String,
    /// The image of BuildKit that is started where a cache needs more than the engine can; the official one, pinned,
    /// when left out.
    pub builder_image: Option<String>,
    /// What the image is called afterwards: `name:tag`.
    pub name: String,
    /// Logins for base images and caches, by registry: `docker.io`, `ghcr.io`.
    pub credentials: BTreeMap<String, RegistryCredentials>,
}

impl BuildRequest {
    /// Sees that there is a folder with a Dockerfile, which a build finds out too, later.
    ///
    /// # Errors
    ///
    /// [`BuildError::NoContext`], [`BuildError::NoDockerfile`] or [`BuildError::DockerfileOutside`].
    pub fn check_files(&self) -> Result<(), BuildError> {
        context::find(&self.context, &self.dockerfile).map(drop)
    }
}

impl Builder {
    /// Finds the engine and agrees with it on a version of its API.
    ///
    /// # Errors
    ///
    /// When it does not answer, its address is none of a Unix socket, or it is too old.
    pub async fn connect(endpoint: &DockerEndpoint) -> Result<Self, BuildError> {
        let socket = match endpoint {
            DockerEndpoint::Unix(socket) => socket.clone(),
            DockerEndpoint::Ssh { url, .. } | DockerEndpoint::Tcp { url, .. } => {
                return Err(BuildError::Unsupported { endpoint: url.to_string() });
            }
        };
        let no_engine = |error: &bollard::errors::Error| BuildError::NoEngine {
            endpoint: format!("unix://{}", socket.display()),
            reason: words(error),
        };
        let docker = windlass_docker::client(&socket, ANSWER_SECONDS)
            .map_err(|error| no_engine(&error))?
            .negotiate_version()
            .await
            .map_err(|error| no_engine(&error))?;
        let builder = Self { inner: Arc::new(Inner { docker, socket }) };
        let spoken = builder.docker().client_version();
        let spoken = u32::try_from(spoken.major_version).ok().zip(u32::try_from(spoken.minor_version).ok());
        if spoken < Some(OLDEST_API) {
            return Err(BuildError::EngineTooOld { version: builder.facts().await?.version });
        }
        Ok(builder)
    }

    /// What the engine is.
    ///
    /// # Errors
    ///
    /// When it does not answer.
    pub async fn facts(&self) -> Result<BuilderFacts, BuildError> {
        let version = self.docker().version().await.map_err(|error| self.error("ask the engine what it is", &error))?;
        Ok(BuilderFacts {
            version: version.version.unwrap_or_default(),
            api_version: self.docker().client_version().to_string(),
            platform: format!("{}/{}", version.os.unwrap_or_default(), version.arch.unwrap_or_default()),
        })
    }

    /// Builds an image and gives its id; `tell` hears how it goes. Whoever drops the call ends the build.
    ///
    /// # Errors
    ///
    /// See [`BuildError`]. What is wrong with the request itself is found before the engine is asked.
    pub async fn build(
        &self,
        request: &BuildRequest,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Digest, BuildError> {
        self.solve(request, tell).await
    }

    /// Takes an image's name away, or by id all of them, and with the last one the image. One that is not there is
    /// what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or a running container needs the image.
    pub async fn remove(&self, reference: &str) -> Result<(), BuildError> {
        let options = RemoveImageOptions { force: true, noprune: false, platforms: None };
        match self.docker().remove_image(reference, Some(options), None).await {
            Err(error) if status(&error) == Some(404) => Ok(()),
            removed => removed.map(drop).map_err(|error| self.error(format!("remove image {reference}"), &error)),
        }
    }

    fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    fn no_engine(&self, reason: String) -> BuildError {
        BuildError::NoEngine { endpoint: format!("unix://{}", self.inner.socket.display()), reason }
    }

    /// `action` completes "could not …".
    fn error(&self, action: impl Into<String>, error: &bollard::errors::Error) -> BuildError {
        let reason = words(error);
        if is_unreachable(error) {
            return self.no_engine(reason);
        }
        BuildError::Refused { action: action.into(), reason }
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Builder").field("socket", &self.inner.socket).finish_non_exhaustive()
    }
}
