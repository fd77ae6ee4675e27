//! Images: there already, or pulled by digest; for this engine's processor; removed when nobody needs them.

mod file;
mod health;
mod platform;
mod pulls;
mod removal;

use bollard::query_parameters::{BuildImageOptionsBuilder, CreateImageOptions, RemoveImageOptions};
use bytes::Bytes;
use futures_util::StreamExt;
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::labels;
use windlass_core::names::{Digest, ImageName};
use windlass_core::task::Image;
use windlass_docker::{status, words};
use windlass_registry::RegistryCredentials;

use crate::engine::Engine;
use crate::error::EngineError;

pub use file::NoFile;
pub use health::HealthTimes;
pub(crate) use pulls::Pulls;
pub use removal::Removal;

/// Behind this the classic builder's last line has the image's short id. What else it sends, bollard reads as BuildKit's
/// wherever anything in the program builds with that.
const BUILT: &str = "Successfully built ";

/// How an image came to be on the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prepared {
    /// It was there; no registry was asked.
    Present,
    /// It was pulled.
    Pulled,
}

/// An image as an engine has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageFacts {
    pub id: String,
    /// `name@sha256:…`, for every registry that it came from or went to.
    pub digests: Vec<String>,
    /// In bytes.
    pub size: u64,
    /// How its health is asked for, if it says so itself.
    pub health_check: Option<HealthTimes>,
    /// The processor that it is for, as `amd64`; empty where it does not say.
    pub architecture: String,
}

impl Engine {
    /// Sees to it that the image is on the host, and is for the host. Whoever comes while it is being pulled waits for
    /// that and finds it.
    ///
    /// # Errors
    ///
    /// `image_missing` when nobody has it, `pull_failed` when the registry does not give it, `policy_refused` when it is
    /// for another processor.
    pub async fn prepare(&self, image: &Image, credentials: Option<&RegistryCredentials>) -> Result<Prepared, Failure> {
        let reference = image.reference();
        let _one_at_a_time = self.pulls().turn(&reference).await;
        if let Some(facts) = self.image_for_step(&reference).await? {
            self.check_platform(image, &facts).await?;
            return Ok(Prepared::Present);
        }
        let Some(name) = &image.name else { return Err(self.not_built_here(&image.digest)) };
        let pulled = self.pull(name, &image.digest, credentials).await?;
        if let Some(facts) = self.image_for_step(&reference).await? {
            self.check_platform(image, &facts).await?;
        }
        Ok(pulled)
    }

    pub(crate) async fn image_for_step(&self, reference: &str) -> Result<Option<ImageFacts>, Failure> {
        self.inspect_image(reference).await.map_err(|error| error.into_failure(FailureCode::PullFailed))
    }

