//! One build, from the request to BuildKit's last word.
//!
//! bollard has a driver for this, too. It sends what a cache is fetched from where BuildKit's reader of Dockerfiles does
//! not look for it, drops the image's id, and leaves its session with the whole context open.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::pin::pin;
use std::time::Duration;

use bollard::grpc::BuildRef;
use bollard::grpc::build::moby::buildkit::v1::control_client::ControlClient;
use bollard::grpc::build::moby::buildkit::v1::{
    CacheOptions, CacheOptionsEntry, SolveRequest, SolveResponse, StatusRequest, StatusResponse,
};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt, once};
use secrecy::{ExposeSecret, SecretString};
use tonic::Status;
use tonic::transport::Channel;
use windlass_core::names::Digest;

use super::cache::{self, ImageStore};
use super::context::{Packed, pack};
use super::error::BuildError;
use super::progress::{BuildEvent, BuildProgress};
use super::session::{Answers, Session};
use super::{BuildRequest, Builder, connection, diagnosis};

/// How long BuildKit may take to finish its tale when the build is over.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The largest secret that BuildKit takes, in bytes.
const LARGEST_SECRET: usize = 500 * 1024;

impl Builder {
    pub(super) async fn solve(
        &self,
        request: &BuildRequest,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Digest, BuildError> {
        check_secrets(&request.secrets)?;
        let mut attributes = attributes(request)?;
        let cache = self.cache(request).await?;
        attributes.extend(cache_imports(&cache));
        let (context, dockerfile) = (request.context.clone(), request.dockerfile.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&context, &dockerfile)).await;
        let Packed { tar, dockerfile, text } = packed.map_err(|error| refused(error.to_string()))??;

        let (secrets, credentials) = (request.secrets.clone(), request.credentials.clone());
        let session = Session::open(&self.inner.socket, Answers { context: tar, secrets, credentials }).await;
        let session = session.map_err(|error| self.no_engine(error.to_string()))?;
        attributes.insert("filename".to_owned(), dockerfile.to_string_lossy().into_owned());
        attributes.insert("context".to_owned(), session.context());
        let build = BuildRef::random();
        let work = SolveRequest {
            r#ref: build.as_ref().to_owned(),
            session: session.id().to_owned(),
            frontend: "dockerfile.v0".to_owned(),
            frontend_attrs: attributes,
            exporter_deprecated: "moby".to_owned(),
            exporter_attrs_deprecated: HashMap::from([("name".to_owned(), request.name.clone())]),
            cache: Some(cache),
            ..SolveRequest::default()
        };
        let mut progress = BuildProgress::default();
        let solved = self.follow(work, session, &mut progress, tell).await?;
        let solved = solved.map_err(|status| match status.source() {
            // Not BuildKit's answer: the connection broke.
            Some(_) => self.no_engine(diagnosis::chain(&status)),
            None => diagnosis::of_build(&status, progress.into_failed(), request, &text),
        })?;
        let id = solved.exporter_response.get("containerimage.digest").and_then(|id| id.parse().ok());
        id.ok_or_else(|| refused("BuildKit names no image at the end".to_owned()))
    }

