//! The way to a Docker Engine, for whoever runs containers on it and whoever builds on it: a client behind its socket,
//! a registry's login as it takes it, and what goes wrong in words. What is asked of it is not known here.

mod socket;
mod words;

pub use socket::client;
pub use words::{is_unreachable, status, words};

use bollard::auth::DockerCredentials;
use secrecy::{ExposeSecret, SecretString};

/// A registry's login, for an engine that pulls from it or pushes to it.
#[must_use]
pub fn login(username: &str, password: &SecretString, registry: &str) -> DockerCredentials {
    DockerCredentials {
        username: Some(username.to_owned()),
        password: Some(password.expose_secret().to_owned()),
        serveraddress: Some(registry.to_owned()),
        ..Default::default()
    }
}