    /// What the engine knows of an image, by id or `name@digest`; `None` when it has none such.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn inspect_image(&self, reference: &str) -> Result<Option<ImageFacts>, EngineError> {
        match self.docker().inspect_image(reference).await {
            Ok(image) => Ok(Some(ImageFacts {
                id: image.id.unwrap_or_default(),
                digests: image.repo_digests.unwrap_or_default(),
                size: image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default(),
                architecture: image.architecture.unwrap_or_default(),
                health_check: image.config.and_then(|config| HealthTimes::of(&config.healthcheck?)),
            })),
            Err(error) if status(&error) == Some(404) => Ok(None),
            Err(error) => Err(self.error(format!("look at image {reference}"), &error)),
        }
    }

    /// Builds an image from a tar with a `Dockerfile` in it and gives its id. It carries the installation's label.
    ///
    /// # Errors
    ///
    /// When the engine does not answer or the build fails.
    pub async fn build_image(&self, context: Bytes) -> Result<Digest, EngineError> {
        let label = [(labels::INSTALLATION.to_owned(), self.installation().to_string())].into();
        // Without the cache: another installation's build may have left it, and may remove it at any moment.
        let options = BuildImageOptionsBuilder::default().nocache(true).rm(true).forcerm(true).labels(&label).build();
        let refused = |reason: String| EngineError::Refused {
            host: self.host().clone(),
            action: "build the image".to_owned(),
            status: None,
            reason,
        };
        let mut short_id = None;
        let mut progress = Box::pin(self.docker().build_image(options, None, Some(bollard::body_full(context))));
        while let Some(step) = progress.next().await {
            let step = step.map_err(|error| self.error("build the image", &error))?;
            if let Some(detail) = step.error_detail {
                return Err(refused(detail.message.unwrap_or_else(|| "no reason given".to_owned())));
            }
            let said = step.stream.unwrap_or_default();
            short_id = said.trim().strip_prefix(BUILT).map(str::to_owned).or(short_id);
        }
        let image = match short_id {
            Some(id) => self.inspect_image(&id).await?,
            None => None,
        };
        let id = image.and_then(|image| image.id.parse().ok());
        id.ok_or_else(|| refused("the engine named no image at the end".to_owned()))
    }

    /// Removes an image by its id, with its names. One that is not there is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or a container needs the image.
    pub async fn remove_image(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveImageOptions { force: true, noprune: false, platforms: None };
        match self.docker().remove_image(id, Some(options), None).await {
            Err(error) if status(&error) == Some(404) => Ok(()),
            removed => removed.map(drop).map_err(|error| self.error(format!("remove image {id}"), &error)),
        }
    }

    async fn pull(
        &self,
        name: &ImageName,
        digest: &Digest,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<Prepared, Failure> {
        let options = CreateImageOptions {
            from_image: Some(name.to_string()),
            tag: Some(digest.to_string()),
            ..Default::default()
        };
        let login = credentials.map(|login| windlass_docker::login(&login.username, &login.password, name.registry()));
        let mut progress = Box::pin(self.docker().create_image(Some(options), None, login));
        while let Some(step) = progress.next().await {
            let refusal = match step {
                Ok(step) => step.error_detail.map(|detail| detail.message.unwrap_or_default()),
                Err(error) => match self.error("pull", &error) {
                    EngineError::Refused { .. } => Some(words(&error)),
                    error => return Err(error.into_failure(FailureCode::PullFailed)),
                },
            };
            if let Some(refusal) = refusal {
                return Err(self.not_given(name, digest, credentials, &refusal));
            }
        }
        Ok(Prepared::Pulled)
    }

    /// Docker passes the registry's reason on as text only.
    fn not_given(
        &self,
        name: &ImageName,
        digest: &Digest,
        credentials: Option<&RegistryCredentials>,
        refusal: &str,
    ) -> Failure {
        let registry = name.registry();
        let host = self.host();
        let says = |words: &[&str]| words.iter().any(|word| refusal.to_ascii_lowercase().contains(word));
        let summary = format!("host {host} could not pull {name}@{digest}: {refusal}");
        if says(&["unauthorized", "denied", "authentication required", "no basic auth", "forbidden"]) {
            let hint = match credentials {
                None => {
                    format!("the server's file has no [registries.\"{registry}\"]: give it `username` and `password`")
                }
                Some(RegistryCredentials { username, .. }) => {
                    format!("may {username} read {name}? See [registries.\"{registry}\"] in the server's file")
                }
            };
            return Failure::new(FailureCode::PullFailed, summary).hint(hint);
        }
        if says(&["manifest unknown", "not found", "does not exist"]) {
            let hint = format!("was it pushed to {registry}, and is it still there? Build and push the commit again");
            return Failure::new(FailureCode::ImageMissing, summary).hint(hint);
        }
        Failure::new(FailureCode::PullFailed, summary).hint(format!("can host {host} reach {registry}?"))
    }

    fn not_built_here(&self, digest: &Digest) -> Failure {
        let host = self.host();
        Failure::new(
            FailureCode::ImageMissing,
            format!("host {host} has no image {digest}, and the release names no registry"),
        )
        .hint(format!("build it on {host}'s own Docker Engine, or give windlass.toml an `image` and push it there"))
    }
}
