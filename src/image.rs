//! How an app's image comes to be: what is checked before, the build, the push, and the digest as the registry has it.

mod error;

use std::collections::BTreeMap;

use secrecy::SecretString;
use windlass_core::config::DockerEndpoint;
use windlass_core::names::{Digest, ImageName};
use windlass_images::{BuildEvent, BuildRequest, Builder, GitHubCache, PushEvent};
use windlass_registry::{Registry, RegistryCredentials, RegistryError};

use crate::error::CommandError;
use crate::recipe::Recipe;

/// Where the Docker Engine of a machine is, unless `DOCKER_HOST` says otherwise.
pub(crate) const DOCKER: &str = "unix:///var/run/docker.sock";

/// All that a build needs besides its recipe.
#[derive(Debug, Clone, Default)]
pub(crate) struct Supplies {
    /// The image's tag.
    pub(crate) tag: String,
    pub(crate) labels: BTreeMap<String, String>,
    /// By name. Those that the recipe names must be among them.
    pub(crate) secrets: BTreeMap<String, SecretString>,
    pub(crate) cache_from: Vec<String>,
    pub(crate) cache_to: Vec<String>,
    /// GitHub's, where this is a job of it.
    pub(crate) github_cache: Option<GitHubCache>,
    /// The image of BuildKit, where a cache needs one; `None`: the official one.
    pub(crate) builder_image: Option<String>,
    /// How the image's registry is signed in to.
    pub(crate) credentials: Option<RegistryCredentials>,
}

/// How the making of an image goes.
#[derive(Debug, Clone)]
pub(crate) enum Making {
    Build(BuildEvent),
    Push(PushEvent),
    /// Under this name and tag.
    Pushed(String),
    /// It is still on the engine, and why.
    Kept(String, String),
}

/// Who hears of it.
pub(crate) type Tell<'a> = &'a mut (dyn FnMut(Making) + Send);

/// The engine that builds. `address` is as in `DOCKER_HOST`.
///
/// # Errors
///
/// When there is none, or it cannot be reached this way.
pub(crate) async fn builder(address: &str) -> Result<Builder, CommandError> {
    let socket = address.strip_prefix("unix://").ok_or_else(|| {
        CommandError::failed(format!("DOCKER_HOST is {address}, and only a Unix socket is spoken to"))
            .coded("no_engine")
            .hint(format!("leave DOCKER_HOST empty, or set it to {DOCKER}"))
    })?;
    Ok(Builder::connect(&DockerEndpoint::Unix(socket.into())).await?)
}

impl Recipe {
    /// What can be told without an engine: the folder and its Dockerfile.
    ///
    /// # Errors
    ///
    /// With the first thing that is missing.
    pub(crate) fn check_files(&self) -> Result<(), CommandError> {
        Ok(self.request(String::new(), None, &Supplies::default()).check_files()?)
    }

    /// Whether every secret that the recipe names is given.
    ///
    /// # Errors
    ///
    /// With the first that is not.
    pub(crate) fn check_secrets(&self, supplies: &Supplies) -> Result<(), CommandError> {
        match self.secrets.iter().find(|name| !supplies.secrets.contains_key(*name)) {
            None => Ok(()),
            Some(name) => {
                let message = format!("windlass.toml lists the build secret {name}, and it is not given");
                Err(CommandError::misused(message)
                    .coded("build_secret_missing")
                    .hint(format!("give it with the input `build-secrets`: `{name}=${{{{ secrets.SOME_NAME }}}}`")))
            }
        }
    }

    /// Whether the registry will take the image: asked before the minutes that a build may cost.
    ///
    /// # Errors
    ///
    /// When it will not, with what to do.
    pub(crate) async fn check_registry(&self, supplies: &Supplies) -> Result<(), CommandError> {
        let Some(image) = &self.image else { return Ok(()) };
        match Registry::new(image, supplies.credentials.as_ref())?.check_push().await {
            Err(error) if is_the_engine_s_own(image, &error) => Ok(()),
            checked => Ok(checked?),
        }
    }

