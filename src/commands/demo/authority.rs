//! An authority that lives as long as the demo does.

use std::path::Path;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

use super::world::write;

/// Signs the demo's own certificates. Its key never leaves this process.
pub(super) struct Authority {
    /// In PEM: who trusts it trusts what it signed.
    pub(super) certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> anyhow::Result<Self> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name.push(DnType::CommonName, "Windlass demo, to be thrown away");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// Writes `app.pem` and `app.key` for a name.
    pub(super) fn certify(&self, name: &str, folder: &Path) -> anyhow::Result<()> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.issuer)?;
        write(&folder.join("app.key"), &key.serialize_pem())?;
        write(&folder.join("app.pem"), &certificate.pem())
    }
}
