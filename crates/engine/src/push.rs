//! Images on their way to a registry.

use bollard::query_parameters::{PushImageOptions, TagImageOptions};
use futures_util::StreamExt;
use windlass_core::names::{Digest, ImageName};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::images::RegistryCredentials;

impl Engine {
    /// Pushes an image under a name and a tag, and gives the digest under which the registry has it.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or the registry does not take it.
    pub async fn push_image(
        &self,
        id: &Digest,
        name: &ImageName,
        tag: &str,
        credentials: Option<&RegistryCredentials>,
    ) -> Result<Digest, EngineError> {
        let to = TagImageOptions { repo: Some(name.to_string()), tag: Some(tag.to_owned()) };
        let tagged = self.docker().tag_image(id.as_str(), Some(to)).await;
        tagged.map_err(|error| self.error(format!("tag image {id}"), &error))?;
        let login = credentials.map(|login| windlass_docker::login(&login.username, &login.password, name.registry()));
        let options = PushImageOptions { tag: Some(tag.to_owned()), ..Default::default() };
        let mut progress = Box::pin(self.docker().push_image(name.as_str(), Some(options), login));
        while let Some(step) = progress.next().await {
            step.map_err(|error| self.error(format!("push {name}:{tag}"), &error))?;
        }
        let pushed = self.inspect_image(&format!("{name}:{tag}")).await?;
        let prefix = format!("{name}@");
        let digests = pushed.map(|image| image.digests).unwrap_or_default();
        let digest = digests.iter().find_map(|digest| digest.strip_prefix(&prefix)?.parse().ok());
        digest.ok_or_else(|| EngineError::Refused {
            host: self.host().clone(),
            action: format!("push {name}:{tag}"),
            status: None,
            reason: "the engine does not say under which digest the registry has it".to_owned(),
        })
    }
}
