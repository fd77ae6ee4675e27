//! Images on their way from the engine that built them to a registry.

use bollard::errors::Error;
use bollard::query_parameters::PushImageOptions;
use futures_util::StreamExt;
use windlass_core::names::{Digest, ImageName};
use windlass_docker::words;
use windlass_registry::RegistryCredentials;

use super::error::BuildError;
use super::{Builder, diagnosis};

/// A layer arrived at the registry. The engine does not let on which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushEvent {
    /// It was sent.
    LayerPushed,
    /// The registry had it.
    LayerThereAlready,
}

impl Builder {
    /// Pushes an image that was built as `image:tag` and gives the digest under which the registry has it; `tell` hears
    /// of each layer.
    ///
    /// # Errors
    ///
    /// [`BuildError::Push`] when the registry does not take it.
    pub async fn push(
        &self,
        image: &ImageName,
        tag: &str,
        credentials: Option<&RegistryCredentials>,
        tell: &mut (dyn FnMut(PushEvent) + Send),
    ) -> Result<Digest, BuildError> {
        let login = credentials.map(|login| windlass_docker::login(&login.username, &login.password, image.registry()));
        let failed = |reason| BuildError::Push(diagnosis::of_push(reason, image, credentials));
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..Default::default() };
        let mut progress = Box::pin(self.docker().push_image(image.as_str(), Some(options), login));
        let mut digest = None;
        while let Some(step) = progress.next().await {
            let step = step.map_err(|error| match error {
                Error::DockerStreamError { error } => failed(error),
                error @ Error::DockerResponseServerError { .. } => failed(words(&error)),
                error => self.error(format!("push {image}:{tag}"), &error),
            })?;
            let status = step.status.unwrap_or_default();
            if let Some(event) = event(&status) {
                tell(event);
            }
            digest = pushed_digest(&status).or(digest);
        }
        digest.ok_or_else(|| BuildError::Refused {
            action: format!("push {image}:{tag}"),
            reason: "the engine does not say under which digest the registry has it".to_owned(),
        })
    }
}

/// `None` while a layer is on its way.
fn event(status: &str) -> Option<PushEvent> {
    match status {
        "Pushed" => Some(PushEvent::LayerPushed),
        "Layer already exists" => Some(PushEvent::LayerThereAlready),
        status => status.starts_with("Mounted from").then_some(PushEvent::LayerThereAlready),
    }
}

/// The engine's last word: `1.0: digest: sha256:… size: 527`.
fn pushed_digest(status: &str) -> Option<Digest> {
    let (_, rest) = status.split_once(": digest: ")?;
    rest.split(' ').next()?.parse().ok()
}
