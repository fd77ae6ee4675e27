//! Proves that a job's token is GitHub's: the issuer's keys, cached, and the token's signature, issuer, audience and
//! times. What the job may do then is `windlass_core::sign_in`'s.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use jiff::Timestamp;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, Jwk};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use windlass_core::sign_in::JobClaims;

/// How long keys are good: one that GitHub withdraws is not trusted longer.
const GOOD_FOR: Duration = Duration::from_secs(60 * 60);
/// Anybody can send a token with a key's id that nobody knows; GitHub is asked for it no more often than this.
const ASK_FOR_UNKNOWN: Duration = Duration::from_secs(60);
/// So long after the issuer did not answer nobody is kept waiting for it again.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const TIMEOUT: Duration = Duration::from_secs(10);

/// Whoever signs jobs' tokens.
pub(crate) struct Issuer {
    /// As it stands in `iss`.
    name: String,
    keys_url: String,
    /// As whom we are meant.
    audience: String,
    http: reqwest::Client,
    keys: RwLock<Keys>,
    asking: Mutex<Asking>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, DecodingKey>,
    read_at: Option<Instant>,
}

/// When the issuer was asked; whoever holds it asks.
#[derive(Default)]
struct Asking {
    for_unknown: Option<Instant>,
    failed: Option<(Instant, String)>,
}

/// Why a token is not accepted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// It is not what the issuer signed for us, now.
    #[error("{0}")]
    Refused(String),
    /// Nobody can say: the issuer's keys cannot be read.
    #[error("{0}")]
    Unavailable(String),
}

