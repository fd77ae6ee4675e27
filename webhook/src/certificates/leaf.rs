//! What a certificate says of itself: how long it lasts, and how its authority calls it.

use instant_acme::CertificateIdentifier;
use jiff::Timestamp;
use x509_parser::extensions::ParsedExtension;
use x509_parser::pem::parse_x509_pem;

/// A chain's first certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Leaf {
    pub(super) begins: Timestamp,
    pub(super) ends: Timestamp,
    /// In DER. Whoever has the key to it may show the certificate.
    pub(super) public_key: Vec<u8>,
    /// `None`: its authority gave it no name to ask by (RFC 9773, section 4.1).
    name: Option<AuthorityName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct AuthorityName {
    authority_key: Vec<u8>,
    serial: Vec<u8>,
}

impl Leaf {
    /// Of a chain in PEM.
    pub(super) fn of(chain: &str) -> Result<Self, String> {
        let (_, pem) = parse_x509_pem(chain.as_bytes()).map_err(|error| format!("it is not in PEM: {error}"))?;
        let certificate = pem.parse_x509().map_err(|error| format!("it is no certificate: {error}"))?;
        let time = |time: x509_parser::time::ASN1Time| {
            Timestamp::from_second(time.timestamp()).map_err(|error| format!("its times cannot be read: {error}"))
        };
        let authority_key = certificate.iter_extensions().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::AuthorityKeyIdentifier(key) => Some(key.key_identifier.as_ref()?.0.to_vec()),
            _ => None,
        });
        let serial = certificate.tbs_certificate.raw_serial().to_vec();
        Ok(Self {
            begins: time(certificate.validity().not_before)?,
            ends: time(certificate.validity().not_after)?,
            public_key: certificate.public_key().raw.to_vec(),
            name: authority_key.map(|authority_key| AuthorityName { authority_key, serial }),
        })
    }

    /// As the authority knows it.
    pub(super) fn identifier(&self) -> Option<CertificateIdentifier<'static>> {
        let name = self.name.as_ref()?;
        Some(
            CertificateIdentifier::new(name.authority_key.as_slice().into(), name.serial.as_slice().into())
                .into_owned(),
        )
    }

    /// When two thirds of its life are over. One that was got when most of it was over has what is left to live on.
    pub(super) fn two_thirds(&self, got: Timestamp) -> Timestamp {
        let begins = self.begins.max(got).min(self.ends);
        begins + self.ends.duration_since(begins) * 2 / 3
    }
}
