//! Base images and pushes, with a registry that wants to know who asks.

use std::collections::BTreeMap;

use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse as _;
use windlass_core::hint::Hint;
use windlass_core::names::ImageName;
use windlass_images::{BuildError, PushEvent};
use windlass_registry::{RegistryCredentials, RegistryError};
use windlass_testing::docker_client::docker;
use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use super::bench::Bench;

fn login(password: &str) -> RegistryCredentials {
    RegistryCredentials { username: USERNAME.to_owned(), password: password.into() }
}

#[tokio::test]
async fn an_image_is_pushed_with_its_login_and_built_upon_with_it() {
    let bench = Bench::open().await;
    let registry = Registry::start(Access::Login).await;
    let host = registry.address().to_string();
    let image: ImageName = format!("{host}/{}", bench.name()).parse().unwrap();
    bench.write("data", bench.name());
    bench.write("Dockerfile", "FROM scratch\nCOPY data /data\n");
    let mut request = bench.request();
    request.name = format!("{image}:base");
    bench.build(&request).await.0.unwrap();

    let mut heard = Vec::new();
    let nobody = bench.builder.push(&image, "base", None, &mut |event| heard.push(event)).await.unwrap_err();
    assert!(matches!(&nobody, BuildError::Push(RegistryError::LoginMissing { .. })), "{nobody:?}");
    let wrong =
        bench.builder.push(&image, "base", Some(&login("not-its-password")), &mut |event| heard.push(event)).await;
    let wrong = wrong.unwrap_err();
    assert!(matches!(&wrong, BuildError::Push(RegistryError::LoginRefused { .. })), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("not-its-password"), "{wrong:?}");
    assert_eq!(heard, []);
    let login = login(PASSWORD);
    let digest = bench.builder.push(&image, "base", Some(&login), &mut |event| heard.push(event)).await.unwrap();
    assert_eq!(heard, [PushEvent::LayerPushed]);
    let digests = docker(&["image", "inspect", "--format", "{{.RepoDigests}}", &request.name]);
    assert_eq!(digests, format!("[{image}@{digest}]"));

    // The engine has it no more: it must be fetched.
    bench.builder.remove(&request.name).await.unwrap();
    bench.write("Dockerfile", format!("FROM {image}:base\nCOPY data /again\n"));
    let mut request = bench.request();
    let nobody = bench.build(&request).await.0.unwrap_err();
    assert!(
        matches!(&nobody, BuildError::LoginRefused { registry, username: None, .. } if *registry == host),
        "{nobody:?}"
    );
    request.credentials = BTreeMap::from([(host.clone(), login)]);
    bench.build(&request).await.0.unwrap();

    bench.write("Dockerfile", format!("FROM {image}:other\nCOPY data /again\n"));
    let missing = bench.build(&request).await.0.unwrap_err();
    let expected = format!("{image}:other");
    assert!(matches!(&missing, BuildError::BaseImageUnavailable { image, .. } if *image == expected), "{missing:?}");
}

#[tokio::test]
async fn a_registry_that_gives_tokens_gets_the_login_for_one() {
    let bench = Bench::open().await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let challenge = format!("Bearer realm=\"http://{host}/token\",service=\"registry\"");
    let tokens = || async { axum::Json(serde_json::json!({ "token": "an-opaque-token" })) };
    let images = |headers: HeaderMap| async move {
        match headers.get(header::AUTHORIZATION) {
            // The token is good; there is no such image.
            Some(token) if token == "Bearer an-opaque-token" => StatusCode::NOT_FOUND.into_response(),
            _ => (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response(),
        }
    };
    let (tell, mut logins) = tokio::sync::mpsc::unbounded_channel();
    let tokens = move |headers: HeaderMap| {
        let login = headers.get(header::AUTHORIZATION).map(|login| login.to_str().unwrap().to_owned());
        tell.send(login).unwrap();
        tokens()
    };
    let router = axum::Router::new().route("/token", axum::routing::get(tokens)).fallback(images);
    let serving = tokio::spawn(async move { axum::serve(listener, router).await });

    bench.write("Dockerfile", format!("FROM {host}/acme/base:1\nLABEL a=b\n"));
    let mut request = bench.request();
    request.credentials = BTreeMap::from([(host.clone(), login("hunter2"))]);
    let missing = bench.build(&request).await.0.unwrap_err();
    let expected = format!("{host}/acme/base:1");
    assert!(matches!(&missing, BuildError::BaseImageUnavailable { image, .. } if *image == expected), "{missing:?}");
    assert_eq!(logins.recv().await.unwrap().as_deref(), Some("Basic Ym90Omh1bnRlcjI="));
    serving.abort();
}

#[tokio::test]
async fn what_a_build_kept_in_its_image_spares_the_next_one_the_work() {
    let bench = Bench::open().await;
    bench.add_app();
    let registry = Registry::start(Access::Open).await;
    let image: ImageName = format!("{}/{}", registry.address(), bench.name()).parse().unwrap();
    let text = format!("FROM scratch\nADD app.tar /\nRUN [\"/app\", \"echo\", \"{}\"]\n", bench.name());
    bench.write("Dockerfile", &text);
    let mut request = bench.request();
    request.name = format!("{image}:cache");
    request.cache_to = vec!["type=inline".to_owned()];
    bench.build(&request).await.0.unwrap();
    bench.builder.push(&image, "cache", None, &mut |_| {}).await.unwrap();
    bench.builder.remove(&request.name).await.unwrap();
    // Something new, or the engine would not have to look anywhere.
    bench.write("Dockerfile", format!("{text}RUN [\"/app\", \"echo\", \"again\"]\n"));
    request.name = format!("{image}:next");
    request.cache_from = vec![format!("type=registry,ref={image}:cache")];
    let (built, heard) = bench.build(&request).await;
    built.unwrap();
    assert!(heard.done(heard.step("importing cache manifest from")).is_some(), "{heard:#?}");
}

#[tokio::test]
async fn a_registry_that_is_not_there_is_named() {
    let bench = Bench::open().await;
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    bench.write("Dockerfile", format!("FROM {address}/acme/base:1\nLABEL a=b\n"));
    let mut request = bench.request();
    let silent = bench.build(&request).await.0.unwrap_err();
    let expected = format!("{address} cannot be reached from the Docker Engine: ");
    assert!(silent.to_string().starts_with(&expected), "{silent}");
    assert!(silent.hint().is_some());

    bench.write("Dockerfile", "FROM scratch\nLABEL a=b\n");
    let image: ImageName = format!("{address}/{}", bench.name()).parse().unwrap();
    request.name = format!("{image}:1");
    bench.build(&request).await.0.unwrap();
    let silent = bench.builder.push(&image, "1", None, &mut |_| {}).await.unwrap_err();
    assert!(matches!(&silent, BuildError::Push(RegistryError::Unreachable { .. })), "{silent:?}");
}
