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

/// Believes a body that was signed with any of the secrets, so that they can be rotated; it may come in pieces. Digits in
/// upper case are the same digits. The comparison takes the same time wherever the difference is.
pub(crate) struct Signed {
    signature: [u8; 32],
    with: Vec<Hmac<Sha256>>,
}

impl Signed {
    /// Before the first piece.
    pub(crate) fn begin(secrets: &[SecretString], header: Option<&str>) -> Result<Self, SignatureError> {
        let header = header.ok_or(SignatureError::Missing)?;
        let digits = header.strip_prefix("sha256=").ok_or(SignatureError::Malformed)?;
        let mut signature = [0; 32];
        hex::decode_to_slice(digits, &mut signature).map_err(|_| SignatureError::Malformed)?;
        // An empty key would accept what anybody can sign.
        let keys = secrets.iter().map(|secret| secret.expose_secret().as_bytes()).filter(|key| !key.is_empty());
        Ok(Self { signature, with: keys.filter_map(|key| Hmac::new_from_slice(key).ok()).collect() })
    }

    pub(crate) fn update(&mut self, piece: &[u8]) {
        self.with.iter_mut().for_each(|mac| mac.update(piece));
    }

    /// After the last one.
    pub(crate) fn finish(self) -> Result<(), SignatureError> {
        let right = self.with.into_iter().any(|mac| mac.verify_slice(&self.signature).is_ok());
        if right { Ok(()) } else { Err(SignatureError::Mismatch) }
    }
}

#[cfg(test)]
mod tests;
