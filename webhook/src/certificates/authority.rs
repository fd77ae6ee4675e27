//! The authority: who we are to it, and what its answers mean.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use instant_acme::{
    Account, AccountCredentials, CertificateIdentifier, Error, ExternalAccountKey, NewAccount, Problem,
};
use jiff::Timestamp;
use rand::RngExt;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::{Mutex, OnceCell};
use windlass_core::config::{AcmeChallenge, AcmeConfig};
use windlass_core::plain::{cut, plain};

use super::shelf::Shelf;
use super::transport::{self, LeftAlone, Transport};

/// So much of what an authority says is kept.
const WORDS: usize = 1000;

/// Where certificates come from.
#[derive(Debug)]
pub(super) struct Authority {
    pub(super) config: AcmeConfig,
    /// Of the account that the authority has elsewhere, in base64url.
    external_key: Option<SecretString>,
    http: OnceCell<reqwest::Client>,
    /// Whoever has it registers: a first start has many names and one account.
    registering: Mutex<()>,
}

/// Why there is no certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failed {
    /// It may be tried at once: a nonce was not good any more, or what was known of us is forgotten.
    AtOnce(String),
    /// The same with another account: it does not know this one any more.
    Forgotten,
    /// The authority, or something before it, said no.
    Refused { why: String, challenge: Option<AcmeChallenge> },
    /// It cannot be reached: it was asked for nothing.
    Away(String),
}

/// The account's file.
#[derive(Serialize, Deserialize)]
struct AccountFile {
    contact: Vec<String>,
    credentials: AccountCredentials,
}

/// So much of it as says whose it is.
#[derive(Deserialize)]
struct Known {
    credentials: Whose,
}

#[derive(Deserialize)]
struct Whose {
    id: String,
}

impl Failed {
    pub(super) fn refused(why: impl Into<String>) -> Self {
        Self::Refused { why: why.into(), challenge: None }
    }
}

impl Authority {
    pub(super) fn new(config: AcmeConfig, external_key: Option<SecretString>) -> Self {
        Self { config, external_key, http: OnceCell::new(), registering: Mutex::new(()) }
    }

    /// Our account, which is made if there is none yet.
    pub(super) async fn account(&self, shelf: &Shelf) -> Result<(Account, LeftAlone), (Failed, Option<Duration>)> {
        let http = self.http.get_or_try_init(|| transport::client(&self.config)).await;
        let (transport, alone) = Transport::new(http.map_err(|why| (Failed::refused(why), None))?.clone());
        match self.known_account(shelf, transport).await {
            Ok(account) => Ok((account, alone)),
            Err(failed) => Err((failed, alone.asked())),
        }
    }

    async fn known_account(&self, shelf: &Shelf, transport: Transport) -> Result<Account, Failed> {
        let _registering = self.registering.lock().await;
        let builder = Account::builder_with_http(Box::new(transport));
        if let Some(AccountFile { contact, credentials }) = shelf.account() {
            let account = builder.from_credentials(credentials).await.map_err(|error| self.failed(error))?;
            if contact != self.config.contact {
                account.update_contacts(&self.contact()).await.map_err(|error| self.failed(error))?;
                // The credentials are given away once: they are read again.
                if let Some(AccountFile { credentials, .. }) = shelf.account() {
                    self.keep(shelf, credentials).await?;
                }
            }
            return Ok(account);
        }
        let new = NewAccount { contact: &self.contact(), terms_of_service_agreed: true, only_return_existing: false };
        let external = self.external_account()?;
        let directory = self.config.directory.to_string();
        let (account, credentials) =
            builder.create(&new, directory, external.as_ref()).await.map_err(|error| self.failed(error))?;
        self.keep(shelf, credentials).await?;
        tracing::info!(acme.directory = %self.config.directory, account = account.id(), "registered at the authority");
        Ok(account)
    }

    /// This account is none any more. Somebody else may have registered anew meanwhile.
    pub(super) async fn forget(&self, shelf: &Shelf, account: &str) {
        let _registering = self.registering.lock().await;
        if shelf.account::<Known>().is_some_and(|known| known.credentials.id == account) {
            shelf.forget_account();
        }
    }

