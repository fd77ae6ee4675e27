//! Who asks a registry, or has an engine ask it.

use secrecy::SecretString;

/// How a registry is logged in to.
#[derive(Debug, Clone)]
pub struct RegistryCredentials {
    pub username: String,
    /// Its password or token.
    pub password: SecretString,
}
