//! What a gateway is told about certificates, and what it says of them.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// From now on these, and no others that the service gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetCertificates {
    pub certificates: Vec<Certificate>,
}

/// A certificate with its key. Never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Host names, `*.` at the beginning for any one name below the rest.
    pub names: Vec<String>,
    /// In PEM: the certificate, and those that lead to its authority.
    pub chain: String,
    /// In PEM. A secret.
    pub key: String,
}

impl fmt::Debug for Certificate {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Certificate").field("names", &self.names).finish_non_exhaustive()
    }
}

/// From now on these, and no others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetChallenges {
    pub challenges: Vec<Challenge>,
}

/// What an authority will ask for, to see whose a name is. Not secret: everybody who asks gets it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Challenge {
    /// `http://NAME/.well-known/acme-challenge/TOKEN` answers with this (RFC 8555, section 8.3).
    Http { name: String, token: String, key_authorization: String },
    /// A handshake for the name with the protocol `acme-tls/1` gets a certificate that has this one's hash (RFC 8737).
    TlsAlpn {
        name: String,
        /// What is hashed.
        key_authorization: String,
    },
}

/// What a gateway shows to clients that ask for a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateStatus {
    /// As a route has it.
    pub name: String,
    pub source: CertificateSource,
    /// When it ends; `None` for one that is signed by nobody.
    pub ends: Option<Timestamp>,
    /// What is wrong with the one that should be shown.
    pub problem: Option<String>,
}

crate::spelled! {
    "snake_case",
    /// Where a certificate comes from.
    pub enum CertificateSource {
        /// The operator's files.
        File,
        /// The service, which has it from an authority.
        Service,
        /// The gateway itself: browsers warn of it.
        SelfSigned,
    }
}
