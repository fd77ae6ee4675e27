//! Doors to what strangers' bytes meet first, for the targets in `fuzz/`. They exist only where cargo-fuzz builds.

use futures_util::FutureExt as _;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

use crate::github::oidc;
use crate::github::payload::{self, PayloadError};
use crate::intake::signature::Signed;

/// What a delivery's body of JSON tells, or why it cannot be read, in words.
///
/// # Errors
///
/// Why it cannot be read.
pub fn read_delivery(event: &str, body: &[u8]) -> Result<String, String> {
    in_words(payload::parse(event, body).map(|event| format!("{event:?}")))
}

/// The same of a body that was sent as a form.
///
/// # Errors
///
/// Why it cannot be read.
pub fn read_form(event: &str, body: &[u8]) -> Result<String, String> {
    in_words(payload::json_of_form(body)).and_then(|json| read_delivery(event, &json))
}

fn in_words<T>(result: Result<T, PayloadError>) -> Result<T, String> {
    result.map_err(|error| format!("{:#}", anyhow::Error::new(error)))
}

/// Whether a body is believed to be signed with one of the secrets.
#[must_use]
pub fn is_signed(secrets: &[&str], header: Option<&str>, body: &[u8]) -> bool {
    let secrets: Vec<SecretString> = secrets.iter().map(|secret| SecretString::from(*secret)).collect();
    let signed = Signed::begin(&secrets, header).and_then(|mut signed| {
        signed.update(body);
        signed.finish()
    });
    signed.is_ok()
}

/// An issuer of jobs' tokens whose keys are known and who is never asked.
pub struct KnownIssuer(oidc::Issuer);

impl KnownIssuer {
    /// Signs with these keys, as they stand in a key set.
    ///
    /// # Panics
    ///
    /// When the addresses are none.
    #[must_use]
    pub fn knowing(issuer: &str, audience: &str, keys: &[Value]) -> Self {
        let url = |text: &str| text.parse::<Url>().expect("a URL");
        let issuer = oidc::Issuer::new(&url(issuer), &url(audience)).expect("a client without connections");
        Self(issuer.knowing(keys.to_vec()))
    }

    /// Whether a job may come in with this token.
    ///
    /// # Panics
    ///
    /// When the issuer is asked after all.
    #[must_use]
    pub fn accepts(&self, token: &str, now: Timestamp) -> bool {
        self.0.verify(token, now).now_or_never().expect("every key is known or known to be unknown").is_ok()
    }
}
