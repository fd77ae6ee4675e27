//! What is asked of a registry before and after a push: of a real one.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::Html;
use oci_client::client::{ClientConfig, ClientProtocol, Config, ImageLayer};
use oci_client::manifest::{OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use windlass_core::hint::Hint;
use windlass_core::names::{Digest, ImageName};
use windlass_registry::{Registry, RegistryCredentials, RegistryError};
use windlass_testing::registry::{self, Access, PASSWORD, USERNAME};

fn shop(address: SocketAddr) -> ImageName {
    format!("{address}/acme/shop").parse().unwrap()
}

fn login(password: &str) -> RegistryCredentials {
    RegistryCredentials { username: USERNAME.to_owned(), password: password.into() }
}

#[tokio::test]
async fn the_look_whether_a_push_will_do_leaves_no_tag() {
    let process = registry::Registry::start(Access::Open).await;
    let registry = Registry::new(&shop(process.address()), None).unwrap();
    registry.check_push().await.unwrap();
    registry.check_push().await.unwrap();
    assert_eq!(registry.digest("latest").await.unwrap(), None);
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let repository: Reference = shop(process.address()).as_str().parse().unwrap();
    let tags = client.list_tags(&repository, &RegistryAuth::Anonymous, None, None).await;
    assert!(tags.unwrap_err().to_string().contains("repository name not known"), "no repository came of it");
}

#[tokio::test]
async fn a_login_is_proven_refused_or_missing() {
    let process = registry::Registry::start(Access::Login).await;
    let image = shop(process.address());
    let right = Registry::new(&image, Some(&login(PASSWORD))).unwrap();
    right.check_push().await.unwrap();
    assert_eq!(right.digest("1").await.unwrap(), None);

    let wrong = Registry::new(&image, Some(&login("a-wrong-password"))).unwrap();
    for error in [wrong.check_push().await.unwrap_err(), wrong.digest("1").await.unwrap_err()] {
        assert!(matches!(error, RegistryError::LoginRefused { .. }), "{error:?}");
        let (message, hint) = (error.to_string(), error.hint().unwrap());
        let address = process.address().to_string();
        for part in [&address, "of bot", image.as_str(), "authentication required"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(hint.contains("registry-username") && hint.contains("registry-password"), "{hint}");
    }

    let nobody = Registry::new(&image, None).unwrap();
    for error in [nobody.check_push().await.unwrap_err(), nobody.digest("1").await.unwrap_err()] {
        assert!(matches!(error, RegistryError::LoginMissing { .. }), "{error:?}");
        assert!(error.to_string().contains("none was given"), "{error}");
        assert!(error.hint().unwrap().contains("registry-username"));
    }
}

#[tokio::test]
async fn a_password_is_in_no_log_line_and_no_error() {
    let process = registry::Registry::start(Access::Login).await;
    let image = shop(process.address());
    let log = Log::default();
    let writer = log.clone();
    let subscriber =
        tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(move || writer.clone()).finish();
    let _here = tracing::subscriber::set_default(subscriber);
    // Were there one alone, a line that another test's thread comes past first would stay unwritten here, too.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::new());
    let mut said = String::new();
    for password in [PASSWORD, "a-wrong-password"] {
        let registry = Registry::new(&image, Some(&login(password))).unwrap();
        let (checked, found) = (registry.check_push().await, registry.digest("1").await);
        said.push_str(&format!("{registry:?} {checked:?} {found:?}"));
    }
    said.push_str(&String::from_utf8(log.0.lock().unwrap().clone()).unwrap());
    assert!(said.contains("uploads"), "nothing was logged, which proves nothing: {said}");
    // As it is, and as the header has it.
    for secret in [PASSWORD, "a-wrong-password", "Ym90O"] {
        assert!(!said.contains(secret), "{secret}: {said}");
    }
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn one_image_of_ocis_kind_makes_the_list_ocis() {
    let process = registry::Registry::start(Access::Open).await;
    let image = shop(process.address());
    let arm = push_oci_image(&image, "arm").await;
    let registry = Registry::new(&image, None).unwrap();
    let digest = registry.push_index("1.0", &[("linux/arm/v7".to_owned(), arm.clone())]).await.unwrap();
    assert_eq!(registry.digest("1.0").await.unwrap().as_ref(), Some(&digest));

    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference: Reference = format!("{image}@{digest}").parse().unwrap();
    let (manifest, _) = client.pull_manifest(&reference, &RegistryAuth::Anonymous).await.unwrap();
    let OciManifest::ImageIndex(index) = manifest else { panic!("{manifest:?}") };
    assert_eq!(index.media_type.as_deref(), Some(OCI_IMAGE_INDEX_MEDIA_TYPE));
    let [entry] = &index.manifests[..] else { panic!("{index:?}") };
    assert_eq!((entry.media_type.as_str(), entry.digest.as_str()), (OCI_IMAGE_MEDIA_TYPE, arm.as_str()));
    let platform = serde_json::to_value(&entry.platform).unwrap();
    assert_eq!(platform, serde_json::json!({ "os": "linux", "architecture": "arm", "variant": "v7" }));

    let unknown: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let error = registry.push_index("1.1", &[("linux/arm64".to_owned(), unknown)]).await.unwrap_err();
    assert!(error.to_string().contains("could not read image") && error.to_string().contains("manifest unknown"));
    assert_eq!(registry.digest("1.1").await.unwrap(), None);
}

async fn push_oci_image(image: &ImageName, tag: &str) -> Digest {
    let client = Client::new(ClientConfig { protocol: ClientProtocol::Http, ..ClientConfig::default() });
    let reference: Reference = format!("{image}:{tag}").parse().unwrap();
    let (layers, config) = ([ImageLayer::oci_v1("layer", None)], Config::oci_v1("{}", None));
    client.push(&reference, &layers, config, &RegistryAuth::Anonymous, None).await.unwrap();
    let digest = client.fetch_manifest_digest(&reference, &RegistryAuth::Anonymous).await.unwrap();
    digest.parse().unwrap()
}

#[tokio::test]
async fn who_is_no_registry_is_told_from_one() {
    let page = || async { Html("<!doctype html><title>Acme</title>") };
    let site = serve(Router::new().fallback(page)).await;
    let lost = serve(Router::new().fallback(async || (StatusCode::NOT_FOUND, Html("<h1>Not found</h1>")))).await;
    for address in [site, lost] {
        let registry = Registry::new(&shop(address), None).unwrap();
        for error in [registry.check_push().await.unwrap_err(), registry.digest("1.0").await.unwrap_err()] {
            assert!(matches!(error, RegistryError::NotARegistry { .. }), "{error:?}");
            assert!(error.to_string().contains(&address.to_string()) && !error.to_string().contains('<'), "{error}");
        }
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

#[tokio::test]
async fn a_registry_that_is_not_there_cannot_be_reached() {
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let error = Registry::new(&shop(address), Some(&login(PASSWORD))).unwrap().check_push().await.unwrap_err();
    assert!(matches!(error, RegistryError::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains(&address.to_string()) && error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn a_tag_or_a_platform_that_cannot_be_is_told_at_once() {
    let registry = Registry::new(&"ghcr.io/acme/shop".parse().unwrap(), None).unwrap();
    let error = registry.digest("v 1").await.unwrap_err();
    assert!(matches!(&error, RegistryError::Malformed { value, .. } if value == "ghcr.io/acme/shop:v 1"), "{error:?}");
    let digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let error = registry.push_index("1.0", &[("arm64".to_owned(), digest)]).await.unwrap_err();
    assert!(matches!(&error, RegistryError::Malformed { value, .. } if value == "arm64"), "{error:?}");
}
