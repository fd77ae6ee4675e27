//! Base images and pushes, with a registry that wants to know who asks.

use std::collections::BTreeMap;

use windlass_core::hint::Hint;
use windlass_core::names::ImageName;
use windlass_engine::{BuildError, PushEvent, RegistryCredentials};
use windlass_testing::registry::{Access, PASSWORD, Registry, USERNAME};

use super::bench::Bench;
use crate::docker::docker;

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
    assert!(matches!(&nobody, BuildError::LoginRefused { username: None, .. }), "{nobody:?}");
    let wrong = bench.builder.push(&image, "base", Some(&login("wrong")), &mut |event| heard.push(event)).await;
    let wrong = wrong.unwrap_err();
    assert!(matches!(&wrong, BuildError::LoginRefused { username: Some(name), .. } if name == USERNAME), "{wrong:?}");
    assert!(!format!("{wrong:?}").contains("wrong\""), "{wrong:?}");
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
    assert!(silent.to_string().starts_with(&expected), "{silent}");
}
