//! Images from a registry: a small one, in this process, that wants to know who asks.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use sha2::{Digest as _, Sha256};
use windlass_core::deployment::FailureCode;
use windlass_core::labels;
use windlass_core::secrets::Secrets;
use windlass_core::task::Image;
use windlass_engine::Prepared;
use windlass_registry::RegistryCredentials;
use windlass_testing::sample_app;

use crate::lab::Lab;

/// `bot:hunter2`, as a header has it.
const LOGIN: &str = "Basic Ym90Omh1bnRlcjI=";

#[derive(Default)]
struct Registry {
    /// By digest.
    blobs: BTreeMap<String, Vec<u8>>,
    asked: Mutex<u32>,
}

impl Registry {
    fn add(&mut self, blob: Vec<u8>) -> String {
        let digest = format!("sha256:{}", hex::encode(Sha256::digest(&blob)));
        self.blobs.insert(digest.clone(), blob);
        digest
    }

    /// An image with the sample app in it; its manifest's digest.
    fn add_image(&mut self, label: &str) -> String {
        self.add_image_for(label, if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" })
    }

    /// The same for another processor.
    fn add_image_for(&mut self, label: &str, architecture: &str) -> String {
        let layer = sample_app::archive().to_vec();
        let size = layer.len();
        let layer = self.add(layer);
        let config = format!(
            r#"{{"architecture":"{architecture}","os":"linux","config":{{"Entrypoint":["/app"],"Cmd":["serve"],"Labels":{{"{key}":"{label}"}}}},"rootfs":{{"type":"layers","diff_ids":["{layer}"]}}}}"#,
            key = labels::INSTALLATION,
        );
        let config_size = config.len();
        let config = self.add(config.into_bytes());
        let kind = "application/vnd.docker";
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}.distribution.manifest.v2+json","config":{{"mediaType":"{kind}.container.image.v1+json","size":{config_size},"digest":"{config}"}},"layers":[{{"mediaType":"{kind}.image.rootfs.diff.tar.gzip","size":{size},"digest":"{layer}"}}]}}"#
        );
        self.add(manifest.into_bytes())
    }

    async fn serve(self) -> (SocketAddr, Arc<Self>) {
        let registry = Arc::new(self);
        let router = Router::new()
            .route("/v2/", get(root))
            .route("/v2/acme/shop/{kind}/{digest}", get(blob))
            .with_state(Arc::clone(&registry));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (address, registry)
    }
}

async fn root(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> Response {
    *registry.asked.lock().unwrap() += 1;
    if headers.get(header::AUTHORIZATION).is_some_and(|login| login == LOGIN) {
        StatusCode::OK.into_response()
    } else {
        (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"shop\"")]).into_response()
    }
}

