//! The gateway's end of TLS: how it shakes hands, and what it says about names that are https.

use std::sync::Arc;

use hyper::Uri;
use hyper::header::{HeaderName, HeaderValue};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::version::{TLS12, TLS13};
use tokio_rustls::TlsAcceptor;
use windlass_core::quantity::Duration;

use crate::certificates::{ACME_TLS, Certificates};

/// Where an authority looks for what proves a name (RFC 8555, section 8.3).
const CHALLENGES: &str = "/.well-known/acme-challenge/";
const HSTS: HeaderName = HeaderName::from_static("strict-transport-security");

/// There where the gateway ends TLS itself.
pub(crate) struct Tls {
    pub(crate) certificates: Arc<Certificates>,
    pub(crate) acceptor: TlsAcceptor,
    /// Where clients come by TLS.
    port: u16,
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Tls").field("port", &self.port).finish_non_exhaustive()
    }
}

impl Tls {
    /// TLS 1.2 and 1.3, HTTP/2 before HTTP/1.1.
    pub(crate) fn new(certificates: Arc<Certificates>, port: u16) -> Result<Self, rustls::Error> {
        let provider = aws_lc_rs::default_provider();
        let builder = ServerConfig::builder_with_provider(provider.into()).with_protocol_versions(&[&TLS13, &TLS12])?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(Arc::<Certificates>::clone(&certificates));
        config.alpn_protocols = [&b"h2"[..], b"http/1.1", ACME_TLS].map(<[u8]>::to_vec).into();
        // Whoever comes again is known by a ticket, on whatever thread.
        config.ticketer = aws_lc_rs::Ticketer::new()?;
        config.max_early_data_size = 0;
        Ok(Self { certificates, acceptor: TlsAcceptor::from(Arc::new(config)), port })
    }

    /// What an authority gets that asks for this.
    pub(crate) fn challenge(&self, host: &str, path: &str) -> Option<String> {
        self.certificates.answer(without_port(host), path.strip_prefix(CHALLENGES)?)
    }

    /// Where a request belongs that came in the clear for a name that is https.
    pub(crate) fn there(&self, host: &str, asked: &Uri) -> Option<HeaderValue> {
        let path = asked.path_and_query().map_or("/", |path| path.as_str());
        let name = without_port(host);
        let there = match self.port {
            443 => format!("https://{name}{path}"),
            port => format!("https://{name}:{port}{path}"),
        };
        HeaderValue::try_from(there).ok()
    }
}

/// An authority comes before there is a certificate.
pub(crate) fn is_challenge(path: &str) -> bool {
    path.starts_with(CHALLENGES)
}

/// What tells browsers to ask by https only, for so long (RFC 6797).
pub(crate) fn hsts(time: Duration) -> Option<(HeaderName, HeaderValue)> {
    Some((HSTS, HeaderValue::try_from(format!("max-age={}", time.0.as_secs())).ok()?))
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}
