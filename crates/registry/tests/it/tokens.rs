//! A registry that gives tokens and speaks as GitHub's does, and one that fails for a while.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use windlass_core::hint::Hint;
use windlass_core::names::ImageName;
use windlass_registry::{Registry, RegistryCredentials, RegistryError};

/// `bot:hunter2`, as a header has it.
const LOGIN: &str = "Basic Ym90Omh1bnRlcjI=";
const TOKEN: &str = "Bearer an-opaque-token";

/// What a registry in this process does with those who ask.
#[derive(Clone)]
struct Manners {
    address: SocketAddr,
    /// Whether the account may write.
    writes: bool,
    /// How often it still says that it is down.
    down: Arc<Mutex<u32>>,
    /// What tokens were asked for.
    scopes: Arc<Mutex<Vec<String>>>,
}

impl Manners {
    async fn serve(writes: bool, down: u32) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let manners = Self { address, writes, down: Arc::new(Mutex::new(down)), scopes: Arc::default() };
        let router = Router::new()
            .route("/v2/", get(challenge))
            .route("/token", get(token))
            .fallback(repository)
            .with_state(manners.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        manners
    }

    fn registry(&self, password: Option<&str>) -> Registry {
        let image: ImageName = format!("{}/Acme/Shop", self.address).parse().unwrap();
        let credentials =
            password.map(|password| RegistryCredentials { username: "bot".to_owned(), password: password.into() });
        Registry::new(&image, credentials.as_ref()).unwrap()
    }
}

async fn challenge(State(manners): State<Manners>) -> Response {
    let realm = format!("Bearer realm=\"http://{}/token\",service=\"registry\"", manners.address);
    (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, realm)]).into_response()
}

async fn token(State(manners): State<Manners>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    manners.scopes.lock().unwrap().extend(query);
    if headers.get(header::AUTHORIZATION).is_some_and(|login| login == LOGIN) {
        return r#"{"token":"an-opaque-token"}"#.into_response();
    }
    says(StatusCode::FORBIDDEN, "DENIED", "denied")
}

async fn repository(State(manners): State<Manners>, method: Method, uri: Uri, headers: HeaderMap) -> Response {
    assert!(headers.get(header::AUTHORIZATION).is_some_and(|token| token == TOKEN), "{method} {uri}");
    {
        let mut down = manners.down.lock().unwrap();
        if *down > 0 {
            *down -= 1;
            return (StatusCode::BAD_GATEWAY, "<html>bad gateway</html>").into_response();
        }
    }
    if method == Method::GET {
        return says(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "manifest unknown");
    }
    assert!(uri.path().starts_with("/v2/acme/shop/blobs/uploads/"), "{uri}");
    let location = [(header::LOCATION, "/v2/acme/shop/blobs/uploads/1")];
    match method {
        Method::POST if !manners.writes => says(StatusCode::FORBIDDEN, "DENIED", "permission_denied: write_package"),
        Method::PUT => (StatusCode::CREATED, location).into_response(),
        _ => (StatusCode::ACCEPTED, location).into_response(),
    }
}

fn says(status: StatusCode, code: &str, message: &str) -> Response {
    (status, format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#)).into_response()
}

#[tokio::test]
async fn a_token_is_asked_for_with_the_login_and_used_for_both_ways() {
    let manners = Manners::serve(true, 0).await;
    let registry = manners.registry(Some("hunter2"));
    registry.check_push().await.unwrap();
    assert_eq!(registry.digest("1.0").await.unwrap(), None);
    let scopes = manners.scopes.lock().unwrap().clone();
    assert_eq!(scopes, ["scope=repository%3Aacme%2Fshop%3Apull%2Cpush&service=registry"; 2]);
}

#[tokio::test]
async fn a_token_that_is_not_given_is_a_login_refused_or_missing() {
    let manners = Manners::serve(true, 0).await;
    let error = manners.registry(Some("wrong-password")).check_push().await.unwrap_err();
    assert!(matches!(&error, RegistryError::LoginRefused { account, .. } if account == "bot"), "{error:?}");
    assert!(error.to_string().contains("denied: denied") && !format!("{error:?}").contains("wrong-password"));
    let error = manners.registry(None).check_push().await.unwrap_err();
    assert!(matches!(error, RegistryError::LoginMissing { .. }), "{error:?}");
}

#[tokio::test]
async fn rule_083_a_denied_push_names_the_three_causes() {
    let manners = Manners::serve(false, 0).await;
    let error = manners.registry(Some("hunter2")).check_push().await.unwrap_err();
    assert!(matches!(error, RegistryError::PushDenied { .. }), "{error:?}");
    let message = error.to_string();
    let image = format!("{}/acme/shop", manners.address);
    assert!(message.contains(&image) && message.contains("denied: permission_denied: write_package"), "{message}");
    let hint = error.hint().unwrap();
    for cause in ["packages: write", "Manage Actions access", "belongs to somebody else", "personal token"] {
        assert!(hint.contains(cause), "{cause}: {hint}");
    }
}

#[tokio::test]
async fn a_registry_that_fails_once_is_asked_again() {
    let manners = Manners::serve(true, 1).await;
    assert_eq!(manners.registry(Some("hunter2")).digest("1.0").await.unwrap(), None);
}

#[tokio::test]
async fn a_registry_that_goes_on_failing_is_left_with_its_status() {
    let manners = Manners::serve(true, u32::MAX).await;
    let error = manners.registry(Some("hunter2")).check_push().await.unwrap_err();
    assert!(matches!(error, RegistryError::Answered { status: Some(502), .. }), "{error:?}");
    assert!(error.to_string().ends_with("HTTP 502") && error.hint().unwrap().contains("later"), "{error}");
    assert_eq!(manners.scopes.lock().unwrap().len(), 3, "once, and two more times");
}
