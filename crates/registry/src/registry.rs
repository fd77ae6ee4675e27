//! One repository of images in a registry: whether it may be pushed to, what a tag stands for, and several platforms'
//! images as one. Layers travel between the engine and the registry; no byte of them comes through here.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

use hyper::header::HeaderValue;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::OciDistributionError;
use oci_client::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    Platform,
};
use oci_client::secrets::RegistryAuth;
use oci_client::token_cache::{RegistryToken, RegistryTokenType};
use oci_client::{Client, Reference, RegistryOperation};
use secrecy::ExposeSecret;
use sha2::{Digest as _, Sha256};
use windlass_core::names::{Digest, ImageName};

use crate::answer::{Answer, Kind};
use crate::credentials::RegistryCredentials;
use crate::error::RegistryError;
use crate::index;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a registry may be silent.
const READ_TIMEOUT: Duration = Duration::from_secs(60);
/// What is waited before another try when the connection or the registry itself fails. Whatever is asked for here may
/// be asked for twice: it ends in the same place.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];

/// The blob that OCI calls the empty descriptor's: `{}`.
const EMPTY_BLOB: &[u8] = b"{}";
const EMPTY_BLOB_DIGEST: &str = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a";

const MANIFESTS: [&str; 4] =
    [OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE, IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE];

/// One repository of images in a registry.
pub struct Registry {
    image: ImageName,
    reference: Reference,
    credentials: Option<RegistryCredentials>,
    client: Client,
    read_timeout: Duration,
}

impl Registry {
    /// The repository that an image's name leads to. Nobody is asked yet. A registry on this machine's loopback
    /// addresses is spoken to by plain HTTP, every other one by HTTPS.
    ///
    /// # Errors
    ///
    /// When no registry could have an image of that name.
    pub fn new(image: &ImageName, credentials: Option<&RegistryCredentials>) -> Result<Self, RegistryError> {
        Self::with_patience(image, credentials, READ_TIMEOUT)
    }

    /// Proves that the image may be pushed, before anything is built.
    ///
    /// A login proves nothing: GitHub's registry lets in whoever has a token, and says at the first upload that the
    /// token may not write. So something is uploaded: the two bytes that half of all artifacts refer to. No manifest
    /// names them, so no tag, version or package comes of it, and the registry sweeps them away in time.
    ///
    /// # Errors
    ///
    /// When the login or the upload is refused, or nobody answers as a registry does.
    pub async fn check_push(&self) -> Result<(), RegistryError> {
        persistently(|| self.upload_next_to_nothing()).await
    }

    /// The digest under which the registry has a tag: what `docker pull name@digest` asks for. `None` when there is no
    /// such tag, or nothing was ever pushed.
    ///
    /// # Errors
    ///
    /// When the login or the look is refused, or nobody answers as a registry does.
    pub async fn digest(&self, tag: &str) -> Result<Option<Digest>, RegistryError> {
        let reference = self.tagged(tag)?;
        persistently(|| self.look_up(&reference)).await
    }

    /// Makes several platforms' images, which the repository has already, one image under a tag, and gives its digest.
    /// A platform is written `linux/arm64` or `linux/arm/v7`.
    ///
    /// # Errors
    ///
    /// When an image is not there, the push is refused, or nobody answers as a registry does.
    pub async fn push_index(&self, tag: &str, images: &[(String, Digest)]) -> Result<Digest, RegistryError> {
        let reference = self.tagged(tag)?;
        let parsed = images.iter().map(|(platform, digest)| Ok((index::platform(platform)?, digest)));
        let images = parsed.collect::<Result<Vec<_>, RegistryError>>()?;
        persistently(|| self.push_list(&reference, &images)).await
    }

    /// Gives an image that the registry has this tag; whatever had it before stays, by its digest.
    ///
    /// # Errors
    ///
    /// When the image is not there, the push is refused, or nobody answers as a registry does.
    pub async fn tag(&self, digest: &Digest, tag: &str) -> Result<(), RegistryError> {
        let reference = self.tagged(tag)?;
        persistently(|| self.push_again(digest, &reference)).await
    }

