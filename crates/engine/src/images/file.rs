//! One file out of an image, read from a container of it that never runs.

use std::collections::HashMap;
use std::io::Read;
use std::pin::pin;

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, DownloadFromContainerOptions, RemoveContainerOptions};
use futures_util::StreamExt;
use windlass_docker::status;

use crate::engine::Engine;
use crate::error::EngineError;

/// What an archive has beside its file's content.
const FRAME: usize = 64 << 10;
/// It is no task: nothing but this knows of it.
const LABEL: &str = "windlass.reads";

/// Why there is nothing to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoFile {
    /// The image has no such path.
    Missing,
    /// It is a folder, a link or something odder.
    NoFile,
    /// It is larger than was asked for.
    TooLarge,
    /// It is not UTF-8.
    NoText,
}

impl Engine {
    /// A text of so many bytes at the most.
    ///
    /// # Errors
    ///
    /// When the engine does not answer, or does not have the image.
    pub async fn read_from_image(
        &self,
        reference: &str,
        path: &str,
        most: usize,
    ) -> Result<Result<String, NoFile>, EngineError> {
        let name = format!("windlass-{}-reads", &self.installation().to_string()[..8]);
        // Whatever the image: they are all read by a container of this name.
        let _one_at_a_time = self.pulls().turn(&name).await;
        let id = self.make_reader(&name, reference).await?;
        let read = self.read_file(&id, path, most).await;
        let removed = self.remove_reader(&id).await;
        read.and_then(|found| removed.map(|()| found))
    }

    async fn make_reader(&self, name: &str, reference: &str) -> Result<String, EngineError> {
        let installation = self.installation().to_string();
        let body = ContainerCreateBody {
            image: Some(reference.to_owned()),
            entrypoint: Some(vec!["never".to_owned()]),
            labels: Some(HashMap::from([(LABEL.to_owned(), installation.clone())])),
            host_config: Some(HostConfig { network_mode: Some("none".to_owned()), ..Default::default() }),
            ..Default::default()
        };
        let create = || {
            let options = CreateContainerOptions { name: Some(name.to_owned()), ..Default::default() };
            self.docker().create_container(Some(options), body.clone())
        };
        let created = match create().await {
            // A service that was killed has left it.
            Err(error) if status(&error) == Some(409) => {
                let found = self.inspect(name).await?;
                let found = found.config.and_then(|config| config.labels).unwrap_or_default();
                if found.get(LABEL) == Some(&installation) {
                    self.remove_reader(name).await?;
                }
                create().await
            }
            created => created,
        };
        created.map(|created| created.id).map_err(|error| self.error(format!("read from image {reference}"), &error))
    }

    async fn read_file(&self, id: &str, path: &str, most: usize) -> Result<Result<String, NoFile>, EngineError> {
        let options = DownloadFromContainerOptions { path: path.to_owned() };
        let mut pieces = pin!(self.docker().download_from_container(id, Some(options)));
        let mut archive = Vec::new();
        while let Some(piece) = pieces.next().await {
            match piece {
                Ok(piece) if archive.len() + piece.len() > most + FRAME => return Ok(Err(NoFile::TooLarge)),
                Ok(piece) => archive.extend_from_slice(&piece),
                Err(error) if status(&error) == Some(404) => return Ok(Err(NoFile::Missing)),
                Err(error) => return Err(self.error(format!("read {path} from an image"), &error)),
            }
        }
        Ok(only_file(&archive, most))
    }

    async fn remove_reader(&self, id: &str) -> Result<(), EngineError> {
        let options = RemoveContainerOptions { v: true, force: true, link: false };
        match self.docker().remove_container(id, Some(options)).await {
            Err(error) if matches!(status(&error), Some(404 | 409)) => Ok(()),
            removed => removed.map_err(|error| self.container_error("remove", id, &error)),
        }
    }
}

/// Of an archive that begins with it.
fn only_file(archive: &[u8], most: usize) -> Result<String, NoFile> {
    let mut archive = tar::Archive::new(archive);
    let mut entries = archive.entries().map_err(|_| NoFile::NoFile)?;
    let Some(Ok(file)) = entries.next() else { return Err(NoFile::NoFile) };
    if !file.header().entry_type().is_file() {
        return Err(NoFile::NoFile);
    }
    if file.size() > most as u64 {
        return Err(NoFile::TooLarge);
    }
    let mut text = Vec::new();
    file.take(most as u64).read_to_end(&mut text).map_err(|_| NoFile::NoFile)?;
    String::from_utf8(text).map_err(|_| NoFile::NoText)
}