async fn blob(
    State(registry): State<Arc<Registry>>,
    Path((kind, digest)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let known = root(State(Arc::clone(&registry)), headers).await;
    if known.status() != StatusCode::OK {
        return known;
    }
    let media = match kind.as_str() {
        "manifests" => "application/vnd.docker.distribution.manifest.v2+json",
        _ => "application/octet-stream",
    };
    match registry.blobs.get(&digest) {
        Some(blob) => ([(header::CONTENT_TYPE, media)], blob.clone()).into_response(),
        None => (StatusCode::NOT_FOUND, r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#)
            .into_response(),
    }
}

fn login(password: &str) -> RegistryCredentials {
    RegistryCredentials { username: "bot".to_owned(), password: password.into() }
}

fn image(address: SocketAddr, digest: &str) -> Image {
    Image { name: Some(format!("{address}/acme/shop").parse().unwrap()), digest: digest.parse().unwrap() }
}

#[tokio::test]
async fn an_image_is_pulled_by_digest_with_its_login_and_only_once() {
    let lab = Lab::open().await;
    let mut registry = Registry::default();
    let digest = registry.add_image(&lab.engine.installation().to_string());
    let (address, registry) = registry.serve().await;
    let image = image(address, &digest);
    assert_eq!(lab.engine.prepare(&image, Some(&login("hunter2"))).await.unwrap(), Prepared::Pulled);
    let facts = lab.engine.inspect_image(&image.reference()).await.unwrap().unwrap();
    assert_eq!(facts.digests, [image.reference()]);

    let asked = *registry.asked.lock().unwrap();
    assert_eq!(lab.engine.prepare(&image, None).await.unwrap(), Prepared::Present);
    assert_eq!(*registry.asked.lock().unwrap(), asked, "what is there is not asked for");
    let mut task = lab.task("web-1");
    task.image = image;
    lab.engine.boot(&task, &Secrets::default()).await.unwrap();
}

#[tokio::test]
async fn a_registry_that_says_no_leads_to_the_key_of_its_login() {
    let lab = Lab::open().await;
    let mut registry = Registry::default();
    let digest = registry.add_image(&lab.engine.installation().to_string());
    let (address, _) = registry.serve().await;
    let image = image(address, &digest);
    let key = format!("[registries.\"{address}\"]");

    let nobody = lab.engine.prepare(&image, None).await.unwrap_err();
    assert_eq!(nobody.code, FailureCode::PullFailed, "{nobody:?}");
    assert!(nobody.hint.as_ref().is_some_and(|hint| hint.contains(&key) && hint.contains("no")), "{nobody:?}");
    let wrong = lab.engine.prepare(&image, Some(&login("wrong-password"))).await.unwrap_err();
    assert_eq!(wrong.code, FailureCode::PullFailed, "{wrong:?}");
    assert!(wrong.hint.as_ref().is_some_and(|hint| hint.contains("may bot read")), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong-password"));
}

#[tokio::test]
async fn a_digest_that_the_registry_does_not_have_is_a_missing_image() {
    let lab = Lab::open().await;
    let (address, _) = Registry::default().serve().await;
    let image = image(address, &format!("sha256:{}", "1".repeat(64)));
    let failure = lab.engine.prepare(&image, Some(&login("hunter2"))).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageMissing, "{failure:?}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let lab = Lab::open().await;
    let address = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let image = image(address, &format!("sha256:{}", "1".repeat(64)));
    let failure = lab.engine.prepare(&image, None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::PullFailed, "{failure:?}");
    assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains(&address.to_string())), "{failure:?}");
}

#[tokio::test]
async fn an_image_for_another_processor_is_refused_in_words() {
    let lab = Lab::open().await;
    let mut registry = Registry::default();
    let digest = registry.add_image_for(&lab.engine.installation().to_string(), "s390x");
    let (address, _) = registry.serve().await;
    let image = image(address, &digest);
    for what in ["when it was pulled", "and when it is there"] {
        let failure = lab.engine.prepare(&image, Some(&login("hunter2"))).await.unwrap_err();
        assert_eq!(failure.code, FailureCode::PolicyRefused, "{what}: {failure:?}");
        assert!(failure.summary.contains("s390x") && failure.summary.contains("host a"), "{what}: {failure:?}");
        assert!(failure.hint.as_ref().is_some_and(|hint| hint.contains("platforms")), "{what}: {failure:?}");
    }
}

#[tokio::test]
async fn two_who_want_an_image_pull_it_once() {
    let lab = Lab::open().await;
    let mut registry = Registry::default();
    let digest = registry.add_image(&lab.engine.installation().to_string());
    let (address, _) = registry.serve().await;
    let (image, login) = (image(address, &digest), login("hunter2"));
    let both = tokio::join!(lab.engine.prepare(&image, Some(&login)), lab.engine.prepare(&image, Some(&login)));
    let mut both = [both.0.unwrap(), both.1.unwrap()];
    both.sort_by_key(|prepared| *prepared == Prepared::Present);
    assert_eq!(both, [Prepared::Pulled, Prepared::Present]);
}
