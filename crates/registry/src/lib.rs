//! Speaks to registries of images, for whoever pushes to one and for the service that moves its tags. No byte of a layer
//! comes through here: those travel between a Docker Engine and the registry.

mod answer;
mod credentials;
mod error;
mod index;
mod registry;

pub use credentials::RegistryCredentials;
pub use error::RegistryError;
pub use registry::Registry;
