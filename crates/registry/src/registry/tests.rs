use std::net::TcpListener;

use windlass_core::hint::Hint;

use super::*;

#[test]
fn plain_http_is_for_this_machine_alone() {
    for here in ["localhost", "localhost:5000", "127.0.0.1:5000", "127.1.2.3"] {
        assert!(is_loopback(here), "{here}");
    }
    for elsewhere in ["ghcr.io", "docker.io", "10.0.0.1:5000", "localhost.example.com", "127.0.0.1.example.com:80"] {
        assert!(!is_loopback(elsewhere), "{elsewhere}");
    }
}

#[tokio::test]
async fn a_registry_that_is_silent_is_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/acme/shop", listener.local_addr().unwrap()).parse().unwrap();
    let waited = Duration::from_millis(50);
    let registry = Registry::with_patience(&image, None, waited).unwrap();
    // As a task of its own, which a caller may want.
    let error = tokio::spawn(async move { registry.check_push().await }).await.unwrap().unwrap_err();
    assert!(matches!(error, RegistryError::Silent { waited: at_most, .. } if at_most == waited), "{error:?}");
    assert!(error.to_string().ends_with("was silent for 50ms"), "{error}");
}

#[test]
fn a_denied_push_is_explained_as_the_registry_needs_it() {
    let denied = |registry: &str, words: &str| RegistryError::PushDenied {
        registry: registry.to_owned(),
        image: format!("{registry}/acme/shop").parse().unwrap(),
        account: "bot".to_owned(),
        words: words.to_owned(),
    };
    let github = denied("ghcr.io", "denied: installation not allowed to Create organization package").hint().unwrap();
    assert!(github.contains("packages: write"), "{github}");
    let other = denied("registry.example.com", "denied: requested access to the resource is denied").hint().unwrap();
    assert!(other.contains("give bot the right to push registry.example.com/acme/shop"), "{other}");
}

#[test]
fn a_list_in_a_list_is_taken_apart_and_docker_s_own_kind_kept() {
    let digest: Digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
    let of = |kind: &str| {
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{kind}","config":{{"mediaType":"a/b","digest":"c","size":1}},"layers":[]}}"#
        )
    };
    let entries = |manifest: &str| {
        index::entries(&index::platform("linux/arm64").unwrap(), &digest, manifest.as_bytes()).unwrap()
    };
    let (docker, oci) = (entries(&of(IMAGE_MANIFEST_MEDIA_TYPE)), entries(&of(OCI_IMAGE_MEDIA_TYPE)));
    let (kind, inner) = index::render(docker.clone()).unwrap();
    assert_eq!(kind, IMAGE_MANIFEST_LIST_MEDIA_TYPE);
    let outer = [entries(std::str::from_utf8(&inner).unwrap()), oci].concat();
    assert_eq!((outer[0].digest.as_str(), outer[0].size), (digest.as_str(), docker[0].size));
    assert_eq!(index::render(outer).unwrap().0, OCI_IMAGE_INDEX_MEDIA_TYPE);
    for wrong in ["linux", "linux/", "/arm64", "linux/arm/v7/x", "", "linux//v7"] {
        assert!(index::platform(wrong).is_err(), "{wrong}");
    }
}