    fn with_patience(
        image: &ImageName,
        credentials: Option<&RegistryCredentials>,
        read_timeout: Duration,
    ) -> Result<Self, RegistryError> {
        let reference = parse_reference(image.as_str())?;
        let config = ClientConfig {
            protocol: if is_loopback(image.registry()) { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT_TIMEOUT),
            read_timeout: Some(read_timeout),
            user_agent: concat!("windlass/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        };
        let client = Client::try_from(config).map_err(|error| RegistryError::Unreachable {
            registry: image.registry().to_owned(),
            image: image.clone(),
            reason: Answer::of(&error).words,
        })?;
        Ok(Self { image: image.clone(), reference, credentials: credentials.cloned(), client, read_timeout })
    }

    async fn upload_next_to_nothing(&self) -> Result<(), RegistryError> {
        let login = self.log_in(RegistryOperation::Push).await?;
        let pushed = self.client.push_blob(&self.reference, EMPTY_BLOB, EMPTY_BLOB_DIGEST).await;
        pushed.map(drop).map_err(|error| self.error(UploadStep::Push(login), &error))
    }

    async fn look_up(&self, tagged: &Reference) -> Result<Option<Digest>, RegistryError> {
        let login = self.log_in(RegistryOperation::Pull).await?;
        // The whole manifest: its header alone cannot be told from that of a web page that is there for every path.
        match self.client.pull_manifest(tagged, &self.auth()).await {
            Ok((_, digest)) => self.parse_digest(&digest).map(Some),
            Err(error) if Answer::of(&error).kind == Kind::Unknown => Ok(None),
            Err(error) => Err(self.error(UploadStep::Read(login), &error)),
        }
    }

    /// The very bytes, so that the digest stays what it is.
    async fn push_again(&self, digest: &Digest, tagged: &Reference) -> Result<(), RegistryError> {
        let login = self.log_in(RegistryOperation::Push).await?;
        let manifest = self.manifest(digest, login).await?;
        let kind = index::media_type(&manifest).map_err(|error| self.error(UploadStep::Read(login), &error.into()))?;
        let pushed = self.client.push_manifest_raw(tagged, manifest, HeaderValue::from_static(kind)).await;
        pushed.map(drop).map_err(|error| self.error(UploadStep::Push(login), &error))
    }

    async fn push_list(&self, tagged: &Reference, images: &[(Platform, &Digest)]) -> Result<Digest, RegistryError> {
        let login = self.log_in(RegistryOperation::Push).await?;
        let mut entries = Vec::new();
        for (platform, digest) in images {
            let manifest = self.manifest(digest, login).await?;
            let found = index::entries(platform, digest, &manifest);
            entries.extend(found.map_err(|error| self.error(UploadStep::Read(login), &error.into()))?);
        }
        let rendered = index::render(entries);
        let (kind, body) = rendered.map_err(|error| self.error(UploadStep::Push(login), &error.into()))?;
        let digest = self.parse_digest(&format!("sha256:{}", hex::encode(Sha256::digest(&body))))?;
        let pushed = self.client.push_manifest_raw(tagged, body, HeaderValue::from_static(kind)).await;
        pushed.map(|_| digest).map_err(|error| self.error(UploadStep::Push(login), &error))
    }

    /// Gets a token, where the registry gives one.
    ///
    /// An account asks for reading and writing at once, also to read: that a repository is not there yet may be said
    /// only to those who might make it, and others are told that they may not look.
    async fn log_in(&self, purpose: RegistryOperation) -> Result<Login, RegistryError> {
        let operation = if self.credentials.is_some() { RegistryOperation::Push } else { purpose };
        let token = self.client.auth(&self.reference, &self.auth(), operation).await;
        let Some(token) = token.map_err(|error| self.error(UploadStep::LogIn, &error))? else {
            return Ok(Login::Unproven);
        };
        for operation in [RegistryOperation::Pull, RegistryOperation::Push] {
            let token = RegistryTokenType::Bearer(RegistryToken::Token { token: token.clone() });
            self.client.tokens.insert(&self.reference, operation, token).await;
        }
        Ok(Login::Proven)
    }

    async fn manifest(&self, digest: &Digest, login: Login) -> Result<Vec<u8>, RegistryError> {
        let reference = self.reference.clone_with_digest(digest.to_string());
        let pulled = self.client.pull_manifest_raw(&reference, &self.auth(), &MANIFESTS).await;
        pulled.map(|(body, _)| body.into()).map_err(|error| self.error(UploadStep::Read(login), &error))
    }

    fn auth(&self) -> RegistryAuth {
        self.credentials.as_ref().map_or(RegistryAuth::Anonymous, |credentials| {
            RegistryAuth::Basic(credentials.username.clone(), credentials.password.expose_secret().to_owned())
        })
    }

    fn tagged(&self, tag: &str) -> Result<Reference, RegistryError> {
        parse_reference(&format!("{}:{tag}", self.image))
    }

    fn parse_digest(&self, digest: &str) -> Result<Digest, RegistryError> {
        digest.parse().map_err(|error| RegistryError::Answered {
            action: "read",
            registry: self.image.registry().to_owned(),
            image: self.image.clone(),
            words: format!("{error}"),
            status: None,
        })
    }

    fn error(&self, step: UploadStep, error: &OciDistributionError) -> RegistryError {
        let Answer { kind, words } = Answer::of(error);
        let (registry, image) = (self.image.registry().to_owned(), self.image.clone());
        let account = self.credentials.as_ref().map(|credentials| credentials.username.clone());
        match (kind, account) {
            (Kind::Unreachable, _) => RegistryError::Unreachable { registry, image, reason: words },
            (Kind::Silent, _) => RegistryError::Silent { registry, image, waited: self.read_timeout },
            (Kind::Foreign, _) => RegistryError::NotARegistry { registry, image, words },
            (Kind::Unauthorized | Kind::Forbidden, None) => RegistryError::LoginMissing { registry, image, words },
            (Kind::Unauthorized, Some(account)) if step.proves_the_login() => {
                RegistryError::LoginRefused { registry, image, account, words }
            }
            (Kind::Unauthorized | Kind::Forbidden, Some(account)) => match step {
                UploadStep::Read(_) => RegistryError::ReadDenied { registry, image, account, words },
                UploadStep::LogIn | UploadStep::Push(_) => {
                    RegistryError::PushDenied { registry, image, account, words }
                }
            },
            (Kind::Unknown | Kind::Other, _) => {
                RegistryError::Answered { action: step.action(), registry, image, words, status: None }
            }
            (Kind::Trouble(status), _) => {
                RegistryError::Answered { action: step.action(), registry, image, words, status: Some(status) }
            }
        }
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Registry").field("image", &self.image).finish_non_exhaustive()
    }
}

/// What a registry said about who is asking.
#[derive(Clone, Copy)]
enum Login {
    /// It gave a token.
    Proven,
    /// It wants name and password with every request, or knows no accounts.
    Unproven,
}

/// What was under way decides what a refusal means.
#[derive(Clone, Copy)]
enum UploadStep {
    LogIn,
    Read(Login),
    Push(Login),
}

impl UploadStep {
    const fn proves_the_login(self) -> bool {
        matches!(self, Self::LogIn | Self::Read(Login::Unproven) | Self::Push(Login::Unproven))
    }

    const fn action(self) -> &'static str {
        match self {
            Self::LogIn => "log in for",
            Self::Read(_) => "read",
            Self::Push(_) => "push",
        }
    }
}

async fn persistently<T, F>(attempt: impl Fn() -> F) -> Result<T, RegistryError>
where
    F: Future<Output = Result<T, RegistryError>>,
{
    for pause in PAUSES {
        match attempt().await {
            Err(error) if error.may_pass() => tracing::debug!(%error, ?pause, "asking the registry again"),
            done => return done,
        }
        tokio::time::sleep(pause).await;
    }
    attempt().await
}

fn parse_reference(name: &str) -> Result<Reference, RegistryError> {
    name.parse().map_err(|error| RegistryError::Malformed {
        kind: "image's name",
        value: name.to_owned(),
        reason: format!("{error}"),
    })
}

/// As Docker has it: nobody listens in on what does not leave the machine.
fn is_loopback(registry: &str) -> bool {
    let host = registry.split_once(':').map_or(registry, |(host, _)| host);
    host == "localhost" || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests;
