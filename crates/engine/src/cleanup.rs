//! The end of an installation on a host.

use std::time::Duration;

use bollard::query_parameters::{ListImagesOptions, ListVolumesOptions, RemoveVolumeOptions};
use futures_util::future::join_all;
use windlass_docker::status;

use crate::engine::Engine;
use crate::error::EngineError;

/// How long what was asked for just before may take to appear.
const LATE_COMERS: Duration = Duration::from_millis(300);

impl Engine {
    /// Removes everything that carries this installation's label: containers, networks, volumes with their data,
    /// and images that were built here. What is not there is what was asked for.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or something else uses what should go.
    pub async fn remove_everything(&self) -> Result<(), EngineError> {
        self.idle().await;
        loop {
            self.remove_what_is_there().await?;
            // A process that is gone may have asked for something that Docker is still making, and no event says that
            // nothing more will come.
            tokio::time::sleep(LATE_COMERS).await;
            if self.leftovers().await?.is_empty() {
                return Ok(());
            }
        }
    }

    /// Returns once nothing is being made by this process any more.
    pub async fn idle(&self) {
        drop(self.network_lock().lock().await);
    }

    async fn remove_what_is_there(&self) -> Result<(), EngineError> {
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

    /// Names of everything that carries this installation's label.
    ///
    /// # Errors
    ///
    /// When the engine does not answer.
    pub async fn leftovers(&self) -> Result<Vec<String>, EngineError> {
        let tasks = self.observe().await?.into_iter().map(|task| format!("container {}", task.name));
        let networks = self.labelled_networks().await?.into_iter();
        let networks = networks.map(|network| format!("network {}", network.name.unwrap_or_default()));
        let volumes = self.volumes().await?.into_iter().map(|volume| format!("volume {volume}"));
        let images = self.images().await?.into_iter().map(|image| format!("image {image}"));
        Ok(tasks.chain(networks).chain(volumes).chain(images).collect())
    }

    async fn volumes(&self) -> Result<Vec<String>, EngineError> {
        let options = ListVolumesOptions { filters: self.ours().build() };
        let list = self.docker().list_volumes(Some(options)).await;
        let list = list.map_err(|error| self.error("list the volumes", &error))?;
        Ok(list.volumes.unwrap_or_default().into_iter().map(|volume| volume.name).collect())
    }

    async fn images(&self) -> Result<Vec<String>, EngineError> {
        let options = ListImagesOptions { filters: self.ours().build(), ..Default::default() };
        let list = self.docker().list_images(Some(options)).await;
        let list = list.map_err(|error| self.error("list the images", &error))?;
        Ok(list.into_iter().map(|image| image.id).collect())
    }

    async fn remove_volumes(&self) -> Result<(), EngineError> {
        for volume in self.volumes().await? {
            match self.docker().remove_volume(&volume, None::<RemoveVolumeOptions>).await {
                Err(error) if status(&error) == Some(404) => {}
                removed => removed.map_err(|error| self.error(format!("remove volume {volume}"), &error))?,
            }
        }
        Ok(())
    }

    async fn remove_images(&self) -> Result<(), EngineError> {
        for image in self.images().await? {
            self.remove_image(&image).await?;
        }
        Ok(())
    }
}
