//! Webhook deliveries: real HTTP, signed as GitHub signs, recorded with what came back.

use std::sync::OnceLock;
use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::json::app;

pub(super) const HOOK_ID: u64 = 5_920_000_017;

/// GitHub gives up on a receiver after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// One delivery and how each attempt at it went.
#[derive(Debug, Clone)]
pub struct DeliveryRecord {
    /// `X-GitHub-Delivery`: the same at each attempt.
    pub guid: String,
    /// `X-GitHub-Event`.
    pub event: String,
    /// The payload's `action`, for events that have one.
    pub action: Option<String>,
    /// The payload, byte for byte.
    pub body: Vec<u8>,
    /// Oldest first. None yet: it is still on its way.
    pub attempts: Vec<Attempt>,
}

impl DeliveryRecord {
    /// The id of the repository that it tells of, if it tells of one.
    #[must_use]
    pub fn repository(&self) -> Option<u64> {
        let payload: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        payload["repository"]["id"].as_u64()
    }
}

/// How one attempt to deliver went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// The receiver answered with this status; 2xx is delivered.
    Answered(u16),
    /// No answer came, and why.
    Failed(String),
}

impl Attempt {
    /// Whether the receiver took it.
    #[must_use]
    pub const fn was_taken(&self) -> bool {
        matches!(self, Self::Answered(200..=299))
    }
}

/// One attempt as GitHub's own log has it.
#[derive(Debug, Clone)]
pub(super) struct LoggedAttempt {
    pub(super) id: u64,
    pub(super) at: jiff::Timestamp,
    /// Not the first one.
    pub(super) redelivery: bool,
    /// As it was before the attempt.
    pub(super) delivery: DeliveryRecord,
    pub(super) result: Attempt,
}

/// What `X-Hub-Signature-256` says after `sha256=`: HMAC-SHA256 of the body, in hex.
#[must_use]
pub fn sign(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(body);
    hex::encode(mac.finalize().into_bytes())
}

/// Delivers an event to a receiver on plain HTTP, once, as GitHub does: same headers, 10 seconds of patience, no
/// second try.
pub async fn deliver(url: &str, secret: &str, event: &str, guid: &str, body: &[u8]) -> Attempt {
    let request = client()
        .post(url)
        .header("accept", "*/*")
        .header("content-type", "application/json")
        .header("user-agent", "GitHub-Hookshot/0b1e2c4")
        .header("x-github-delivery", guid)
        .header("x-github-event", event)
        .header("x-github-hook-id", HOOK_ID)
        .header("x-github-hook-installation-target-id", app::APP_ID)
        .header("x-github-hook-installation-target-type", "integration")
        .header("x-hub-signature-256", format!("sha256={}", sign(secret, body)))
        .body(body.to_vec());
    match request.send().await {
        Ok(answer) => Attempt::Answered(answer.status().as_u16()),
        Err(error) if error.is_timeout() => Attempt::Failed("timed out".to_owned()),
        Err(error) => Attempt::Failed(error.to_string()),
    }
}

fn client() -> reqwest::Client {
    static CLIENT: OnceLock<reqwest::Client> = OnceLock::new();
    let build = || {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            // Kept connections would belong to the first test's runtime, which ends with it.
            .pool_max_idle_per_host(0)
            .timeout(PATIENCE)
            // Only ever loopback: reading the system's certificates would be time lost.
            .tls_certs_only([])
            .build()
            .expect("a client without TLS roots needs nothing from the system")
    };
    CLIENT.get_or_init(build).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_signs_as_githubs_published_example_does() {
        assert_eq!(
            sign("It's a Secret to Everybody", b"Hello, World!"),
            "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
        );
    }
}
