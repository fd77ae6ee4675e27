//! `cache-from` and `cache-to`, as Docker writes them, and which builder can do what they ask for.

use std::collections::HashMap;

use bollard::grpc::build::moby::buildkit::v1::{CacheOptions, CacheOptionsEntry};

use super::BuildRequest;
use super::error::{BuildError, CacheFault};
use super::github::{self, CacheMode};

/// What an engine's own builder can do with caches beside what every engine's can: fetch from a registry, and keep its
/// steps in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EngineCaches {
    /// Nothing: the engine keeps images in Docker's own store.
    Plain,
    /// Keep them in a registry, with containerd's image store, since 24.0.
    Registry,
    /// GitHub's cache too, in the protocol that it has today, since 28.0.
    All,
}

/// The caches of a build.
#[derive(Clone, Default)]
pub(super) struct Caches {
    from: Vec<CacheOptionsEntry>,
    to: Vec<CacheOptionsEntry>,
    /// Why something was left out that was asked for.
    pub(super) lost: Option<&'static str>,
}

impl Caches {
    /// Reads what a request asks for, and fills in what the job's runner knows.
    pub(super) fn of(request: &BuildRequest) -> Result<Self, BuildError> {
        let mode = request.github_cache.as_ref().map(|cache| cache.mode);
        let mut from = parse("cache-from", &request.cache_from, request)?;
        let mut to = parse("cache-to", &request.cache_to, request)?;
        let absent = mode == Some(CacheMode::Absent) && from.iter().chain(&to).any(is_github);
        from.retain(|entry| !is_github(entry) || mode.is_none_or(|mode| mode.reads()));
        to.retain(|entry| !is_github(entry) || mode.is_none_or(|mode| mode.writes()));
        for entry in to.iter_mut().filter(|entry| entry.r#type != "inline") {
            // A cache is a help: an image that was built is not lost for it.
            entry.attrs.entry("ignore-error".to_owned()).or_insert_with(|| "true".to_owned());
        }
        Ok(Self { from, to, lost: absent.then_some("the runner of this job names no cache of GitHub's") })
    }

    /// Whether every engine's own builder can do it.
    pub(super) fn are_plain(&self) -> bool {
        self.suit(EngineCaches::Plain)
    }

    /// Whether an engine's own builder can do it.
    pub(super) fn suit(&self, engine: EngineCaches) -> bool {
        let from = self.from.iter().all(|entry| can_fetch(entry, engine));
        from && self.to.iter().all(|entry| can_keep(entry, engine))
    }

    /// Leaves out what an engine's own builder cannot do.
    pub(super) fn only_plain(mut self) -> Self {
        self.from.retain(|entry| can_fetch(entry, EngineCaches::Plain));
        self.to.retain(|entry| can_keep(entry, EngineCaches::Plain));
        self
    }

    /// Whether one is in a registry on the loopback address of the engine's machine, which no container reaches unless
    /// it is on the machine's own network.
    pub(super) fn are_on_the_engines_machine(&self) -> bool {
        let references = self.from.iter().chain(&self.to).filter_map(|entry| entry.attrs.get("ref"));
        references.into_iter().any(|reference| reference.starts_with("localhost") || reference.starts_with("127."))
    }

