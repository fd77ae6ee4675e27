//! The end of an installation on a host.

use bollard::query_parameters::{ListImagesOptions, ListVolumesOptions, RemoveVolumeOptions};
use futures_util::future::join_all;

use crate::docker::status;
use crate::engine::Engine;
use crate::error::EngineError;

impl Engine {
    /// Removes everything that carries this installation's label: containers, the network, volumes with their data,
    /// and images that were built here. What is not there is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or something else uses what should go.
    pub async fn remove_everything(&self) -> Result<(), EngineError> {
        let tasks = self.observe().await?;
        for removed in join_all(tasks.iter().map(|task| self.remove(&task.container))).await {
            removed?;
        }
        for network in self.labelled_networks().await? {
            self.remove_network(&network.id.unwrap_or_default()).await?;
        }
        self.remove_volumes().await?;
        self.remove_images().await
    }

    async fn remove_volumes(&self) -> Result<(), EngineError> {
        let options = ListVolumesOptions { filters: self.ours().build() };
        let list = self.docker().list_volumes(Some(options)).await;
        let list = list.map_err(|error| self.error("list the volumes", &error))?;
        for volume in list.volumes.unwrap_or_default() {
            match self.docker().remove_volume(&volume.name, None::<RemoveVolumeOptions>).await {
                Err(error) if status(&error) == Some(404) => {}
                removed => removed.map_err(|error| self.error(format!("remove volume {}", volume.name), &error))?,
            }
        }
        Ok(())
    }

    async fn remove_images(&self) -> Result<(), EngineError> {
        let options = ListImagesOptions { filters: self.ours().build(), ..Default::default() };
        let list = self.docker().list_images(Some(options)).await;
        for image in list.map_err(|error| self.error("list the images", &error))? {
            self.remove_image(&image.id).await?;
        }
        Ok(())
    }
}
