//! One build, from the request to BuildKit's last word.
//!
//! bollard has a driver for this, too. It sends what a cache is fetched from where BuildKit's reader of Dockerfiles does
//! not look for it, drops the image's id, and leaves its session with the whole context open.

use std::collections::{BTreeMap, HashMap};
use std::error::Error as _;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bollard::grpc::BuildRef;
use bollard::grpc::build::moby::buildkit::v1::{SolveRequest, SolveResponse, StatusRequest, StatusResponse};
use futures_util::stream::{BoxStream, StreamExt, TryStreamExt, once};
use secrecy::{ExposeSecret, SecretString};
use tonic::Status;
use windlass_core::names::Digest;

use super::cache::{Caches, EngineCaches};
use super::connection::{self, Connection, Control};
use super::container::{BUILDKIT, BuilderContainer, Yard};
use super::context::{Packed, pack};
use super::error::BuildError;
use super::load::Loader;
use super::progress::{BuildEvent, BuildProgress};
use super::session::{Answers, Session};
use super::{BuildRequest, Builder, diagnosis};

/// How long BuildKit may take to finish its tale when the build is over.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The largest secret that BuildKit takes, in bytes.
const LARGEST_SECRET: usize = 500 * 1024;

type Tell<'a> = &'a mut (dyn FnMut(BuildEvent) + Send);

/// What is built, wherever that is.
struct Work<'a> {
    request: &'a BuildRequest,
    /// For the reader of Dockerfiles.
    attributes: HashMap<String, String>,
    answers: Arc<Answers>,
    /// What the Dockerfile says.
    text: String,
}

/// Which BuildKit builds.
enum Place {
    /// The one inside of the engine.
    Engine,
    Container(BuilderContainer),
}

/// Why there is no image.
enum Unsolved {
    /// The caches cannot be used, and why; without them there might be one.
    Caches(String),
    Build(BuildError),
}

impl From<BuildError> for Unsolved {
    fn from(error: BuildError) -> Self {
        Self::Build(error)
    }
}

