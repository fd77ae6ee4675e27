//! The gateway's own end of TLS: certificates by name, HTTP/2 by agreement, and what is said to those who come in the clear.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use http_body_util::BodyExt;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Version};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use windlass_core::config::CertificateFiles;
use windlass_core::gateway::{
    AppProtocol, Certificate, CertificateSource, Challenge, Route, ServiceSpec, SetCertificates, SetChallenges,
};
use windlass_core::quantity::Duration as Span;
use windlass_gateway::{Gateway, GatewayOptions};

use crate::backend::Backend;
use crate::client::{self, Client, nothing};
use crate::harness::{Front, HOST, eventually, options, route, spec};

/// A certificate that is its own authority.
pub(crate) struct Made {
    certificate: CertificateDer<'static>,
    pub(crate) chain: String,
    key: String,
}

pub(crate) fn made(names: &[&str]) -> Made {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(names).unwrap();
    Made { certificate: cert.der().clone(), chain: cert.pem(), key: signing_key.serialize_pem() }
}

impl Made {
    pub(crate) fn given(&self, name: &str) -> Certificate {
        Certificate { names: vec![name.to_owned()], chain: self.chain.clone(), key: self.key.clone() }
    }
}

pub(crate) async fn secure_front(files: BTreeMap<String, CertificateFiles>) -> Front {
    let folder = tempfile::tempdir().unwrap();
    let options =
        GatewayOptions { https: Some(([127, 0, 0, 1], 0).into()), certificates: files, ..options(folder.path()) };
    Front::start_with(options, folder).await
}

/// Shakes hands with whoever shows this certificate, and no other.
async fn shake(
    front: &Front,
    name: &str,
    trusted: &CertificateDer<'static>,
    protocols: &[&[u8]],
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let config = ClientConfig::builder_with_provider(provider.into()).with_safe_default_protocol_versions().unwrap();
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let stream = TcpStream::connect(front.gateway.https_addr().unwrap()).await.unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}

