//! Certificates that the gateway signs itself.

use std::sync::Arc;

use rcgen::{CertificateParams, CustomExtension, DnType, KeyPair};
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::CertifiedKey;
use sha2::{Digest, Sha256};

/// What an authority speaks in a handshake that is a challenge (RFC 8737, section 6.2).
pub(crate) const ACME_TLS: &[u8] = b"acme-tls/1";

/// For a name that has no certificate: whoever looks at it reads why.
pub(super) fn for_name(name: &str) -> Result<Arc<CertifiedKey>, String> {
    let mut parameters = CertificateParams::new(subject(name)).map_err(|error| error.to_string())?;
    let reason = format!("Windlass has no certificate for {name} yet");
    // A common name has 64 characters at the most.
    parameters.distinguished_name.push(DnType::CommonName, reason.chars().take(64).collect::<String>());
    parameters.distinguished_name.push(DnType::OrganizationName, "Windlass, signed by nobody");
    signed(&parameters)
}

/// For an authority's handshake (RFC 8737, section 3).
pub(super) fn for_challenge(name: &str, key_authorization: &str) -> Result<Arc<CertifiedKey>, String> {
    let mut parameters = CertificateParams::new(subject(name)).map_err(|error| error.to_string())?;
    let digest = Sha256::digest(key_authorization.as_bytes());
    parameters.custom_extensions = vec![CustomExtension::new_acme_identifier(&digest)];
    signed(&parameters)
}

/// `*` is in no certificate.
fn subject(name: &str) -> Vec<String> {
    if name == "*" { Vec::new() } else { vec![name.to_owned()] }
}

fn signed(parameters: &CertificateParams) -> Result<Arc<CertifiedKey>, String> {
    let key = KeyPair::generate().map_err(|error| error.to_string())?;
    let certificate = parameters.self_signed(&key).map_err(|error| error.to_string())?;
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let key = any_supported_type(&key).map_err(|error| error.to_string())?;
    Ok(Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)))
}
