//! Several platforms' images as one: what its list says of each.

use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE,
    OCI_IMAGE_MEDIA_TYPE, OciImageIndex, OciManifest, Platform,
};
use windlass_core::names::Digest;

use crate::error::RegistryError;

/// Splits `linux/arm/v7`.
pub(crate) fn platform(text: &str) -> Result<Platform, RegistryError> {
    let parts: Vec<&str> = text.split('/').collect();
    let (os, architecture, variant) = match parts[..] {
        [os, architecture] if !os.is_empty() && !architecture.is_empty() => (os, architecture, None),
        [os, architecture, variant] if parts.iter().all(|part| !part.is_empty()) => (os, architecture, Some(variant)),
        _ => {
            return Err(RegistryError::Malformed {
                kind: "platform",
                value: text.to_owned(),
                reason: "expected system/architecture or system/architecture/variant, as linux/arm64".to_owned(),
            });
        }
    };
    Ok(Platform {
        architecture: architecture.into(),
        os: os.into(),
        os_version: None,
        os_features: None,
        variant: variant.map(str::to_owned),
        features: None,
    })
}

/// What the list says of an image. An image may be a list itself, with proofs of its origin in it: its entries are
/// taken over, since Docker reads no lists of lists.
pub(crate) fn entries(
    platform: &Platform,
    digest: &Digest,
    manifest: &[u8],
) -> Result<Vec<ImageIndexEntry>, serde_json::Error> {
    Ok(match serde_json::from_slice(manifest)? {
        OciManifest::ImageIndex(index) => index.manifests,
        OciManifest::Image(image) => vec![ImageIndexEntry {
            media_type: image.media_type.unwrap_or_else(|| OCI_IMAGE_MEDIA_TYPE.to_owned()),
            digest: digest.to_string(),
            size: i64::try_from(manifest.len()).unwrap_or(i64::MAX),
            platform: Some(platform.clone()),
            annotations: None,
            artifact_type: None,
        }],
    })
}

/// The list and its media type: OCI's, unless all images are of Docker's older kind.
pub(crate) fn render(entries: Vec<ImageIndexEntry>) -> Result<(&'static str, Vec<u8>), serde_json::Error> {
    let all_dockers = entries.iter().all(|entry| entry.media_type == IMAGE_MANIFEST_MEDIA_TYPE);
    let kind = if all_dockers { IMAGE_MANIFEST_LIST_MEDIA_TYPE } else { OCI_IMAGE_INDEX_MEDIA_TYPE };
    let index = OciImageIndex {
        schema_version: 2,
        media_type: Some(kind.to_owned()),
        manifests: entries,
        artifact_type: None,
        annotations: None,
    };
    Ok((kind, serde_json::to_vec(&index)?))
}

/// What a manifest says that it is. OCI's may leave it out.
pub(crate) fn media_type(manifest: &[u8]) -> Result<&'static str, serde_json::Error> {
    let (said, otherwise) = match serde_json::from_slice(manifest)? {
        OciManifest::ImageIndex(index) => (index.media_type, OCI_IMAGE_INDEX_MEDIA_TYPE),
        OciManifest::Image(image) => (image.media_type, OCI_IMAGE_MEDIA_TYPE),
    };
    let known = [IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];
    Ok(known.into_iter().find(|kind| said.as_deref() == Some(kind)).unwrap_or(otherwise))
}
