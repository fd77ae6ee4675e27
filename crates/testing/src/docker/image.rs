//! Images: on the engine, or in a registry that it can pull from.

use axum::http::StatusCode;
use sha2::{Digest as _, Sha256};

use super::app::App;
use super::container::Status;
use super::model::Model;
use super::refusal::Refusal;

#[derive(Debug, Clone)]
pub(super) struct Image {
    pub(super) id: String,
    /// As it is named: `name@sha256:…`, `name:tag`, or its id.
    pub(super) reference: String,
    pub(super) app: App,
    pub(super) place: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Engine,
    Registry,
}

impl Image {
    pub(super) fn new(reference: &str, app: App, place: Place) -> Self {
        let id = if reference.starts_with("sha256:") {
            reference.to_owned()
        } else {
            format!("sha256:{}", hex::encode(Sha256::digest(format!("image {reference}"))))
        };
        Self { id, reference: reference.to_owned(), app, place }
    }

    fn is(&self, reference: &str) -> bool {
        self.reference == reference || self.id == reference || self.id.strip_prefix("sha256:") == Some(reference)
    }
}

impl Model {
    pub(super) fn add_image(&mut self, image: Image) {
        self.images.retain(|it| it.reference != image.reference);
        self.images.push(image);
    }

    /// What the engine has.
    pub(super) fn image(&self, reference: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.place == Place::Engine && image.is(reference))
    }

    pub(super) fn pull(&mut self, reference: &str) -> Result<(), Refusal> {
        let Some(image) = self.images.iter_mut().find(|image| image.is(reference)) else {
            let message = format!("manifest for {reference} not found: manifest unknown: manifest unknown");
            return Err(Refusal::not_found(message));
        };
        image.place = Place::Engine;
        self.pulls.push(reference.to_owned());
        Ok(())
    }

    /// Its registry, if it came from one, still has it.
    pub(super) fn remove_image(&mut self, reference: &str, force: bool) -> Result<String, Refusal> {
        let id = self.image(reference).ok_or_else(|| Refusal::no_image(reference))?.id.clone();
        let mut users = self.containers.values().filter(|container| container.image_id == id);
        let refused = users.find_map(|user| match user.status {
            Status::Running | Status::Restarting => Some((user, "running", "cannot be forced")),
            Status::Created | Status::Exited => (!force).then_some((user, "stopped", "must be forced")),
        });
        if let Some((user, state, forced)) = refused {
            let message = format!(
                "conflict: unable to delete {} ({forced}) - image is being used by {state} container {}",
                &id[7..19.min(id.len())],
                &user.id[..12]
            );
            return Err(Refusal::new(StatusCode::CONFLICT, message));
        }
        for image in self.images.iter_mut().filter(|image| image.id == id) {
            image.place = Place::Registry;
        }
        let only_here = |image: &Image| image.reference == image.id;
        self.images.retain(|image| image.id != id || !only_here(image));
        Ok(id)
    }
}
