//! When certificates are ordered and renewed. An authority that says when (RFC 9773) is played here: Debian's pebble does not.

use std::path::Path;

use axum::Router;
use axum::http::StatusCode;
use axum::routing::{get, head, post};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::net::TcpListener;
use windlass_core::config::ServerConfig;

use super::shelf::{Got, SecretPem, Trouble};
use super::*;

const NAME: &str = "shop.example.com";

fn server(data: &Path, directory: &str) -> ServerConfig {
    let text = format!(
        "schema = 1\npublic-url = \"http://127.0.0.1\"\ndata = \"{}\"\n[github]\ntoken = {{ env = \"A\" }}\n\
         webhook-secrets = [{{ env = \"B\" }}]\n[hosts.a]\ndocker = \"unix:///d.sock\"\n[acme]\ndirectory = \"{directory}\"\n\
         terms-accepted = true\n[projects.\"acme/shop\".stages.production]\nbranch = \"main\"\n",
        data.display()
    );
    ServerConfig::parse("windlass-server.toml", &text).unwrap()
}

/// That began so long ago, and ends in so long.
fn certificate(age: i64, left: i64) -> Got {
    let time = |seconds: i64| (Timestamp::now() + SignedDuration::from_secs(seconds)).as_second();
    let mut issuer = CertificateParams::new(Vec::new()).unwrap();
    issuer.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(issuer, KeyPair::generate().unwrap()).unwrap();
    let mut params = CertificateParams::new([NAME.to_owned()]).unwrap();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + std::time::Duration::from_secs(time(-age).try_into().unwrap());
    params.not_after = epoch + std::time::Duration::from_secs(time(left).try_into().unwrap());
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    let chain = params.signed_by(&key, &issuer).unwrap().pem();
    let at = Timestamp::from_second(time(-age)).unwrap();
    Got { chain, key: SecretPem(key.serialize_pem()), at }
}

async fn with(server: &ServerConfig, got: Got, trouble: Option<Trouble>) -> Certificates {
    let certificates = Certificates::open(server, None, &Hosts::default());
    let (_, shelf) = certificates.source.as_ref().unwrap();
    shelf.change(NAME, |kept| (kept.certificate, kept.trouble) = (Some(got), trouble)).await.unwrap();
    certificates.want([NAME.to_owned()].into(), Timestamp::now());
    certificates
}

/// Whether it is due, and the seconds until it is.
fn due(certificates: &Certificates) -> (bool, Option<u64>) {
    let (due, next) = certificates.due(Timestamp::now());
    (!due.is_empty(), next.map(|next| next.as_secs()))
}

#[tokio::test]
async fn a_name_is_ordered_by_one_at_a_time_and_who_finds_it_taken_takes_nothing_away() {
    let data = tempfile::tempdir().unwrap();
    let certificates = with(&server(data.path(), "https://127.0.0.1:1/directory"), certificate(0, 90), None).await;
    let first = certificates.claim(NAME).unwrap();
    assert!(certificates.claim(NAME).is_none());
    assert!(certificates.claim(NAME).is_none(), "the first still has it");
    drop(first);
    assert!(certificates.claim(NAME).is_some());
}

#[tokio::test]
async fn a_certificate_is_renewed_at_two_thirds_of_its_life_however_short_that_is() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path(), "https://127.0.0.1:1/directory");
    for (age, left, expected) in
        [(0, 90, 60), (60, 120, 60), (0, 6 * 24 * 3600, 4 * 24 * 3600), (3600, 90 * 24 * 3600, 60 * 24 * 3600 - 1200)]
    {
        let (is_due, next) = due(&with(&server, certificate(age, left), None).await);
        assert!(!is_due && next.is_some_and(|next| next.abs_diff(expected) <= 3), "{age} {left}: {next:?}");
    }
    assert!(due(&with(&server, certificate(70, 20), None).await).0);
    let trouble = |again: i64| Trouble {
        tries: 3,
        problem: "too many".to_owned(),
        again: Timestamp::now() + SignedDuration::from_secs(again),
        challenge: None,
    };
    let (is_due, next) = due(&with(&server, certificate(70, 20), Some(trouble(300))).await);
    assert!(!is_due && next.is_some_and(|next| next.abs_diff(300) <= 3), "not before its time: {next:?}");
    assert!(due(&with(&server, certificate(70, 20), Some(trouble(-1))).await).0);
}

/// An authority that knows when to renew, and gives nothing. Returns where its directory is.
async fn played_authority() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let json = ("content-type", "application/json");
    let nonce = ("replay-nonce", "one");
    let directory = serde_json::json!({
        "newNonce": format!("{base}/nonce"), "newAccount": format!("{base}/account"), "newOrder": format!("{base}/order"),
        "renewalInfo": format!("{base}/renewal"),
    });
    let directory = directory.to_string();
    let account = ([("location", format!("{base}/account/1"))], "{}");
    let window =
        serde_json::json!({ "suggestedWindow": { "start": "2026-01-01T00:00:00Z", "end": "2026-01-02T00:00:00Z" } });
    let window = ([json, ("retry-after", "21600")], window.to_string());
    let problem = serde_json::json!({
        "type": "urn:ietf:params:acme:error:rateLimited", "detail": "too many certificates already issued",
    });
    let refusal = (StatusCode::TOO_MANY_REQUESTS, [json, nonce, ("retry-after", "7200")], problem.to_string());
    let authority = Router::new()
        .route("/directory", get(async move || ([json], directory)))
        .route("/nonce", head(async move || [nonce]))
        .route("/account", post(async move || (StatusCode::CREATED, account)))
        .route("/order", post(async move || refusal))
        .route("/renewal/{certificate}", get(async move || window));
    tokio::spawn(async move { axum::serve(listener, authority).await });
    format!("{base}/directory")
}

#[tokio::test]
async fn a_certificate_is_renewed_when_its_authority_would_like_it() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path(), &played_authority().await);
    let certificates = with(&server, certificate(0, 90 * 24 * 3600), None).await;
    assert!(!due(&certificates).0);
    assert_eq!(certificates.ask_for_windows(Timestamp::now()).await, Windows::Changed);
    assert!(due(&certificates).0, "the window is over");
    assert_eq!(certificates.ask_for_windows(Timestamp::now()).await, Windows::AsBefore, "it said when to ask again");
}

#[tokio::test]
async fn an_authority_that_wants_to_be_left_alone_is_left_alone_also_after_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = server(data.path(), &played_authority().await);
    let certificates = with(&server, certificate(70, 20), None).await;
    certificates.order(NAME).await;
    let again = Certificates::open(&server, None, &Hosts::default());
    again.want([NAME.to_owned()].into(), Timestamp::now());
    for certificates in [certificates, again] {
        let state = certificates.state(NAME);
        assert_eq!(state.problem.as_deref(), Some("too many certificates already issued (rateLimited)"));
        assert!(state.ends.is_some(), "what there is stays");
        let (is_due, next) = due(&certificates);
        assert!(!is_due && next.is_some_and(|next| next.abs_diff(7200) <= 5), "{next:?}");
    }
}
