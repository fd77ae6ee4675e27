//! What the runner says about the job: its variables, and where its files are (actions/runner,
//! `ContainerActionHandler`). What it may leave out is left out here as well.

use std::path::PathBuf;

use secrecy::SecretString;
use url::Url;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_images::{CacheMode, CacheProtocol, GitHubCache};

use super::outputs::Outputs;
use crate::error::CommandError;

/// The events whose `GITHUB_SHA` is a merge that GitHub makes to try whether it can be made. (GitHub, "Events that trigger
/// workflows"; on `pull_request_target` it is the base branch's head.)
const ON_TEST_MERGES: [&str; 3] = ["pull_request", "pull_request_review", "pull_request_review_comment"];

/// The job.
#[derive(Debug)]
pub(crate) struct Runner {
    /// What is checked out.
    pub(crate) workspace: PathBuf,
    pub(crate) repository: ProjectName,
    /// Of the event; on `pull_request` a merge that no branch has.
    pub(crate) sha: Option<CommitSha>,
    /// Whether the job is about a pull request, and so about such a merge.
    pub(crate) tests_a_merge: bool,
    /// Who or what started it.
    pub(crate) actor: String,
    /// `https://github.com`
    pub(crate) github: String,
    /// Where a token of the job's own can be asked for; only with `permissions: id-token: write`.
    pub(crate) id_token: Option<IdTokenRequest>,
    pub(crate) cache: GitHubCache,
    /// The Docker Engine, as in `DOCKER_HOST`.
    pub(crate) docker: String,
    pub(crate) outputs: Outputs,
}

/// How the job asks GitHub for a token that says who it is.
#[derive(Debug)]
pub(crate) struct IdTokenRequest {
    pub(crate) url: Url,
    pub(crate) token: SecretString,
}

impl Runner {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When this is no job's.
    pub(crate) fn read(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, CommandError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        let required = |name: &str| {
            variable(name).ok_or_else(|| {
                CommandError::misused(format!("{name} is not set"))
                    .coded("no_runner")
                    .hint("`windlass action` runs as a step of GitHub Actions; by hand, use `windlass release` and `windlass deploy`")
            })
        };
        let path = |name: &str| variable(name).map(PathBuf::from);
        let id_token = match (variable("ACTIONS_ID_TOKEN_REQUEST_URL"), variable("ACTIONS_ID_TOKEN_REQUEST_TOKEN")) {
            (Some(url), Some(token)) => {
                url.parse().ok().map(|url| IdTokenRequest { url, token: SecretString::from(token) })
            }
            _ => None,
        };
        let github = variable("GITHUB_SERVER_URL").unwrap_or_else(|| "https://github.com".to_owned());
        Ok(Self {
            workspace: required("GITHUB_WORKSPACE")?.into(),
            repository: required("GITHUB_REPOSITORY")?.parse()?,
            sha: variable("GITHUB_SHA").and_then(|sha| sha.parse().ok()),
            tests_a_merge: variable("GITHUB_EVENT_NAME").is_some_and(|event| ON_TEST_MERGES.contains(&event.as_str()))
                || variable("GITHUB_REF").is_some_and(|reference| reference.starts_with("refs/pull/")),
            actor: variable("GITHUB_ACTOR").unwrap_or_else(|| "github-actions".to_owned()),
            cache: cache(&variable, &github).unwrap_or_else(GitHubCache::absent),
            github,
            id_token,
            docker: variable("DOCKER_HOST").unwrap_or_else(|| crate::image::DOCKER.to_owned()),
            outputs: Outputs { outputs: path("GITHUB_OUTPUT"), summary: path("GITHUB_STEP_SUMMARY") },
        })
    }
}

/// GitHub's cache. Which protocol it speaks, the runner tells actions in JavaScript only (`ACTIONS_CACHE_SERVICE_V2`), and
/// others must know: the newer one, but on GitHub Enterprise Server. (actions/runner, `ContainerActionHandler`;
/// actions/toolkit, `getCacheServiceVersion`.)
fn cache(variable: &dyn Fn(&str) -> Option<String>, github: &str) -> Option<GitHubCache> {
    let newer = is_githubs_own(github) || variable("ACTIONS_CACHE_SERVICE_V2").is_some();
    let (protocol, url) = match newer {
        true => (CacheProtocol::V2, "ACTIONS_RESULTS_URL"),
        false => (CacheProtocol::V1, "ACTIONS_CACHE_URL"),
    };
    let mode = match variable("ACTIONS_CACHE_MODE").as_deref() {
        Some("read") => CacheMode::Read,
        Some("write-only") => CacheMode::Write,
        Some("none") => CacheMode::Nothing,
        _ => CacheMode::ReadAndWrite,
    };
    let token = SecretString::from(variable("ACTIONS_RUNTIME_TOKEN")?);
    Some(GitHubCache { url: variable(url)?, protocol, token, mode })
}

/// github.com, and what GitHub runs for companies under names of their own.
fn is_githubs_own(github: &str) -> bool {
    let host = Url::parse(github).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    host == "github.com" || host.ends_with(".ghe.com")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: (&str, &str) = ("ACTIONS_RUNTIME_TOKEN", "a-job-s-token");
    const RESULTS: (&str, &str) = ("ACTIONS_RESULTS_URL", "https://results.example.com/");
    const CACHE: (&str, &str) = ("ACTIONS_CACHE_URL", "https://cache.example.com/");

    fn found(variables: &[(&str, &str)], github: &str) -> Option<(String, CacheProtocol, CacheMode)> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        cache(&variable, github).map(|cache| (cache.url, cache.protocol, cache.mode))
    }

    #[test]
    fn github_s_cache_is_found_by_what_a_container_is_told() {
        let newer = Some((RESULTS.1.to_owned(), CacheProtocol::V2, CacheMode::ReadAndWrite));
        for github in ["https://github.com", "https://acme.ghe.com"] {
            assert_eq!(found(&[TOKEN, RESULTS, CACHE], github), newer);
            assert_eq!(found(&[TOKEN, CACHE], github), None);
        }
        let older = Some((CACHE.1.to_owned(), CacheProtocol::V1, CacheMode::ReadAndWrite));
        assert_eq!(found(&[TOKEN, RESULTS, CACHE], "https://ghe.example.com"), older);
        let says_so = ("ACTIONS_CACHE_SERVICE_V2", "True");
        assert_eq!(found(&[TOKEN, RESULTS, CACHE, says_so], "https://ghe.example.com"), newer);
        assert_eq!(found(&[RESULTS, CACHE], "https://github.com"), None);
    }

    #[test]
    fn the_workflow_says_what_a_job_may_do_with_the_cache() {
        for (word, mode) in [
            ("read", CacheMode::Read),
            ("write-only", CacheMode::Write),
            ("none", CacheMode::Nothing),
            ("write", CacheMode::ReadAndWrite),
        ] {
            let found = found(&[TOKEN, RESULTS, ("ACTIONS_CACHE_MODE", word)], "https://github.com");
            assert_eq!(found.map(|(_, _, mode)| mode), Some(mode));
        }
    }
}