impl Issuer {
    /// Nothing is asked yet.
    pub(crate) fn new(issuer: &Url, public_url: &Url) -> Result<Self, reqwest::Error> {
        let name = issuer.as_str().trim_end_matches('/').to_owned();
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(TIMEOUT)
            // Keys come from the issuer itself or not at all.
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self {
            keys_url: format!("{name}/.well-known/jwks"),
            name,
            audience: public_url.as_str().trim_end_matches('/').to_owned(),
            http,
            keys: RwLock::default(),
            asking: Mutex::default(),
        })
    }

    /// As whom we are meant: the token's `aud`.
    pub(crate) fn audience(&self) -> &str {
        &self.audience
    }

    /// What the job's token says, if it is GitHub's, for us, and good now.
    pub(crate) async fn verify(&self, token: &str, now: Timestamp) -> Result<JobClaims, OidcError> {
        let refused = |why: &str| OidcError::Refused(why.to_owned());
        let header =
            decode_header(token).map_err(|_| refused("it is not a JSON web token that is signed with RS256"))?;
        if header.alg != Algorithm::RS256 {
            return Err(OidcError::Refused(format!("it is signed with {:?}; only RS256 counts", header.alg)));
        }
        let kid = header.kid.ok_or_else(|| refused("it does not say with which key it is signed"))?;
        let key = self.key(&kid).await?;
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_issuer(&[&self.name]);
        validation.set_audience(&[&self.audience]);
        validation.set_required_spec_claims(&["exp", "iss", "aud"]);
        // Times are compared with our own clock, below.
        validation.validate_exp = false;
        let claims: JobClaims =
            decode(token, &key, &validation).map_err(|error| OidcError::Refused(self.why(error.kind())))?.claims;
        claims.good_at(now).map_err(|error| OidcError::Refused(error.to_string()))?;
        Ok(claims)
    }

    fn why(&self, kind: &ErrorKind) -> String {
        match kind {
            ErrorKind::InvalidAudience => format!("it is not meant for {}", self.audience),
            ErrorKind::InvalidIssuer => format!("it is not from {}", self.name),
            ErrorKind::InvalidSignature => "its signature is wrong".to_owned(),
            ErrorKind::MissingRequiredClaim(claim) => format!("it has no `{claim}`"),
            // Says which claim is missing or of the wrong form, not what is in it.
            ErrorKind::Json(error) => format!("its claims are not those of a job: {error}"),
            _ => "it cannot be read".to_owned(),
        }
    }

    /// The issuer's key of this id. One that is not known makes the issuer be asked again, but not always.
    async fn key(&self, kid: &str) -> Result<DecodingKey, OidcError> {
        if let Some(Some(key)) = self.cached(kid) {
            return Ok(key);
        }
        let mut asking = self.asking.lock().await;
        // Somebody else may have read them meanwhile.
        let now = Instant::now();
        match self.cached(kid) {
            Some(Some(key)) => return Ok(key),
            Some(None) if asking.for_unknown.is_some_and(|last| now < last + ASK_FOR_UNKNOWN) => {
                return Err(OidcError::Refused(unknown_key(&self.name, kid)));
            }
            Some(None) | None => {}
        }
        let had_keys = self.cached(kid).is_some();
        if let Some((at, why)) = asking.failed.as_ref()
            && now < *at + AFTER_FAILURE
        {
            return Err(OidcError::Unavailable(why.clone()));
        }
        match self.read_keys().await {
            Ok(by_id) => {
                asking.failed = None;
                // A read that failed has told nothing about the key.
                asking.for_unknown = had_keys.then_some(now).or(asking.for_unknown);
                let found = by_id.get(kid).cloned();
                *self.keys.write().unwrap_or_else(PoisonError::into_inner) =
                    Keys { by_id, read_at: Some(Instant::now()) };
                found.ok_or_else(|| OidcError::Refused(unknown_key(&self.name, kid)))
            }
            Err(error) => {
                let why = format!("{:#}", anyhow::Error::new(error));
                tracing::warn!(issuer = self.name, why, "the keys of jobs' tokens cannot be read");
                asking.failed = Some((Instant::now(), why.clone()));
                Err(OidcError::Unavailable(why))
            }
        }
    }

    /// `None`: no keys are known that are still good. `Some(None)`: but not this one.
    fn cached(&self, kid: &str) -> Option<Option<DecodingKey>> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let fresh = keys.read_at.is_some_and(|read_at| read_at.elapsed() < GOOD_FOR);
        fresh.then(|| keys.by_id.get(kid).cloned())
    }

    async fn read_keys(&self) -> Result<HashMap<String, DecodingKey>, reqwest::Error> {
        #[derive(serde::Deserialize)]
        struct KeySet {
            keys: Vec<serde_json::Value>,
        }
        let answer = self.http.get(&self.keys_url).send().await?.error_for_status()?;
        Ok(by_id(answer.json::<KeySet>().await?.keys))
    }

    /// Who has told these keys, and is not to be asked for any other within this life.
    #[cfg(fuzzing)]
    pub(crate) fn knowing(mut self, keys: Vec<serde_json::Value>) -> Self {
        let in_a_year = Instant::now() + Duration::from_secs(365 * 24 * 60 * 60);
        self.keys = RwLock::new(Keys { by_id: by_id(keys), read_at: Some(in_a_year) });
        self.asking = Mutex::new(Asking { for_unknown: Some(in_a_year), failed: None });
        self
    }
}

fn by_id(keys: Vec<serde_json::Value>) -> HashMap<String, DecodingKey> {
    // A key of a kind that is not known here must not hide the others.
    let keys = keys.into_iter().filter_map(|key| serde_json::from_value::<Jwk>(key).ok());
    let rsa = keys.filter(|key| matches!(key.algorithm, AlgorithmParameters::RSA(_)));
    rsa.filter_map(|key| Some((key.common.key_id.clone()?, DecodingKey::from_jwk(&key).ok()?))).collect()
}

fn unknown_key(issuer: &str, kid: &str) -> String {
    let kid: String = kid.chars().filter(|c| !c.is_control()).take(64).collect();
    format!("{issuer} has no key `{kid}`")
}