    /// Builds the image and, where it has a registry, pushes it; gives the digest as the registry has it, or the image's
    /// id on this engine.
    ///
    /// # Errors
    ///
    /// When the build fails, or the registry does not take the image.
    pub(crate) async fn make(
        &self,
        builder: &Builder,
        supplies: &Supplies,
        tell: Tell<'_>,
    ) -> Result<Digest, CommandError> {
        let Some(image) = &self.image else {
            let name = format!("windlass-build:{}", supplies.tag);
            let request = self.request(name, self.platforms.first(), supplies);
            return Ok(builder.build(&request, &mut |event| tell(Making::Build(event))).await?);
        };
        let registry = Registry::new(image, supplies.credentials.as_ref())?;
        match &self.platforms[..] {
            [] | [_] => {
                let pushed = self.push(builder, image, &supplies.tag, self.platforms.first(), supplies, tell).await?;
                digest(&registry, image, &supplies.tag, pushed).await
            }
            several => {
                let mut images = Vec::new();
                for platform in several {
                    let tag = format!("{}-{}", supplies.tag, platform.replace('/', "-"));
                    let pushed = self.push(builder, image, &tag, Some(platform), supplies, tell).await?;
                    images.push((platform.clone(), digest(&registry, image, &tag, pushed).await?));
                }
                Ok(registry.push_index(&supplies.tag, &images).await?)
            }
        }
    }

    async fn push(
        &self,
        builder: &Builder,
        image: &ImageName,
        tag: &str,
        platform: Option<&String>,
        supplies: &Supplies,
        tell: Tell<'_>,
    ) -> Result<Digest, CommandError> {
        let name = format!("{image}:{tag}");
        let request = self.request(name.clone(), platform, supplies);
        builder.build(&request, &mut |event| tell(Making::Build(event))).await?;
        let credentials = supplies.credentials.as_ref();
        let pushed = builder.push(image, tag, credentials, &mut |event| tell(Making::Push(event))).await;
        // The registry has it; a runner of one's own would fill up with one image per commit.
        if let Err(error) = builder.remove(&name).await {
            tell(Making::Kept(name.clone(), error.to_string()));
        }
        let digest = pushed?;
        tell(Making::Pushed(name));
        Ok(digest)
    }

    /// What is built apart has a cache apart: a build keeps only its own steps.
    fn cache_scope(&self, platform: Option<&String>) -> String {
        let built = match &self.image {
            Some(image) => image.to_string(),
            None => format!("{}/{}", self.context.display(), self.dockerfile.display()),
        };
        let several = platform.filter(|_| self.platforms.len() > 1);
        [Some(&built), self.target.as_ref(), several].into_iter().flatten().cloned().collect::<Vec<_>>().join("-")
    }

    fn request(&self, name: String, platform: Option<&String>, supplies: &Supplies) -> BuildRequest {
        let registry = self.image.as_ref().map(|image| image.registry().to_owned());
        BuildRequest {
            context: self.context.clone(),
            dockerfile: self.dockerfile.clone(),
            target: self.target.clone(),
            args: self.args.clone(),
            secrets: supplies.secrets.clone(),
            labels: supplies.labels.clone(),
            platform: platform.cloned(),
            cache_from: supplies.cache_from.clone(),
            cache_to: supplies.cache_to.clone(),
            github_cache: supplies.github_cache.clone(),
            cache_scope: self.cache_scope(platform),
            builder_image: supplies.builder_image.clone(),
            name,
            credentials: registry.zip(supplies.credentials.clone()).into_iter().collect(),
        }
    }
}

/// The digest that was pushed, once the registry says that it has the tag. Whoever moved the tag meanwhile has not moved
/// what was pushed.
async fn digest(registry: &Registry, image: &ImageName, tag: &str, pushed: Digest) -> Result<Digest, CommandError> {
    match registry.digest(tag).await {
        Ok(Some(_)) => Ok(pushed),
        Err(error) if is_the_engine_s_own(image, &error) => Ok(pushed),
        Err(error) => Err(error.into()),
        Ok(None) => Err(CommandError::failed(format!("{image}:{tag} was pushed, and the registry does not have it"))
            .coded("push_failed")
            .hint("does something delete fresh images there?")),
    }
}

/// A registry on the loopback address of the engine's machine, which a container of it cannot reach: only the engine can
/// say anything of it.
fn is_the_engine_s_own(image: &ImageName, error: &RegistryError) -> bool {
    let host = image.registry().rsplit_once(':').map_or(image.registry(), |(host, _)| host);
    matches!(error, RegistryError::Unreachable { .. }) && (host == "localhost" || host.starts_with("127."))
}