    async fn keep(&self, shelf: &Shelf, credentials: AccountCredentials) -> Result<(), Failed> {
        let kept = AccountFile { contact: self.config.contact.clone(), credentials };
        shelf.keep_account(&kept).await.map_err(|error| Failed::refused(format!("the account cannot be kept: {error}")))
    }

    fn contact(&self) -> Vec<&str> {
        self.config.contact.iter().map(String::as_str).collect()
    }

    fn external_account(&self) -> Result<Option<ExternalAccountKey>, Failed> {
        let (Some(external), Some(key)) = (&self.config.external_account, &self.external_key) else { return Ok(None) };
        let key = key.expose_secret().trim().trim_end_matches('=');
        let key = BASE64_URL_SAFE_NO_PAD
            .decode(key)
            .map_err(|_| Failed::refused("the key of acme.external-account is not in base64url"))?;
        Ok(Some(ExternalAccountKey::new(external.key_id.clone(), &key)))
    }

    /// What an error means.
    pub(super) fn failed(&self, error: Error) -> Failed {
        match error {
            Error::Api(problem) => match kind(&problem) {
                "badNonce" => Failed::AtOnce(words(&problem)),
                _ => Failed::refused(words(&problem)),
            },
            Error::Timeout(_) => Failed::refused("the authority did not come to an end in time"),
            Error::Unsupported(what) => Failed::refused(format!("the authority does not know {what}")),
            error => Failed::Away(format!(
                "{}: {}",
                self.config.directory,
                bounded(&windlass_core::reason::innermost(&error))
            )),
        }
    }

    /// When the authority would like a certificate to be renewed, and when to ask again (RFC 9773); `None` where it does
    /// not say.
    pub(super) async fn window(
        &self,
        account: &Account,
        certificate: &CertificateIdentifier<'_>,
    ) -> Option<(Timestamp, Duration)> {
        let (info, again) = account.renewal_info(certificate).await.ok()?;
        let window = info.suggested_window;
        let (start, end) = (window.start.unix_timestamp(), window.end.unix_timestamp());
        if let Some(why) = info.explanation_url {
            tracing::info!(why = bounded(&why), "the authority says why it would like a certificate to be renewed");
        }
        let at = if start < end { rand::rng().random_range(start..=end) } else { start };
        Some((Timestamp::from_second(at).ok()?, again))
    }
}

/// Whether the authority does not know the account, or will not any more.
pub(super) fn forgot_us(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "accountDoesNotExist")
}

/// Whether an order that says what it renews may be turned down for that. Not for its number, and not where nobody knows
/// whether there is one now.
pub(super) fn may_be_of_the_renewal(error: &Error) -> bool {
    match error {
        Error::Api(problem) => !matches!(kind(problem), "badNonce" | "accountDoesNotExist" | "rateLimited"),
        Error::Unsupported(_) | Error::Str(_) => true,
        // The library has no word for an authority that passes over what is renewed.
        Error::Other(other) => other.to_string().starts_with("replaces field mismatch"),
        _ => false,
    }
}

/// Whether a problem is only that this nonce is not good any more.
pub(super) fn bad_nonce(error: &Error) -> bool {
    matches!(error, Error::Api(problem) if kind(problem) == "badNonce")
}

fn kind(problem: &Problem) -> &str {
    problem.r#type.as_deref().unwrap_or_default().trim_start_matches("urn:ietf:params:acme:error:")
}

/// What an authority says, and of which kind that is.
pub(super) fn words(problem: &Problem) -> String {
    let more = problem.subproblems.iter().filter_map(|sub| sub.detail.as_deref());
    let said: Vec<&str> = problem.detail.as_deref().into_iter().chain(more).collect();
    match (said.is_empty(), kind(problem)) {
        (true, "") => "the authority says that it does not work, and not why".to_owned(),
        (true, kind) => bounded(kind),
        (false, "") => bounded(&said.join("; ")),
        (false, kind) => bounded(&format!("{} ({kind})", said.join("; "))),
    }
}

/// Strangers' words on one line, and not too many of them.
pub(super) fn bounded(text: &str) -> String {
    let line = plain(text).split_whitespace().collect::<Vec<_>>().join(" ");
    cut(&line, WORDS).into_owned()
}
