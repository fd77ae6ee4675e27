//! What an answer of a registry comes down to, in the registry's own words.

use oci_client::errors::{OciDistributionError, OciEnvelope, OciError, OciErrorCode};
use serde_json::Value;

/// The most of a registry's words that is passed on, in characters.
const MOST_WORDS: usize = 300;

/// A request that did not end well.
pub(crate) struct Answer {
    pub(crate) kind: Kind,
    pub(crate) words: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// There is no connection.
    Unreachable,
    /// There is one, and nothing comes.
    Silent,
    /// Who are you?
    Unauthorized,
    /// You may not.
    Forbidden,
    /// There is no such tag, image or repository.
    Unknown,
    /// The registry has troubles of its own; the HTTP status.
    Trouble(u16),
    /// No registry says such things.
    Foreign,
    Other,
}

impl Answer {
    pub(crate) fn of(error: &OciDistributionError) -> Self {
        match error {
            OciDistributionError::RequestError(error) if error.is_builder() => Self::new(Kind::Other, &causes(error)),
            OciDistributionError::RequestError(error) if error.is_timeout() && !error.is_connect() => {
                Self::new(Kind::Silent, &causes(error))
            }
            OciDistributionError::RequestError(error) => Self::new(Kind::Unreachable, &causes(error)),
            OciDistributionError::UnauthorizedError { .. } => Self::new(Kind::Unauthorized, "authentication required"),
            OciDistributionError::AuthenticationFailure(body) => Self::of_token_server(body),
            OciDistributionError::RegistryError { envelope, .. } => Self::of_envelope(envelope),
            OciDistributionError::ServerError { code, message, .. } => Self::of_response(*code, message),
            OciDistributionError::SpecViolationError(_)
            | OciDistributionError::RegistryNoLocationError
            | OciDistributionError::RegistryNoDigestError
            | OciDistributionError::RegistryTokenDecodeError(_)
            | OciDistributionError::ManifestEncodingError(_)
            | OciDistributionError::VersionedParsingError(_) => Self::new(Kind::Foreign, &error.to_string()),
            _ => Self::new(Kind::Other, &error.to_string()),
        }
    }

    fn new(kind: Kind, words: &str) -> Self {
        let line = words.split_whitespace().collect::<Vec<_>>().join(" ");
        Self { kind, words: line.chars().filter(|c| !c.is_control()).take(MOST_WORDS).collect() }
    }

    fn of_envelope(envelope: &OciEnvelope) -> Self {
        let codes = || envelope.errors.iter().map(|error| &error.code);
        let has = |wanted: &[OciErrorCode]| codes().any(|code| wanted.contains(code));
        let kind = if has(&[OciErrorCode::Unauthorized]) {
            Kind::Unauthorized
        } else if has(&[OciErrorCode::Denied]) {
            Kind::Forbidden
        } else if has(&[OciErrorCode::ManifestUnknown, OciErrorCode::NameUnknown, OciErrorCode::NotFound]) {
            Kind::Unknown
        } else if has(&[OciErrorCode::Toomanyrequests]) {
            Kind::Trouble(429)
        } else {
            Kind::Other
        };
        Self::new(kind, &envelope.errors.iter().map(words).collect::<Vec<_>>().join("; "))
    }

    fn of_response(status: u16, body: &str) -> Self {
        let envelope = serde_json::from_str(body).ok().map(|envelope| Self::of_envelope(&envelope));
        let kind = match (status, &envelope) {
            (401, _) => Kind::Unauthorized,
            (403, _) => Kind::Forbidden,
            (429 | 500.., _) => Kind::Trouble(status),
            (_, Some(answer)) => answer.kind,
            (404, None) if body.trim().is_empty() => Kind::Unknown,
            (404 | 405, None) => Kind::Foreign,
            (_, None) => Kind::Other,
        };
        let words = envelope.map(|answer| answer.words).filter(|words| !words.is_empty());
        let words = words.or_else(|| text(body)).unwrap_or_else(|| format!("HTTP {status}"));
        Self::new(kind, &words)
    }

    /// Whoever gives tokens is often another server, which does not have to speak as a registry does. Its HTTP status
    /// is not known here.
    fn of_token_server(body: &str) -> Self {
        let envelope = serde_json::from_str(body).ok().map(|envelope| Self::of_envelope(&envelope));
        match envelope {
            // GitHub's way to say that it knows the account.
            Some(answer) if answer.words.contains("permission_denied") => Self { kind: Kind::Forbidden, ..answer },
            Some(answer) if answer.kind == Kind::Forbidden => Self { kind: Kind::Unauthorized, ..answer },
            Some(answer) => answer,
            None if is_page(body) => Self::new(Kind::Other, "it answered with a web page"),
            None => Self::new(Kind::Unauthorized, &text(body).unwrap_or_else(|| "no reason given".to_owned())),
        }
    }
}

/// As Docker writes them, so that a search finds what others wrote about them.
fn words(error: &OciError) -> String {
    let code = serde_json::to_value(&error.code).unwrap_or_default();
    let code = code.as_str().unwrap_or_default().to_ascii_lowercase().replace('_', " ");
    if error.message.is_empty() { code } else { format!("{code}: {}", error.message) }
}

/// What a body says that is not a registry's: a member of its JSON, or all of it unless it is a web page.
fn text(body: &str) -> Option<String> {
    if let Ok(Value::Object(members)) = serde_json::from_str(body) {
        let said = ["message", "details", "error"].into_iter().find_map(|name| members.get(name)?.as_str());
        return said.map(str::to_owned);
    }
    let text = body.trim();
    (!text.is_empty() && !is_page(text)).then(|| text.to_owned())
}

fn is_page(body: &str) -> bool {
    body.trim_start().starts_with('<')
}

/// What lies innermost below an error, without the error itself: that one has the address in it, and an upload's may be signed,
/// so that whoever has it may use it.
fn causes(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| "the connection failed".to_owned(), windlass_core::reason::innermost)
}
