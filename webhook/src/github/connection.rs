//! One request, one answer: as whom it is asked, how long it may take, and the silence that GitHub asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderName;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use url::Url;
use windlass_core::names::ProjectName;

use super::GitHubCredentials;
use super::error::GitHubError;
use super::route::Route;

mod answer;

pub(super) use answer::Answer;

/// How long GitHub is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For an answer, or more of it. A whole request gets twice as long, however lively it drips.
    pub read: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), read: Duration::from_secs(15) }
    }
}

/// The way to GitHub's API. Clones share what they learn: tokens, installations, limits.
#[derive(Clone)]
pub(super) enum Connection {
    Token(Arc<Client>),
    App { app: Arc<Client>, installations: Arc<Mutex<Installations>> },
}

/// By owner in lower case; each is looked up once, however many ask at the same time.
type Installations = HashMap<String, Arc<OnceCell<Arc<Client>>>>;

impl Connection {
    pub(super) fn new(api_url: &Url, credentials: GitHubCredentials, patience: Patience) -> Result<Self, GitHubError> {
        let builder = Octocrab::builder()
            .base_uri(api_url.as_str())
            .map_err(setup)?
            .set_connect_timeout(Some(patience.connect))
            .set_read_timeout(Some(patience.read))
            // A retry in here would hide limits from us and post twice what was lost half-way.
            .add_retry_config(RetryConfig::None)
            .add_header(HeaderName::from_static("x-github-api-version"), "2022-11-28".to_owned());
        match credentials {
            GitHubCredentials::Token(token) => {
                let crab = builder.personal_token(token).build().map_err(setup)?;
                Ok(Self::Token(Arc::new(Client::of(crab, patience.read * 2))))
            }
            GitHubCredentials::App { id, private_key } => {
                let pem = private_key.expose_secret();
                // The reason may quote the key's text, so it is not repeated.
                let builder = builder.app_from_rsa_pem(AppId(id), pem).map_err(|_| GitHubError::Setup {
                    why: "the App's private key is not an RSA key in PEM".to_owned(),
                })?;
                let crab = builder.build().map_err(setup)?;
                Ok(Self::App { app: Arc::new(Client::of(crab, patience.read * 2)), installations: Arc::default() })
            }
        }
    }

    pub(super) async fn get(&self, project: &ProjectName, route: &Route) -> Result<Answer, GitHubError> {
        self.ask(project, Ask::Get(route)).await
    }

    pub(super) async fn post(
        &self,
        project: &ProjectName,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<Answer, GitHubError> {
        let body = serde_json::to_value(body)
            .map_err(|error| GitHubError::Malformed { asked: format!("POST {route}"), why: error.to_string() })?;
        self.ask(project, Ask::Post(route, &body)).await
    }

    async fn ask(&self, project: &ProjectName, ask: Ask<'_>) -> Result<Answer, GitHubError> {
        let (app, installations) = match self {
            Self::Token(client) => return client.ask(ask).await.map_err(Failure::into_error),
            Self::App { app, installations } => (app, installations),
        };
        let owner = project.owner().to_lowercase();
        let known = || installations.lock().unwrap_or_else(PoisonError::into_inner);
        let cell = Arc::clone(known().entry(owner.clone()).or_default());
        let client = cell.get_or_try_init(|| app.installation_for(project)).await?;
        client.ask(ask).await.map_err(|failure| {
            if matches!(failure, Failure::NoToken(_)) {
                // It may have been removed and installed again, which gives it another id.
                known().remove(&owner);
            }
            failure.into_error()
        })
    }
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Get(&'a Route),
    Post(&'a Route, &'a serde_json::Value),
}

impl Ask<'_> {
    fn in_words(self) -> String {
        match self {
            Self::Get(route) => format!("GET {route}"),
            Self::Post(route, _) => format!("POST {route}"),
        }
    }
}

/// Whether the request itself failed, or we could not even sign it.
enum Failure {
    Answer(GitHubError),
    NoToken(GitHubError),
}

impl Failure {
    fn into_error(self) -> GitHubError {
        match self {
            Self::Answer(error) | Self::NoToken(error) => error,
        }
    }
}

/// One identity towards GitHub, with its limit.
pub(super) struct Client {
    crab: Octocrab,
    patience: Duration,
    silent_until: Mutex<Option<Instant>>,
}

impl Client {
    fn of(crab: Octocrab, patience: Duration) -> Self {
        Self { crab, patience, silent_until: Mutex::new(None) }
    }

    async fn ask(&self, ask: Ask<'_>) -> Result<Answer, Failure> {
        let asked = ask.in_words();
        self.heed_silence(&asked).map_err(Failure::Answer)?;
        let answer = timeout(self.patience, self.send(&asked, ask)).await;
        let answer = answer.unwrap_or(Err(Failure::Answer(GitHubError::Timeout { asked })));
        if let Err(Failure::Answer(error) | Failure::NoToken(error)) = &answer
            && let GitHubError::RateLimited { retry_after, .. } = error
        {
            *self.silence() = Some(Instant::now() + *retry_after);
        }
        answer
    }

    async fn send(&self, asked: &str, ask: Ask<'_>) -> Result<Answer, Failure> {
        let response = match ask {
            Ask::Get(route) => self.crab._get(route.to_string()).await,
            Ask::Post(route, body) => self.crab._post(route.to_string(), Some(body)).await,
        };
        let response = response.map_err(|error| match error {
            // Answers to the request itself are not errors here: this is the exchange for an installation's token.
            octocrab::Error::GitHub { .. } => Failure::NoToken(answer::failed(asked, error)),
            error => Failure::Answer(answer::failed(asked, error)),
        })?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = self.crab.body_to_string(response).await;
        let body = body.map_err(|error| Failure::Answer(answer::failed(asked, error)))?;
        Answer::read(asked, status, &headers, body).map_err(Failure::Answer)
    }

    /// The client of the App's installation at the owner of this project, with a first token.
    async fn installation_for(&self, project: &ProjectName) -> Result<Arc<Self>, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            id: InstallationId,
        }
        let route = Route::of(project).to("installation");
        let answer = self.ask(Ask::Get(&route)).await.map_err(Failure::into_error)?;
        let installation: Wire = answer.json()?;
        let asked = format!("a token for {project}");
        let exchange = timeout(self.patience, self.crab.installation_and_token(installation.id)).await;
        let exchange = exchange.map_err(|_| GitHubError::Timeout { asked: asked.clone() })?;
        let (crab, _) = exchange.map_err(|error| answer::failed(&asked, error))?;
        Ok(Arc::new(Self::of(crab, self.patience)))
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn heed_silence(&self, asked: &str) -> Result<(), GitHubError> {
        let left = self.silence().map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        if left.is_zero() {
            return Ok(());
        }
        Err(GitHubError::RateLimited { asked: asked.to_owned(), retry_after: left })
    }
}

fn setup(error: octocrab::Error) -> GitHubError {
    GitHubError::Setup { why: answer::innermost(&error) }
}