/// Asks over HTTP/2. Gives the answer's status, headers and body.
async fn ask_http2(front: &Front, name: &str, made: &Made, path: &str) -> (u16, hyper::HeaderMap, String) {
    let stream = shake(front, name, &made.certificate, &[b"h2"]).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(format!("https://{name}{path}")).body(nothing()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (parts.status.as_u16(), parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

fn https_spec(generation: u64, backends: &[&Backend]) -> ServiceSpec {
    let routes = vec![Route { https: true, ..route(HOST, "/") }];
    ServiceSpec { routes, https: true, ..spec(generation, backends) }
}

pub(crate) async fn give(front: &Front, certificates: Vec<Certificate>) {
    front.control.send("POST", "/v1/certificates", &SetCertificates { certificates }).await.unwrap();
}

#[tokio::test]
async fn a_name_has_the_services_certificate_over_http_2_and_http_1_1_and_its_app_learns_of_tls() {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    front.control.switch(https_spec(1, &[&app])).await.unwrap();
    let made = made(&[HOST]);
    give(&front, vec![made.given(HOST)]).await;

    let (status, _, body) = ask_http2(&front, HOST, &made, "/headers").await;
    assert_eq!(status, 200);
    assert!(body.contains("x-forwarded-proto: https") && body.contains("x-forwarded-port: 443"), "{body}");
    assert!(body.contains(&format!("host: {HOST}")), "{body}");

    let stream = shake(&front, HOST, &made.certificate, &[]).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let response = sender.send_request(client::get(HOST, "/headers")).await.unwrap();
    assert_eq!((response.status().as_u16(), response.version()), (200, Version::HTTP_11));
}

#[tokio::test]
async fn who_comes_in_the_clear_is_sent_to_https_but_no_challenge_and_no_health_request() {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    let spec = ServiceSpec { hsts: Some(Span::from_secs(60)), ..https_spec(1, &[&app]) };
    front.control.switch(spec).await.unwrap();
    let made = made(&[HOST]);
    give(&front, vec![made.given(HOST)]).await;
    let mut client = Client::connect(front.http()).await;

    let response = client.send(client::get(HOST, "/a?b=c")).await.unwrap();
    assert_eq!(response.status(), 308);
    let port = front.gateway.https_addr().unwrap().port();
    assert_eq!(response.headers()["location"], format!("https://{HOST}:{port}/a?b=c"));
    assert!(!response.headers().contains_key("strict-transport-security"));
    assert_eq!(front.get("/up").await.0, 200);
    let (_, headers, _) = ask_http2(&front, HOST, &made, "/").await;
    assert_eq!(headers["strict-transport-security"], "max-age=60");

    let token = "/.well-known/acme-challenge/a-token";
    assert_ne!(front.get(token).await.0, 308, "the app may have its own");
    let challenge = Challenge::Http {
        name: HOST.to_owned(),
        token: "a-token".to_owned(),
        key_authorization: "a-token.thumbprint".to_owned(),
    };
    let challenges = SetChallenges { challenges: vec![challenge] };
    front.control.send("POST", "/v1/challenges", &challenges).await.unwrap();
    assert_eq!(front.get(token).await, (200, "a-token.thumbprint".to_owned()));
}

#[tokio::test]
async fn an_authority_shakes_hands_with_what_it_asked_for() {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    front.control.switch(https_spec(1, &[&app])).await.unwrap();
    let challenge = Challenge::TlsAlpn { name: HOST.to_owned(), key_authorization: "token.thumbprint".to_owned() };
    let challenges = SetChallenges { challenges: vec![challenge] };
    let refused = shake(&front, HOST, &made(&[HOST]).certificate, &[b"acme-tls/1"]).await.unwrap_err();
    assert!(!refused.to_string().contains("UnknownIssuer"), "nothing is shown: {refused}");
    front.control.send("POST", "/v1/challenges", &challenges).await.unwrap();
    let refused = shake(&front, HOST, &made(&[HOST]).certificate, &[b"acme-tls/1"]).await.unwrap_err();
    assert!(refused.to_string().contains("invalid peer certificate"), "its own is shown: {refused}");
}

#[tokio::test]
async fn a_newer_gateway_takes_over_what_comes_by_tls_and_what_an_authority_asks_for() {
    let mut front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    front.control.switch(https_spec(1, &[&app])).await.unwrap();
    let made = made(&[HOST]);
    give(&front, vec![made.given(HOST)]).await;
    let token = "/.well-known/acme-challenge/a-token";
    let asked_for = |key_authorization: &str| SetChallenges {
        challenges: vec![Challenge::Http {
            name: HOST.to_owned(),
            token: "a-token".to_owned(),
            key_authorization: key_authorization.to_owned(),
        }],
    };
    front.control.send("POST", "/v1/challenges", &asked_for("one")).await.unwrap();
    let mut in_the_clear = Client::connect(front.http()).await;
    assert_eq!(in_the_clear.get(HOST, token).await.unwrap().1, "one");
    let stream = shake(&front, HOST, &made.certificate, &[b"h2"]).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let slow = Request::get(format!("https://{HOST}/slow")).body(nothing()).unwrap();
    let slow = tokio::spawn(sender.send_request(slow));
    eventually("the request arrives", async || app.hits() > 0).await;

    let (http, https) = (front.http(), front.gateway.https_addr());
    let newer = Gateway::start(GatewayOptions { http, https, ..options(front.folder()) }).await.unwrap();
    let before = std::mem::replace(&mut front.gateway, newer);
    assert_eq!(front.gateway.https_addr(), https);
    assert_eq!(front.get(token).await.1, "one");
    front.control.send("POST", "/v1/challenges", &asked_for("two")).await.unwrap();
    assert_eq!(in_the_clear.get(HOST, token).await.unwrap().1, "two", "whichever gateway is asked");
    for _ in 0..20 {
        assert_eq!(ask_http2(&front, HOST, &made, "/").await.0, 200);
    }
    app.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    connection.await.unwrap().expect("it is told that it was the last");
    drop(in_the_clear);
    before.handed_over().await;
    before.stop().await;
    assert_eq!(ask_http2(&front, HOST, &made, "/").await.0, 200);
}

#[tokio::test]
async fn files_are_read_again_when_they_change_and_a_bad_one_leaves_what_was_there() {
    let folder = tempfile::tempdir().unwrap();
    let files = CertificateFiles { cert: folder.path().join("shop.pem"), key: folder.path().join("shop.key") };
    let write = |made: &Made| {
        put(&files.key, &made.key);
        put(&files.cert, &made.chain);
    };
    let (first, second) = (made(&[HOST]), made(&[HOST]));
    write(&first);
    let front = secure_front(BTreeMap::from([(HOST.to_owned(), files.clone())])).await;
    let app = Backend::start("app").await;
    front.control.switch(https_spec(1, &[&app])).await.unwrap();
    assert_eq!(ask_http2(&front, HOST, &first, "/").await.0, 200);
    write(&second);
    eventually("the new one is shown", async || shake(&front, HOST, &second.certificate, &[]).await.is_ok()).await;
    put(&files.cert, "no certificate");
    eventually("the bad one is noticed", async || front.control.status().await.certificates[0].problem.is_some()).await;
    assert_eq!(ask_http2(&front, HOST, &second, "/").await.0, 200);
    let status = front.control.status().await.certificates.remove(0);
    assert_eq!(status.source, CertificateSource::File);
}

#[tokio::test]
async fn a_name_without_a_certificate_has_one_that_says_so_and_an_unknown_name_has_none() {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start("app").await;
    front.control.switch(https_spec(1, &[&app])).await.unwrap();
    let other = made(&["other.test"]);
    let shown = shake(&front, HOST, &other.certificate, &[]).await.unwrap_err().to_string();
    assert!(shown.contains("invalid peer certificate"), "{shown}");
    let unknown = shake(&front, "other.test", &other.certificate, &[]).await.unwrap_err().to_string();
    assert!(!unknown.contains("invalid peer certificate"), "{unknown}");
    assert_eq!(front.control.status().await.certificates[0].source, CertificateSource::SelfSigned);
}

#[tokio::test]
async fn an_app_that_speaks_http_2_is_asked_in_it_and_its_trailers_arrive() {
    let front = secure_front(BTreeMap::new()).await;
    let app = Backend::start_http2("app").await;
    let spec = ServiceSpec { protocol: AppProtocol::H2c, ..spec(1, &[&app]) };
    front.control.switch(spec).await.unwrap();
    let stream = TcpStream::connect(front.http()).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let _connection = tokio_util::task::AbortOnDropHandle::new(tokio::spawn(connection));
    let request = Request::get(format!("http://{HOST}/trailers")).header("te", "trailers").body(nothing()).unwrap();
    let response = sender.send_request(request).await.unwrap();
    let collected = response.into_body().collect().await.unwrap();
    assert_eq!(collected.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(collected.to_bytes(), "te: trailers");
}

#[tokio::test]
async fn a_prefix_that_is_stripped_is_told_and_not_seen() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let routes = vec![Route { strip_prefix: true, ..route(HOST, "/api") }];
    front.control.switch(ServiceSpec { routes, ..spec(1, &[&app]) }).await.unwrap();
    let (_, body) = front.get("/api/headers?a=/api").await;
    assert!(body.contains("GET /headers?a=/api\n") && body.contains("x-forwarded-prefix: /api\n"), "{body}");
    let (_, body) = front.get("/api").await;
    assert!(body.contains("app"), "{body}");
}

#[expect(clippy::disallowed_methods, reason = "how an operator's tools write does not matter")]
pub(crate) fn put(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap();
}