impl Builder {
    pub(super) async fn solve(&self, request: &BuildRequest, tell: Tell<'_>) -> Result<Digest, BuildError> {
        check_secrets(&request.secrets)?;
        let mut attributes = attributes(request)?;
        let caches = Caches::of(request)?;
        let (context, dockerfile) = (request.context.clone(), request.dockerfile.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&context, &dockerfile)).await;
        let Packed { tar, dockerfile, text } = packed.map_err(|error| refused(error.to_string()))??;
        attributes.insert("filename".to_owned(), dockerfile.to_string_lossy().into_owned());
        let (secrets, credentials) = (request.secrets.clone(), request.credentials.clone());
        let work =
            Work { request, attributes, answers: Arc::new(Answers { context: tar, secrets, credentials }), text };
        if let Some(reason) = caches.lost {
            tell(BuildEvent::CacheLost { reason: reason.to_owned() });
        }
        let solved = match self.solve_somewhere(&work, caches.clone(), tell).await {
            // A cache is a help: without it the build takes longer, and that is all.
            Err(Unsolved::Caches(reason)) => {
                tell(BuildEvent::CacheLost { reason });
                self.solve_somewhere(&work, caches.only_plain(), tell).await
            }
            solved => solved,
        };
        solved.map_err(|unsolved| match unsolved {
            Unsolved::Caches(reason) => refused(reason),
            Unsolved::Build(error) => error,
        })
    }

    /// With the engine's own BuildKit, where that can do what is asked for; else with one in a container.
    async fn solve_somewhere(&self, work: &Work<'_>, caches: Caches, tell: Tell<'_>) -> Result<Digest, Unsolved> {
        if caches.are_plain() || caches.suit(self.caches().await?) {
            let control = connection::to_engine(self.inner.socket.clone()).await;
            let control = control.map_err(|error| self.no_engine(diagnosis::chain(&error)))?;
            return self.solve_at(&Place::Engine, control, work, caches, tell).await;
        }
        let yard = Yard {
            docker: self.docker().clone(),
            image: work.request.builder_image.clone().unwrap_or_else(|| BUILDKIT.to_owned()),
            credentials: work.request.credentials.clone().into_iter().collect(),
            on_the_engines_network: caches.are_on_the_engines_machine(),
        };
        tell(BuildEvent::BuilderStarting { image: yard.image.clone() });
        let (container, control) = yard.start().await.map_err(Unsolved::Caches)?;
        let place = Place::Container(container);
        let solved = self.solve_at(&place, control, work, caches, tell).await;
        if let Place::Container(container) = place {
            container.remove().await;
        }
        solved
    }

    async fn solve_at(
        &self,
        place: &Place,
        mut control: Control,
        work: &Work<'_>,
        caches: Caches,
        tell: Tell<'_>,
    ) -> Result<Digest, Unsolved> {
        let lost = |reason: String| match place {
            Place::Engine => self.no_engine(reason),
            Place::Container(container) => refused(container.gone(&reason)),
        };
        let (session, connection) =
            self.open_session(place, &mut control, work).await.map_err(|error| lost(error.to_string()))?;
        let mut progress = BuildProgress::default();
        let order = order(place, &session, work, caches);
        let solved = follow(control, order, session.serve(connection), &mut progress, tell).await;
        let solved = solved.map_err(|status| match status.source() {
            // Not BuildKit's answer: the connection broke.
            Some(_) => lost(diagnosis::chain(&status)).into(),
            None if status.message().contains("cache exporter") => Unsolved::Caches(status.message().to_owned()),
            None => diagnosis::of_build(&status, progress.into_failed(), work.request, &work.text).into(),
        })?;
        match place {
            Place::Engine => {
                let id = solved.exporter_response.get("containerimage.digest").and_then(|id| id.parse().ok());
                Ok(id.ok_or_else(|| refused("BuildKit names no image at the end".to_owned()))?)
            }
            Place::Container(_) => Ok(self.id_of(&work.request.name).await?),
        }
    }

    async fn open_session(
        &self,
        place: &Place,
        control: &mut Control,
        work: &Work<'_>,
    ) -> std::io::Result<(Session, Connection)> {
        let loader = matches!(place, Place::Container(_)).then(|| Loader::new(self.docker()));
        let session = Session::new(work.answers.clone(), loader);
        let connection = match place {
            Place::Engine => connection::engine_session(&self.inner.socket, session.id(), &session.methods()).await?,
            Place::Container(_) => connection::call_session(control, session.id(), &session.methods()).await?,
        };
        Ok((session, connection))
    }

    /// What the engine calls an image that it has loaded.
    async fn id_of(&self, name: &str) -> Result<Digest, BuildError> {
        let image = self.docker().inspect_image(name).await;
        let image = image.map_err(|error| self.error(format!("look at the image {name}"), &error))?;
        let id = image.id.and_then(|id| id.parse().ok());
        id.ok_or_else(|| refused(format!("the engine has no id for {name}")))
    }

    async fn caches(&self) -> Result<EngineCaches, BuildError> {
        let info = self.docker().info().await;
        let info = info.map_err(|error| self.error("ask the engine where it keeps images", &error))?;
        let facts = info.driver_status.unwrap_or_default();
        let containerd = facts.iter().flatten().any(|word| word == "io.containerd.snapshotter.v1");
        let major = info.server_version.as_deref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        Ok(match (containerd, major) {
            (true, Some(28..)) => EngineCaches::All,
            (true, _) => EngineCaches::Registry,
            (false, _) => EngineCaches::Plain,
        })
    }
}

/// What BuildKit is told to do.
fn order(place: &Place, session: &Session, work: &Work<'_>, caches: Caches) -> SolveRequest {
    let mut attributes = work.attributes.clone();
    attributes.insert("context".to_owned(), session.context());
    attributes.extend(caches.imports());
    let name = ("name".to_owned(), work.request.name.clone());
    let (exporter, how) = match place {
        Place::Engine => ("moby", HashMap::from([name])),
        // Nobody keeps the file: to compress it would only take time.
        Place::Container(_) => {
            let plain = [("compression", "uncompressed"), ("force-compression", "true")];
            let plain = plain.map(|(key, value)| (key.to_owned(), value.to_owned()));
            ("docker", plain.into_iter().chain([name]).collect())
        }
    };
    SolveRequest {
        r#ref: String::from(BuildRef::random()),
        session: session.id().to_owned(),
        frontend: "dockerfile.v0".to_owned(),
        frontend_attrs: attributes,
        exporter_deprecated: exporter.to_owned(),
        exporter_attrs_deprecated: how,
        cache: Some(caches.into_options()),
        ..SolveRequest::default()
    }
}

/// Has the work done. Everything that belongs to it lives within this call: whoever drops it ends the build.
async fn follow(
    mut control: Control,
    order: SolveRequest,
    answering: impl Future<Output = Result<(), hyper::Error>>,
    progress: &mut BuildProgress,
    tell: Tell<'_>,
) -> Result<SolveResponse, Status> {
    // Asked for before the build: BuildKit waits a few seconds for one that it does not know yet.
    let mut statuses = statuses(control.clone(), order.r#ref.clone());
    let mut answering = pin!(answering);
    let mut answers = true;
    let mut solving = pin!(control.solve(order));
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
    solved.map(tonic::Response::into_inner)
}

fn statuses(mut control: Control, build: String) -> BoxStream<'static, Result<StatusResponse, Status>> {
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