    /// It is the reader of Dockerfiles that fetches caches, and it looks for them among its own attributes.
    pub(super) fn imports(&self) -> Option<(String, String)> {
        let one = |entry: &CacheOptionsEntry| serde_json::json!({ "Type": entry.r#type, "Attrs": entry.attrs });
        let imports: Vec<_> = self.from.iter().map(one).collect();
        (!imports.is_empty()).then(|| ("cache-imports".to_owned(), serde_json::Value::from(imports).to_string()))
    }

    pub(super) fn into_options(self) -> CacheOptions {
        CacheOptions { imports: self.from, exports: self.to, ..CacheOptions::default() }
    }
}

fn is_github(entry: &CacheOptionsEntry) -> bool {
    entry.r#type == "gha"
}

fn can_fetch(entry: &CacheOptionsEntry, engine: EngineCaches) -> bool {
    !is_github(entry) || engine == EngineCaches::All
}

fn can_keep(entry: &CacheOptionsEntry, engine: EngineCaches) -> bool {
    match entry.r#type.as_str() {
        "inline" => true,
        "registry" => engine != EngineCaches::Plain,
        _ => engine == EngineCaches::All,
    }
}

/// `type=registry,ref=…`, or a reference alone.
fn parse(input: &str, entries: &[String], request: &BuildRequest) -> Result<Vec<CacheOptionsEntry>, BuildError> {
    let one = |entry: &String| {
        let refused = |fault| BuildError::Cache { option: format!("{input}: {}", without_secrets(entry)), fault };
        let wrong = |reason: &'static str| refused(CacheFault::Malformed { reason });
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
        match kind.as_str() {
            "registry" if attrs.get("ref").is_none_or(String::is_empty) => {
                return Err(wrong("type=registry needs a ref"));
            }
            "inline" if input == "cache-from" => {
                return Err(wrong("it is fetched with the image: type=registry,ref=…"));
            }
            "inline" | "registry" => {}
            "gha" => {
                github::fill(&mut attrs, request.github_cache.as_ref(), &request.cache_scope);
                if request.github_cache.is_none() && !github::is_complete(&attrs) {
                    return Err(refused(CacheFault::NoJob));
                }
            }
            _ => return Err(refused(CacheFault::UnknownType { kind })),
        }
        Ok(CacheOptionsEntry { r#type: kind, attrs })
    };
    entries.iter().filter(|entry| !entry.trim().is_empty()).map(one).collect()
}

/// The entry as it may be shown: somebody may have written a token into it.
fn without_secrets(entry: &str) -> String {
    let shown = entry.split(',').map(|pair| match pair.split_once('=') {
        Some((key, _)) if key.trim().to_ascii_lowercase().contains("token") => format!("{key}=***"),
        _ => pair.to_owned(),
    });
    shown.collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use windlass_core::hint::Hint;

    use super::super::{CacheProtocol, GitHubCache};
    use super::*;

    fn entry(kind: &str, attrs: &[(&str, &str)]) -> CacheOptionsEntry {
        let attrs = attrs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        CacheOptionsEntry { r#type: kind.to_owned(), attrs }
    }

    fn request(from: &[&str], to: &[&str]) -> BuildRequest {
        let owned = |entries: &[&str]| entries.iter().map(|entry| (*entry).to_owned()).collect();
        BuildRequest { cache_from: owned(from), cache_to: owned(to), ..BuildRequest::default() }
    }

    fn in_a_job(mut request: BuildRequest, protocol: CacheProtocol, mode: CacheMode) -> BuildRequest {
        let url = "https://results.example.com/".to_owned();
        request.github_cache = Some(GitHubCache { url, protocol, token: "a-job-s-token".into(), mode });
        request.cache_scope = "ghcr.io/acme/shop".to_owned();
        request
    }

    #[test]
    fn a_reference_alone_means_a_registry() {
        let given = request(&["ghcr.io/acme/shop:cache", "type=registry,ref=ghcr.io/acme/shop:main"], &[]);
        let caches = Caches::of(&given).unwrap();
        let expected = ["ghcr.io/acme/shop:cache", "ghcr.io/acme/shop:main"];
        assert_eq!(caches.from, expected.map(|reference| entry("registry", &[("ref", reference)])));
        assert!(caches.are_plain());
    }

    #[test]
    fn each_cache_needs_a_builder_that_can_do_it() {
        let plain = Caches::of(&request(&["ghcr.io/acme/shop:cache"], &["type=inline"])).unwrap();
        assert_eq!(plain.to, [entry("inline", &[])]);
        let registry = Caches::of(&request(&[], &["type=registry,ref=ghcr.io/acme/shop:cache,mode=max"])).unwrap();
        let job = in_a_job(request(&["type=gha"], &[]), CacheProtocol::V2, CacheMode::ReadAndWrite);
        let github = Caches::of(&job).unwrap();
        let engines = [EngineCaches::Plain, EngineCaches::Registry, EngineCaches::All];
        for (caches, can) in
            [(plain, [true, true, true]), (registry, [false, true, true]), (github, [false, false, true])]
        {
            assert_eq!(engines.map(|engine| caches.suit(engine)), can);
            assert!(caches.only_plain().are_plain());
        }
    }

    #[test]
    fn what_cannot_be_kept_does_not_fail_the_build_unless_that_is_asked_for() {
        let given = ["type=registry,ref=a/b:c,mode=max", "type=registry,ref=a/b:d,ignore-error=false"];
        let kept = Caches::of(&request(&[], &given)).unwrap().to;
        assert_eq!(kept[0], entry("registry", &[("ref", "a/b:c"), ("mode", "max"), ("ignore-error", "true")]));
        assert_eq!(kept[1], entry("registry", &[("ref", "a/b:d"), ("ignore-error", "false")]));
    }

    #[test]
    fn github_s_cache_gets_from_the_runner_what_its_entry_leaves_out() {
        let given = request(&["type=gha"], &["type=gha,mode=max,scope=mine"]);
        let caches = Caches::of(&in_a_job(given.clone(), CacheProtocol::V2, CacheMode::ReadAndWrite)).unwrap();
        let (url, token) = (("url_v2", "https://results.example.com/"), ("token", "a-job-s-token"));
        let expected = entry("gha", &[url, token, ("version", "2"), ("scope", "ghcr.io/acme/shop")]);
        assert_eq!(caches.from, std::slice::from_ref(&expected));
        let imports = caches.imports().unwrap();
        let imports: serde_json::Value = serde_json::from_str(&imports.1).unwrap();
        assert_eq!(imports, serde_json::json!([{ "Type": "gha", "Attrs": expected.attrs }]));
        let more = [("mode", "max"), ("scope", "mine"), ("ignore-error", "true")];
        assert_eq!(caches.to, [entry("gha", &[&[url, token, ("version", "2")], &more[..]].concat())]);

        let older = Caches::of(&in_a_job(given, CacheProtocol::V1, CacheMode::ReadAndWrite)).unwrap();
        let url = ("url", "https://results.example.com/");
        assert_eq!(older.from, [entry("gha", &[url, token, ("version", "1"), ("scope", "ghcr.io/acme/shop")])]);
    }

    #[test]
    fn what_the_workflow_does_not_let_the_job_do_is_not_tried() {
        let given = request(&["type=gha", "a/b:c"], &["type=gha", "type=inline"]);
        for (mode, from, to) in [
            (CacheMode::ReadAndWrite, 2, 2),
            (CacheMode::Read, 2, 1),
            (CacheMode::Write, 1, 2),
            (CacheMode::Nothing, 1, 1),
            (CacheMode::Absent, 1, 1),
        ] {
            let caches = Caches::of(&in_a_job(given.clone(), CacheProtocol::V2, mode)).unwrap();
            assert_eq!((caches.from.len(), caches.to.len()), (from, to), "{mode:?}");
            assert_eq!(caches.lost.is_some(), mode == CacheMode::Absent);
        }
    }

    #[test]
    fn what_cannot_be_used_is_named_with_its_input() {
        for (given, expected) in [
            ("type=gha", "GitHub's cache is there for the jobs of GitHub Actions only"),
            ("type=inline", "it is fetched with the image: type=registry,ref=…"),
            ("ref=a/b", "it does not say its type"),
            ("type=registry", "type=registry needs a ref"),
            ("type=registry,a/b", "it is not a list of key=value"),
            ("type=s3,bucket=a", "caches of type=s3 are not supported"),
        ] {
            let error = Caches::of(&request(&[given], &[])).err().unwrap();
            assert_eq!(error.to_string(), format!("`cache-from: {given}` cannot be used: {expected}"));
            assert!(error.hint().is_some());
        }
        let error = Caches::of(&request(&[], &["type=local,dest=/tmp"])).err().unwrap();
        assert!(error.hint().unwrap().contains("type=gha"), "{error}");
    }

    #[test]
    fn a_token_is_in_no_error() {
        for given in ["type=s3,session_token=hunter2", "type=gha,Token=hunter2", "token=hunter2"] {
            let error = Caches::of(&request(&[given], &[])).err().unwrap();
            assert!(!format!("{error} {error:?} {:?}", error.hint()).contains("hunter2"), "{error}");
        }
        let job = in_a_job(request(&["type=gha"], &["type=gha"]), CacheProtocol::V2, CacheMode::ReadAndWrite);
        assert!(!format!("{job:?}").contains("a-job-s-token"), "{job:?}");
    }
}
