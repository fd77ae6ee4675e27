//! The way to an authority: within bounds of time and size, and with an ear for how long it wants to be left alone.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{self, Body, Bytes};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Request, Response, StatusCode};
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use jiff::Timestamp;
use windlass_core::config::AcmeConfig;
use windlass_core::reason::innermost;

use super::authority::bounded;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(30);
/// What an authority says is a few kilobytes.
const SIZE: usize = 1024 * 1024;
/// However long an authority asks to be left alone, it is tried again the next day.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// One try's way to the authority.
#[derive(Debug, Clone)]
pub(super) struct Transport {
    http: reqwest::Client,
    alone: LeftAlone,
}

/// For how long the authority asked to be left alone.
#[derive(Debug, Clone, Default)]
pub(super) struct LeftAlone(Arc<Mutex<Option<Duration>>>);

impl LeftAlone {
    pub(super) fn asked(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Made once; connections are shared by all tries.
pub(super) async fn client(config: &AcmeConfig) -> Result<reqwest::Client, String> {
    let mut builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(TIMEOUT)
        // An authority's answers say where to go on.
        .redirect(reqwest::redirect::Policy::none());
    if let Some(path) = &config.authority {
        let shown = path.display();
        let pem = tokio::fs::read(path).await.map_err(|error| format!("{shown} cannot be read: {error}"))?;
        let roots = reqwest::Certificate::from_pem_bundle(&pem)
            .ok()
            .filter(|roots| !roots.is_empty())
            .ok_or_else(|| format!("there is no certificate in PEM in {shown} (acme.authority)"))?;
        builder = builder.tls_certs_only(roots);
    }
    builder.build().map_err(|error| innermost(&error))
}

/// What an authority says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DirectoryFacts {
    /// What its customers agree to.
    pub(crate) terms: Option<String>,
    /// Its kinds of certificates.
    pub(crate) profiles: Vec<String>,
    pub(crate) wants_external_account: bool,
    /// Whether it says when to renew (RFC 9773).
    pub(crate) renewal_info: bool,
}

/// Looks whether an authority answers, for people.
pub(crate) async fn ask_directory(config: &AcmeConfig) -> Result<DirectoryFacts, String> {
    let (transport, _) = Transport::new(client(config).await?);
    let request =
        Request::get(config.directory.as_str()).body(BodyWrapper::default()).map_err(|error| error.to_string())?;
    let mut answer = transport.send(request).await.map_err(|error| bounded(&innermost(&error)))?;
    let status = answer.parts.status;
    let content = answer.body.into_bytes().await.map_err(|error| error.to_string())?;
    let directory: serde_json::Value = serde_json::from_slice(&content).unwrap_or_default();
    if !status.is_success() || !directory["newOrder"].is_string() {
        return Err(format!("HTTP {}, and no directory of an authority", status.as_u16()));
    }
    let meta = &directory["meta"];
    let profiles = meta["profiles"].as_object().into_iter().flat_map(|profiles| profiles.keys());
    Ok(DirectoryFacts {
        terms: meta["termsOfService"].as_str().map(bounded),
        profiles: profiles.map(|name| bounded(name)).collect(),
        wants_external_account: meta["externalAccountRequired"].as_bool().unwrap_or_default(),
        renewal_info: directory["renewalInfo"].is_string(),
    })
}

impl Transport {
    pub(super) fn new(http: reqwest::Client) -> (Self, LeftAlone) {
        let alone = LeftAlone::default();
        (Self { http, alone: alone.clone() }, alone)
    }

    async fn send(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Error> {
        let (parts, body) = request.into_parts();
        let body = body::to_bytes(Body::new(body), SIZE).await.map_err(other)?;
        let mut request = self.http.request(parts.method, parts.uri.to_string()).headers(parts.headers);
        if !body.is_empty() {
            request = request.body(body);
        }
        let mut answer = request.send().await.map_err(|error| other(innermost(&error)))?;
        let mut head = Response::new(());
        *head.status_mut() = answer.status();
        *head.headers_mut() = std::mem::take(answer.headers_mut());
        let (parts, ()) = head.into_parts();
        let mut content = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| other(innermost(&error)))? {
            if content.len() + chunk.len() > SIZE {
                return Err(other(format!("its answer is larger than {SIZE} bytes")));
            }
            content.extend_from_slice(&chunk);
        }
        self.listen(parts.status, &parts.headers);
        if !parts.status.is_success() && !is_json(&parts.headers) {
            return Err(other(format!("it answers HTTP {}, without a reason", parts.status.as_u16())));
        }
        Ok(BytesResponse { parts, body: Box::new(Bytes::from(content)) })
    }

    fn listen(&self, status: StatusCode, headers: &HeaderMap) {
        if !matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        if let Some(asked) = headers.get(RETRY_AFTER).and_then(|value| retry_after(value.to_str().ok()?.trim())) {
            let mut alone = self.alone.0.lock().unwrap_or_else(PoisonError::into_inner);
            *alone = Some(asked.min(LONGEST).max(alone.unwrap_or_default()));
        }
    }
}

impl HttpClient for Transport {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        Box::pin(self.clone().send(request))
    }
}

fn other(error: impl Into<Box<dyn StdError + Send + Sync>>) -> Error {
    Error::Other(error.into())
}

fn is_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| value.contains("json"))
}

/// Seconds, or a date.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
    Some(at.duration_since(Timestamp::now()).try_into().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_says_in_seconds_or_by_a_date_how_long_it_wants_to_be_left_alone() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        assert_eq!(retry_after("Fri, 31 Dec 1999 23:59:59 GMT"), Some(Duration::ZERO));
        assert!(retry_after("Fri, 31 Dec 2399 23:59:59 GMT").is_some_and(|asked| asked > LONGEST));
        assert_eq!(retry_after("soon"), None);
    }
}
