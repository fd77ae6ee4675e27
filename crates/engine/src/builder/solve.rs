//! One build, from the request to BuildKit's last word.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::grpc::BuildRef;
use bollard::grpc::build::{
    ImageBuildFrontendOptions, ImageBuildFrontendOptionsBuilder, ImageBuildLoadInput, ImageBuildPlatform,
};
use bollard::grpc::driver::Build;
use bollard::grpc::driver::moby::Moby;
use bollard::grpc::error::GrpcError;
use bytes::Bytes;
use futures_util::StreamExt;
use secrecy::ExposeSecret;
use tokio::sync::oneshot;

use super::cache::{self, ImageStore};
use super::context::{Packed, pack};
use super::error::BuildError;
use super::progress::{BuildEvent, BuildProgress};
use super::secrets::HeldSecrets;
use super::{BuildRequest, Builder, channel, diagnosis};

/// How long BuildKit may take to finish its tale when the build is over.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The host under which BuildKit asks for Docker Hub's login.
const DOCKER_HUB: &str = "registry-1.docker.io";

impl Builder {
    pub(super) async fn solve(
        &self,
        request: &BuildRequest,
        tell: &mut (dyn FnMut(BuildEvent) + Send),
    ) -> Result<(), BuildError> {
        let options = self.options(request).await?;
        let secrets = HeldSecrets::hold(&request.secrets)?;
        let options = secrets.sources().fold(options, |options, (id, source)| options.set_secret(id, &source));
        let (context, dockerfile) = (request.context.clone(), request.dockerfile.clone());
        let packed = tokio::task::spawn_blocking(move || pack(&context, &dockerfile)).await;
        let Packed { tar, dockerfile, text } = packed.map_err(|error| refused(error.to_string()))??;

        let build = BuildRef::random();
        let mut statuses = channel::follow(self.inner.socket.clone(), &build);
        let work = Work {
            name: request.name.clone(),
            options: options.dockerfile(&dockerfile).build(),
            context: tar,
            credentials: credentials(request),
            build,
        };
        let mut outcome = begin(self.docker().clone(), work).map_err(|error| refused(error.to_string()))?;
        let mut progress = BuildProgress::default();
        let outcome = loop {
            tokio::select! {
                outcome = &mut outcome => break outcome,
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
        drop(secrets);
        match outcome {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(diagnosis::of_build(&error, progress.into_failed(), request, &text)),
            Err(_) => Err(refused("the thread that it ran on ended".to_owned())),
        }
    }

    async fn options(&self, request: &BuildRequest) -> Result<ImageBuildFrontendOptionsBuilder, BuildError> {
        let mut options = ImageBuildFrontendOptions::builder();
        if let Some(target) = &request.target {
            options = options.target(target);
        }
        if let Some(platform) = &request.platform {
            options = options.platforms(&parse_platform(platform)?);
        }
        for (name, value) in &request.args {
            options = options.buildarg(name, value);
        }
        for (name, value) in &request.labels {
            options = options.label(name, value);
        }
        for entry in cache::from(&request.cache_from)? {
            options = options.cachefrom(&entry);
        }
        if !request.cache_to.is_empty() {
            for entry in cache::to(&request.cache_to, self.image_store().await?)? {
                options = options.cacheto(&entry);
            }
        }
        Ok(options)
    }

    async fn image_store(&self) -> Result<ImageStore, BuildError> {
        let info = self.docker().info().await;
        let info = info.map_err(|error| self.error("ask the engine where it keeps images", &error))?;
        let facts = info.driver_status.unwrap_or_default();
        let containerd = facts.iter().flatten().any(|word| word == "io.containerd.snapshotter.v1");
        Ok(if containerd { ImageStore::Containerd } else { ImageStore::Docker })
    }
}

fn parse_platform(platform: &str) -> Result<ImageBuildPlatform, BuildError> {
    let parts: Vec<&str> = platform.split('/').collect();
    let word = |part: &&str| !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric());
    match parts.as_slice() {
        [os, architecture, variant @ ..] if variant.len() < 2 && parts.iter().all(word) => Ok(ImageBuildPlatform {
            os: (*os).to_owned(),
            architecture: (*architecture).to_owned(),
            variant: variant.first().map(|variant| (*variant).to_owned()),
        }),
        _ => Err(BuildError::Platform { platform: platform.to_owned() }),
    }
}

fn credentials(request: &BuildRequest) -> HashMap<String, DockerCredentials> {
    let logins = request.credentials.iter().map(|(registry, login)| {
        let host = if registry == "docker.io" { DOCKER_HUB } else { registry };
        let login = DockerCredentials {
            username: Some(login.username.clone()),
            password: Some(login.password.expose_secret().to_owned()),
            ..Default::default()
        };
        (host.to_owned(), login)
    });
    logins.collect()
}

fn refused(reason: String) -> BuildError {
    BuildError::Refused { action: "build the image".to_owned(), reason }
}

struct Work {
    name: String,
    options: ImageBuildFrontendOptions,
    context: Bytes,
    credentials: HashMap<String, DockerCredentials>,
    build: BuildRef,
}

/// Begins the build on a thread of its own. It ends when it is done, or when the receiver is dropped.
///
/// Its own runtime has two reasons: bollard's future may not change threads, and bollard leaves its session with the
/// engine open, with the whole context in it. That ends with the runtime, and so does a build under way.
fn begin(docker: Docker, work: Work) -> std::io::Result<oneshot::Receiver<Result<(), GrpcError>>> {
    let (mut done, outcome) = oneshot::channel();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("image-build".to_owned()).spawn(move || {
        let ended = runtime.block_on(async {
            tokio::select! {
                ended = run(&docker, work) => Some(ended),
                () = done.closed() => None,
            }
        });
        // First the session, then the word: whoever hears that it is over finds nothing of it.
        drop(runtime);
        if let Some(ended) = ended {
            // Nobody may be waiting any more.
            done.send(ended).ok();
        }
    })?;
    Ok(outcome)
}

async fn run(docker: &Docker, work: Work) -> Result<(), GrpcError> {
    let credentials = work.credentials.iter().map(|(host, login)| (host.as_str(), login.clone())).collect();
    let context = ImageBuildLoadInput::Upload(work.context);
    Moby::new(docker).docker_build(&work.name, work.options, context, Some(credentials), Some(work.build)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_has_two_or_three_words() {
        for platform in ["linux/amd64", "linux/arm/v7"] {
            assert_eq!(parse_platform(platform).unwrap().to_string(), platform);
        }
        for platform in ["", "linux", "linux/", "linux/arm/v7/x", "linux/amd64,linux/arm64"] {
            assert_eq!(parse_platform(platform).unwrap_err().to_string(), format!("`{platform}` is not a platform"));
        }
    }
}
