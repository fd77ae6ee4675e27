//! A certificate with its key, ready to be shown.

use std::sync::Arc;

use jiff::Timestamp;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What belongs together.
#[derive(Debug)]
pub(crate) struct Material {
    pub(crate) key: Arc<CertifiedKey>,
    /// When the certificate ends.
    pub(crate) ends: Option<Timestamp>,
}

impl Material {
    /// From PEM. Says in words what is wrong, and nothing of what the key is.
    pub(crate) fn read(chain: &[u8], key: &[u8]) -> Result<Self, String> {
        let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain)
            .collect::<Result<_, _>>()
            .map_err(|_| "the certificate is not PEM".to_owned())?;
        let first = chain.first().ok_or("there is no certificate in it")?;
        let (_, parsed) = X509Certificate::from_der(first).map_err(|_| "the certificate cannot be read".to_owned())?;
        let ends = Timestamp::from_second(parsed.validity().not_after.timestamp()).ok();
        let key = PrivateKeyDer::from_pem_slice(key).map_err(|_| "the private key is not PEM".to_owned())?;
        let key = any_supported_type(&key).map_err(|_| "the private key is of no kind that is known".to_owned())?;
        let certified = CertifiedKey::new(chain, key);
        match certified.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            Err(_) => return Err("the private key does not belong to the certificate".to_owned()),
        }
        Ok(Self { key: Arc::new(certified), ends })
    }
}
