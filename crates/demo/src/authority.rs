//! An authority that lives as long as whoever made it.

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

/// Signs certificates of its own. Its key never leaves this process.
pub struct Authority {
    certificate: String,
    issuer: Issuer<'static, KeyPair>,
}

/// What it has signed, in PEM.
pub struct Certified {
    /// The certificate alone: who trusts the authority needs no more.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

impl Authority {
    /// One that nobody trusts yet.
    ///
    /// # Errors
    ///
    /// When the system has no randomness.
    pub fn new() -> Result<Self, rcgen::Error> {
        let mut parameters = CertificateParams::new(Vec::new())?;
        parameters.distinguished_name.push(DnType::CommonName, "Windlass demo, to be thrown away");
        parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let key = KeyPair::generate()?;
        let certificate = parameters.self_signed(&key)?.pem();
        Ok(Self { certificate, issuer: Issuer::new(parameters, key) })
    }

    /// In PEM: who trusts it trusts what it signs.
    #[must_use]
    pub fn certificate(&self) -> &str {
        &self.certificate
    }

    /// For one host name.
    ///
    /// # Errors
    ///
    /// When that is no name.
    pub fn certify(&self, name: &str) -> Result<Certified, rcgen::Error> {
        let key = KeyPair::generate()?;
        let certificate = CertificateParams::new([name.to_owned()])?.signed_by(&key, &self.issuer)?;
        Ok(Certified { chain: certificate.pem(), key: key.serialize_pem() })
    }
}
