//! What an answer means: a page of something, or one of the ways to refuse.

use std::error::Error;
use std::io;
use std::time::Duration;

use axum::http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;
use windlass_core::Timestamp;

use crate::github::error::GitHubError;

/// A limit that does not say when it ends.
const UNTOLD: Duration = Duration::from_secs(60);

/// An answer with what was asked.
#[derive(Debug)]
pub(in crate::github) struct Answer {
    pub(in crate::github) asked: String,
    pub(in crate::github) status: u16,
    /// Whether GitHub says that there is another page; `None`: it does not say.
    pub(in crate::github) more: Option<bool>,
    /// Where the next page begins, in lists that have no numbered pages.
    pub(in crate::github) next_cursor: Option<String>,
    /// GitHub's clock.
    pub(in crate::github) date: Option<Timestamp>,
    body: String,
}

impl Answer {
    pub(super) fn read(asked: &str, status: u16, headers: &HeaderMap, body: String) -> Result<Self, GitHubError> {
        if !(200..300).contains(&status) {
            return Err(refusal(asked, status, headers, message(&body)));
        }
        let link = text(headers, "link");
        let more = link.map(|link| link.contains("rel=\"next\""));
        let next_cursor = link.and_then(next_cursor);
        Ok(Self { asked: asked.to_owned(), status, more, next_cursor, date: date(headers), body })
    }

    pub(in crate::github) fn json<T: DeserializeOwned>(&self) -> Result<T, GitHubError> {
        serde_json::from_str(&self.body).map_err(|error| self.malformed(error.to_string()))
    }

    pub(in crate::github) fn malformed(&self, why: String) -> GitHubError {
        GitHubError::Malformed { asked: self.asked.clone(), why }
    }

    /// A 2xx that says in words that it did something else.
    pub(in crate::github) fn refused(&self) -> GitHubError {
        GitHubError::Refused { asked: self.asked.clone(), status: self.status, message: message(&self.body) }
    }
}

/// The cursor in the link to the next page.
fn next_cursor(link: &str) -> Option<String> {
    let next = link.split(',').find(|part| part.contains("rel=\"next\""))?;
    let (_, url) = next.split_once('<')?;
    let (url, _) = url.split_once('>')?;
    let url = Url::parse(url).ok()?;
    url.query_pairs().find(|(name, _)| name == "cursor").map(|(_, cursor)| cursor.into_owned())
}

/// No answer to the request itself, or a refusal of the token for it.
pub(super) fn failed(asked: &str, error: octocrab::Error) -> GitHubError {
    let asked = asked.to_owned();
    match error {
        octocrab::Error::GitHub { source, .. } => {
            let headers = source.headers.unwrap_or_default();
            refusal(&asked, source.status_code.as_u16(), &headers, source.message)
        }
        octocrab::Error::Serde { .. } | octocrab::Error::Json { .. } | octocrab::Error::InvalidUtf8 { .. } => {
            GitHubError::Malformed { asked, why: windlass_core::reason::innermost(&error) }
        }
        error if causes(&error).any(timed_out) => GitHubError::Timeout { asked },
        error => GitHubError::Unreachable { asked, why: windlass_core::reason::innermost(&error) },
    }
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&cause| cause.source())
}

fn timed_out(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::TimedOut)
}

fn refusal(asked: &str, status: u16, headers: &HeaderMap, message: String) -> GitHubError {
    let asked = asked.to_owned();
    match status {
        401 => GitHubError::Unauthorized { asked, message },
        403 | 429 => match limit(status, headers, &message) {
            Some(retry_after) => GitHubError::RateLimited { asked, retry_after },
            None => GitHubError::Forbidden { asked, message },
        },
        404 => GitHubError::NotFound { asked, message },
        _ => GitHubError::Refused { asked, status, message },
    }
}

/// How long a refusal asks us to be silent; `None`: it is none of the limits.
fn limit(status: u16, headers: &HeaderMap, message: &str) -> Option<Duration> {
    let number = |name| text(headers, name).and_then(|value| value.trim().parse::<u64>().ok());
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset").and_then(|seconds| i64::try_from(seconds).ok());
        // GitHub's own clock, so that ours need not be right.
        let now = date(headers).unwrap_or_else(Timestamp::now);
        let left = reset.map_or(0, |reset| reset.saturating_sub(now.as_second()));
        // One second more, since the reset is told in whole ones.
        return Some(u64::try_from(left).map_or(Duration::ZERO, Duration::from_secs) + Duration::from_secs(1));
    }
    let said = message.to_lowercase().contains("rate limit");
    (status == 429 || said).then_some(UNTOLD)
}

fn date(headers: &HeaderMap) -> Option<Timestamp> {
    let date = text(headers, "date")?;
    jiff::fmt::rfc2822::parse(date).ok().map(|date| date.timestamp())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// GitHub's words with the details it adds, or the beginning of whatever came instead (a proxy's page, say).
fn message(body: &str) -> String {
    #[derive(Deserialize)]
    struct Wire {
        message: String,
        #[serde(default)]
        errors: serde_json::Value,
    }
    match serde_json::from_str::<Wire>(body) {
        Ok(Wire { message, errors }) if errors.is_null() => message,
        Ok(Wire { message, errors }) => format!("{message} {errors}"),
        Err(_) => body.trim().chars().take(200).collect(),
    }
}
