//! GitHub's cache, as a job of GitHub Actions reaches it: what an entry with `type=gha` leaves to the runner. (BuildKit,
//! `cache/remotecache/gha`; docker/buildx, `addGithubToken`.)

use std::collections::HashMap;

use secrecy::{ExposeSecret, SecretString};

/// GitHub's cache of one job. It ends with the job, and so does its token.
#[derive(Debug, Clone)]
pub struct GitHubCache {
    /// Where it answers.
    pub url: String,
    /// What it speaks there.
    pub protocol: CacheProtocol,
    /// The job's own. It may read and write nothing but this cache and the job's artifacts.
    pub token: SecretString,
    /// What the workflow lets the job do with it.
    pub mode: CacheMode,
}

/// The two protocols of GitHub's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheProtocol {
    /// The older one, which only GitHub Enterprise Server still has.
    V1,
    /// What github.com has had since 2025.
    V2,
}

/// What a job may do with GitHub's cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheMode {
    /// Both, as where nothing is said.
    ReadAndWrite,
    /// Take from it.
    Read,
    /// Leave in it.
    Write,
    /// Neither.
    Nothing,
    /// There is none: the job's runner names no cache. What asks for it is left out, and said to be.
    Absent,
}

impl GitHubCache {
    /// For a job whose runner names no cache.
    #[must_use]
    pub fn absent() -> Self {
        let (url, token) = (String::new(), SecretString::default());
        Self { url, protocol: CacheProtocol::V2, token, mode: CacheMode::Absent }
    }
}

impl CacheMode {
    pub(super) const fn reads(self) -> bool {
        matches!(self, Self::ReadAndWrite | Self::Read)
    }

    pub(super) const fn writes(self) -> bool {
        matches!(self, Self::ReadAndWrite | Self::Write)
    }
}

/// Whether the attributes of an entry say all that BuildKit needs to reach a cache.
pub(super) fn is_complete(attrs: &HashMap<String, String>) -> bool {
    let has = |name: &str| attrs.get(name).is_some_and(|value| !value.is_empty());
    has("token") && (has("url") || has("url_v2"))
}

/// Fills in what the entry does not say itself. Builds of one scope overwrite each other's steps.
pub(super) fn fill(attrs: &mut HashMap<String, String>, cache: Option<&GitHubCache>, scope: &str) {
    let mut unless_given = |name: &str, value: &str| {
        attrs.entry(name.to_owned()).or_insert_with(|| value.to_owned());
    };
    if !scope.is_empty() {
        unless_given("scope", scope);
    }
    let Some(cache) = cache else { return };
    unless_given("token", cache.token.expose_secret());
    match cache.protocol {
        CacheProtocol::V1 => {
            unless_given("url", &cache.url);
            unless_given("version", "1");
        }
        CacheProtocol::V2 => {
            unless_given("url_v2", &cache.url);
            unless_given("version", "2");
        }
    }
}
