//! `cache-from` and `cache-to`, as Docker writes them, and what of it an engine's own builder can do.

use std::collections::HashMap;

use bollard::grpc::build::moby::buildkit::v1::CacheOptionsEntry;

use super::error::BuildError;

/// Where an engine keeps its images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageStore {
    /// Docker's own: the steps' results cannot be pushed apart from an image.
    Docker,
    /// containerd's.
    Containerd,
}

pub(super) fn from(entries: &[String]) -> Result<Vec<CacheOptionsEntry>, BuildError> {
    parse("cache-from", entries, |kind| match kind {
        "registry" => Ok(()),
        "inline" => Err(("it is fetched with the image: type=registry,ref=…".to_owned(), false)),
        kind => Err((format!("the Docker Engine's own builder does not fetch from type={kind}"), true)),
    })
}

pub(super) fn to(entries: &[String], store: ImageStore) -> Result<Vec<CacheOptionsEntry>, BuildError> {
    parse("cache-to", entries, |kind| match kind {
        "inline" => Ok(()),
        "registry" if store == ImageStore::Containerd => Ok(()),
        kind => Err((format!("the Docker Engine's own builder cannot keep its cache as type={kind}"), true)),
    })
}

/// `type=registry,ref=…`, or a reference alone. `check` says why a type cannot be used, and whether it could elsewhere.
fn parse(
    input: &str,
    entries: &[String],
    check: impl Fn(&str) -> Result<(), (String, bool)>,
) -> Result<Vec<CacheOptionsEntry>, BuildError> {
    let one = |entry: &String| {
        let refused =
            |(reason, elsewhere)| BuildError::Cache { option: format!("{input}: {entry}"), reason, elsewhere };
        let wrong = |reason: &str| refused((reason.to_owned(), false));
        let mut attrs: HashMap<String, String> = if entry.contains('=') {
            let pairs = entry.split(',').map(|pair| {
                let (key, value) = pair.split_once('=').ok_or_else(|| wrong("it is not a list of key=value"))?;
                Ok((key.trim().to_ascii_lowercase(), value.trim().to_owned()))
            });
            pairs.collect::<Result<_, _>>()?
        } else {
            [("type", "registry"), ("ref", entry.trim())].map(|(key, value)| (key.to_owned(), value.to_owned())).into()
        };
        let kind = attrs.remove("type").ok_or_else(|| wrong("it does not say its type"))?;
        check(&kind).map_err(refused)?;
        if kind == "registry" && attrs.get("ref").is_none_or(String::is_empty) {
            return Err(wrong("type=registry needs a ref"));
        }
        Ok(CacheOptionsEntry { r#type: kind, attrs })
    };
    entries.iter().filter(|entry| !entry.trim().is_empty()).map(one).collect()
}

#[cfg(test)]
mod tests {
    use windlass_core::hint::Hint;

    use super::*;

    fn entry(kind: &str, attrs: &[(&str, &str)]) -> CacheOptionsEntry {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        CacheOptionsEntry { r#type: kind.to_owned(), attrs }
    }

    #[test]
    fn a_reference_alone_means_a_registry() {
        let given = ["ghcr.io/acme/shop:cache".to_owned(), "type=registry,ref=ghcr.io/acme/shop:main".to_owned()];
        let expected = ["ghcr.io/acme/shop:cache", "ghcr.io/acme/shop:main"];
        assert_eq!(from(&given).unwrap(), expected.map(|reference| entry("registry", &[("ref", reference)])));
    }

    #[test]
    fn the_engines_own_builder_keeps_its_cache_in_the_image() {
        assert_eq!(to(&["type=inline".to_owned()], ImageStore::Docker).unwrap(), [entry("inline", &[])]);
    }

    #[test]
    fn a_cache_of_its_own_in_a_registry_needs_containerds_image_store() {
        let given = ["type=registry,ref=ghcr.io/acme/shop:cache,mode=max".to_owned()];
        let attrs = [("ref", "ghcr.io/acme/shop:cache"), ("mode", "max")];
        assert_eq!(to(&given, ImageStore::Containerd).unwrap(), [entry("registry", &attrs)]);
        let error = to(&given, ImageStore::Docker).unwrap_err();
        assert!(error.hint().unwrap().contains("type=inline"), "{error}");
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_input() {
        for (given, expected) in [
            (
                "type=gha",
                "`cache-from: type=gha` cannot be used: the Docker Engine's own builder does not fetch from type=gha",
            ),
            (
                "type=inline",
                "`cache-from: type=inline` cannot be used: it is fetched with the image: type=registry,ref=…",
            ),
            ("ref=a/b", "`cache-from: ref=a/b` cannot be used: it does not say its type"),
            ("type=registry", "`cache-from: type=registry` cannot be used: type=registry needs a ref"),
            ("type=registry,a/b", "`cache-from: type=registry,a/b` cannot be used: it is not a list of key=value"),
        ] {
            assert_eq!(from(&[given.to_owned()]).unwrap_err().to_string(), expected);
        }
        let error = to(&["type=local,dest=/tmp".to_owned()], ImageStore::Containerd).unwrap_err();
        assert!(error.hint().unwrap().contains("docker buildx create --driver docker-container"), "{error}");
    }
}
