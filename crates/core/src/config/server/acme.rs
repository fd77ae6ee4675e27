//! The authority that gives certificates, and how it is asked for them (RFC 8555).

use std::path::PathBuf;

use url::Url;

use super::SecretSource;
use super::read::safe_url;
use super::secret::read_secret;
use crate::config::reader::ConfigItem;
use crate::quantity::Duration;

pub(super) const ACME: &[&str] =
    &["directory", "contact", "terms-accepted", "external-account", "authority", "profile", "challenges", "dns"];
pub(super) const EXTERNAL_ACCOUNT: &[&str] = &["key-id", "key"];
pub(super) const DNS: &[&str] = &["command", "clean-up", "wait"];

/// Let's Encrypt.
const DIRECTORY: &str = "https://acme-v02.api.letsencrypt.org/directory";

/// From whom certificates come by themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AcmeConfig {
    /// Where the authority begins.
    pub directory: Url,
    /// Whom the authority may write to, as `mailto:` addresses.
    pub contact: Vec<String>,
    /// What an authority asks for that knows its customers.
    pub external_account: Option<ExternalAccount>,
    /// Who signed the certificate of the directory itself, in PEM; `None`: whom the machine trusts.
    pub authority: Option<PathBuf>,
    /// One of the authority's kinds of certificates, such as `shortlived`; `None`: its usual one.
    pub profile: Option<String>,
    /// How a name is proven, the preferred way first. Names with a `*` are proven by DNS only.
    pub challenges: Vec<AcmeChallenge>,
    /// How a record is put into the DNS. `None`: it cannot be.
    pub dns: Option<DnsCommand>,
}

/// An account that the authority has elsewhere (RFC 8555, section 7.3.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    /// Its name there.
    pub key_id: String,
    /// Its key, in base64url.
    pub key: SecretSource,
}

/// The operator's own programs, which get the record's name and its value as their last two arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsCommand {
    /// Adds a TXT record, and ends when it is there.
    pub command: Vec<String>,
    /// Takes it away again; empty: it stays.
    pub clean_up: Vec<String>,
    /// How long the record takes to be seen everywhere.
    pub wait: Duration,
}

crate::spelled! {
    "kebab-case",
    /// How an authority makes sure that a name is ours.
    pub enum AcmeChallenge {
        /// A request over plain HTTP (RFC 8555, section 8.3).
        #[strum(serialize = "http-01")]
        #[serde(rename = "http-01")]
        Http01,
        /// A handshake that only the challenged can make (RFC 8737).
        #[strum(serialize = "tls-alpn-01")]
        #[serde(rename = "tls-alpn-01")]
        TlsAlpn01,
        /// A TXT record (RFC 8555, section 8.4).
        #[strum(serialize = "dns-01")]
        #[serde(rename = "dns-01")]
        Dns01,
    }
}

pub(super) fn read_acme(item: ConfigItem<'_>) -> Option<AcmeConfig> {
    let acme = item.table(&[ACME])?;
    let directory = acme.get("directory").map_or_else(|| Url::parse(DIRECTORY).ok(), safe_url);
    let accepts = acme.require("terms-accepted", TERMS).and_then(|item| {
        let accepts = item.boolean()?;
        if !accepts {
            item.refuse("the authority gives nothing to those who do not agree to its terms", TERMS);
        }
        Some(accepts)
    });
    let contact = acme.get("contact").and_then(|list| list.list(mail)).unwrap_or_default();
    let external_account = acme.get("external-account").and_then(|item| {
        let account = item.table(&[EXTERNAL_ACCOUNT])?;
        let key_id = account.require("key-id", "write the account's name at the authority").and_then(|id| id.text());
        let key = account.require("key", "write key = { file = \"/run/secrets/acme\" }").and_then(read_secret);
        Some(ExternalAccount { key_id: key_id?.to_owned(), key: key? })
    });
    let dns = acme.get("dns").and_then(read_dns);
    let challenges = acme.get("challenges").and_then(|list| list.list(|item| item.spelled("kind of challenge")));
    let challenges = challenges.unwrap_or_else(|| vec![AcmeChallenge::Http01, AcmeChallenge::TlsAlpn01]);
    if let (Some(item), None, true) = (acme.get("challenges"), &dns, challenges.contains(&AcmeChallenge::Dns01)) {
        item.contradict("nothing says how a record is put into the DNS", DNS_HINT);
    }
    if let (Some(item), true) = (acme.get("challenges"), challenges.is_empty()) {
        item.contradict(
            "no name can be proven without a challenge",
            "write challenges = [\"http-01\", \"tls-alpn-01\"]",
        );
    }
    accepts?;
    Some(AcmeConfig {
        directory: directory?,
        contact,
        external_account,
        authority: acme.get("authority").and_then(|item| item.text()).map(PathBuf::from),
        profile: acme.get("profile").and_then(|item| item.text()).map(str::to_owned),
        challenges,
        dns,
    })
}

const TERMS: &str = "read them at the authority, then write terms-accepted = true";
const DNS_HINT: &str =
    "add dns = { command = [\"/usr/local/bin/add-record\"] }: it gets the record's name and its value";

fn read_dns(item: ConfigItem<'_>) -> Option<DnsCommand> {
    let dns = item.table(&[DNS])?;
    let command = dns.require("command", DNS_HINT).and_then(|item| item.command());
    let clean_up = dns.get("clean-up").and_then(|item| item.command()).unwrap_or_default();
    let wait = dns.duration_or("wait", Duration::from_secs(0), Duration::from_secs(3600));
    Some(DnsCommand { command: command?, clean_up, wait })
}

fn mail(item: ConfigItem<'_>) -> Option<String> {
    let text = item.text()?;
    let address = text.strip_prefix("mailto:").unwrap_or(text);
    if !address.contains('@') || address.contains(|c: char| c.is_whitespace() || c == ',' || c == '?') {
        item.refuse(format!("`{text}` is no mail address"), "write ops@example.com");
    }
    Some(format!("mailto:{address}"))
}
