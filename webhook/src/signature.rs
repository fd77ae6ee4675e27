//! Whether a delivery comes from GitHub: HMAC-SHA256 over the raw bytes of the body, before anything reads them.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Why a delivery was not believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SignatureError {
    /// Not signed at all, or with the outdated SHA-1 header only.
    #[error("the delivery has no X-Hub-Signature-256 header: set a secret on the webhook")]
    Missing,
    /// Signed in some other way.
    #[error("the X-Hub-Signature-256 header is not `sha256=` and 64 hex digits")]
    Malformed,
    /// Signed with another secret, or changed on the way.
    #[error("the signature matches none of the configured webhook secrets")]
    Mismatch,
}

/// Accepts a body that was signed with any of the secrets, so that they can be rotated. Digits in upper case are the same
/// digits. The comparison takes the same time wherever the difference is.
pub(crate) fn verify(secrets: &[SecretString], header: Option<&str>, body: &[u8]) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let digits = header.strip_prefix("sha256=").ok_or(SignatureError::Malformed)?;
    let mut signature = [0; 32];
    hex::decode_to_slice(digits, &mut signature).map_err(|_| SignatureError::Malformed)?;

    let signed_with = |secret: &SecretString| {
        let key = secret.expose_secret().as_bytes();
        // An empty key would accept what anybody can sign.
        !key.is_empty()
            && Hmac::<Sha256>::new_from_slice(key)
                .is_ok_and(|mac| mac.chain_update(body).verify_slice(&signature).is_ok())
    };
    if secrets.iter().any(signed_with) { Ok(()) } else { Err(SignatureError::Mismatch) }
}

#[cfg(test)]
mod tests;
