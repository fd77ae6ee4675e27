//! Images that nobody needs any more.

use bollard::query_parameters::{ListContainersOptions, RemoveImageOptions};
use windlass_docker::status;

use crate::engine::Engine;
use crate::error::EngineError;

/// What became of an image that was to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// It is gone, or at least this name of it.
    Removed,
    /// It was not there.
    NotThere,
    /// Somebody uses it: a container, running or not, or another name.
    InUse,
}

impl Engine {
    /// Removes an image by `name@digest` or id, and nothing by force: what a container of anybody's uses stays.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn remove_unused_image(&self, reference: &str) -> Result<Removal, EngineError> {
        // Whoever is pulling it needs it.
        let _one_at_a_time = self.pulls().turn(reference).await;
        let Some(image) = self.inspect_image(reference).await? else { return Ok(Removal::NotThere) };
        if self.is_image_used(&image.id).await? {
            return Ok(Removal::InUse);
        }
        let options = RemoveImageOptions { force: false, noprune: false, platforms: None };
        match self.docker().remove_image(reference, Some(options), None).await {
            Ok(_) => Ok(Removal::Removed),
            Err(error) => match status(&error) {
                Some(404) => Ok(Removal::NotThere),
                Some(409) => Ok(Removal::InUse),
                _ => Err(self.error(format!("remove image {reference}"), &error)),
            },
        }
    }

    /// By any container of this engine, whoever's it is and whether it runs or not.
    async fn is_image_used(&self, id: &str) -> Result<bool, EngineError> {
        let options = ListContainersOptions { all: true, ..Default::default() };
        let list = self.docker().list_containers(Some(options)).await;
        let list = list.map_err(|error| self.error("list the containers", &error))?;
        Ok(list.iter().any(|container| container.image_id.as_deref() == Some(id)))
    }
}