    /// Has the work done. Everything that belongs to it lives within this call: whoever drops it ends the build.
    async fn follow(
        &self,
        work: SolveRequest,
        session: Session,
        progress: &mut BuildProgress,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<Result<SolveResponse, Status>, BuildError> {
        let control = connection::control(self.inner.socket.clone()).await;
        let mut control = control.map_err(|error| self.no_engine(diagnosis::chain(&error)))?;
        // Asked for before the build: BuildKit waits a few seconds for one that it does not know yet.
        let mut statuses = statuses(control.clone(), work.r#ref.clone());
        let mut answering = pin!(session.serve());
        let mut answers = true;
        let mut solving = pin!(control.solve(work));
        let solved = loop {
            tokio::select! {
                solved = &mut solving => break solved,
                ended = &mut answering, if answers => {
                    tracing::debug!(?ended, "BuildKit has hung up on the session");
                    answers = false;
                }
                Some(status) = statuses.next() => match status {
                    Ok(status) => progress.apply(status, tell),
                    // The build goes on without being followed.
                    Err(error) => tracing::debug!(%error, "BuildKit does not tell how the build goes"),
                },
            }
        };
        let last_words = async {
            while let Some(Ok(status)) = statuses.next().await {
                progress.apply(status, tell);
            }
        };
        // The build is over either way; what is missing then is only lines.
        tokio::time::timeout(LAST_WORDS, last_words).await.ok();
        Ok(solved.map(tonic::Response::into_inner))
    }

    async fn cache(&self, request: &BuildRequest) -> Result<CacheOptions, BuildError> {
        let imports = cache::from(&request.cache_from)?;
        let store = if request.cache_to.is_empty() { ImageStore::Docker } else { self.image_store().await? };
        Ok(CacheOptions { imports, exports: cache::to(&request.cache_to, store)?, ..CacheOptions::default() })
    }

    async fn image_store(&self) -> Result<ImageStore, BuildError> {
        let info = self.docker().info().await;
        let info = info.map_err(|error| self.error("ask the engine where it keeps images", &error))?;
        let facts = info.driver_status.unwrap_or_default();
        let containerd = facts.iter().flatten().any(|word| word == "io.containerd.snapshotter.v1");
        Ok(if containerd { ImageStore::Containerd } else { ImageStore::Docker })
    }
}

fn statuses(mut control: ControlClient<Channel>, build: String) -> BoxStream<'static, Result<StatusResponse, Status>> {
    let asked = async move { control.status(StatusRequest { r#ref: build }).await.map(tonic::Response::into_inner) };
    once(asked).try_flatten().boxed()
}

/// What the reader of Dockerfiles is told, in its own words.
fn attributes(request: &BuildRequest) -> Result<HashMap<String, String>, BuildError> {
    let mut attributes = HashMap::new();
    if let Some(target) = &request.target {
        attributes.insert("target".to_owned(), target.clone());
    }
    if let Some(platform) = &request.platform {
        check_platform(platform)?;
        attributes.insert("platform".to_owned(), platform.clone());
    }
    attributes.extend(request.args.iter().map(|(name, value)| (format!("build-arg:{name}"), value.clone())));
    attributes.extend(request.labels.iter().map(|(name, value)| (format!("label:{name}"), value.clone())));
    Ok(attributes)
}

/// It is the reader of Dockerfiles that fetches caches, and it looks for them among its own attributes.
fn cache_imports(cache: &CacheOptions) -> Option<(String, String)> {
    let one = |entry: &CacheOptionsEntry| serde_json::json!({ "Type": entry.r#type, "Attrs": entry.attrs });
    let imports: Vec<_> = cache.imports.iter().map(one).collect();
    (!imports.is_empty()).then(|| ("cache-imports".to_owned(), serde_json::Value::from(imports).to_string()))
}

fn check_platform(platform: &str) -> Result<(), BuildError> {
    windlass_core::platform::check(platform).map_err(BuildError::Platform)
}

fn check_secrets(secrets: &BTreeMap<String, SecretString>) -> Result<(), BuildError> {
    for (id, secret) in secrets {
        let bytes = secret.expose_secret().len();
        if bytes > LARGEST_SECRET {
            return Err(BuildError::SecretTooBig { id: id.clone(), bytes });
        }
    }
    Ok(())
}

fn refused(reason: String) -> BuildError {
    BuildError::Refused { action: "build the image".to_owned(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_is_one_that_images_are_built_for() {
        for platform in ["linux/amd64", "linux/arm/v7"] {
            check_platform(platform).unwrap();
        }
        for platform in ["", "linux", "linux/", "linux/vax", "linux/arm/v7/x", "linux/amd64,linux/arm64"] {
            assert_eq!(check_platform(platform).unwrap_err().to_string(), format!("`{platform}` is not a platform"));
        }
    }

    #[test]
    fn a_secret_that_buildkit_would_not_take_is_refused_by_its_id() {
        let secrets = BTreeMap::from([("big".to_owned(), SecretString::from("x".repeat(LARGEST_SECRET + 1)))]);
        let error = check_secrets(&secrets).unwrap_err();
        assert_eq!(error.to_string(), "the build secret big has 512001 bytes, which BuildKit does not take");
    }
}
