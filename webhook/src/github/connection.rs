//! One request, one answer: as whom it is asked, how long it may take, and the silence that GitHub asks for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::HeaderName;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use secrecy::ExposeSecret;
use serde::{Deserialize, Serialize};
use tokio::sync::OnceCell;
use tokio::time::{Instant, timeout};
use url::Url;
use windlass_core::names::{ProjectName, RepositoryId};

use super::GitHubCredentials;
use super::error::GitHubError;
use super::names::{Identity, Names, Standing};
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

/// The way to GitHub's API. Clones share what they learn: tokens, installations, limits, names.
#[derive(Clone)]
pub(super) struct Connection {
    way: Way,
    pub(super) names: Names,
}

#[derive(Clone)]
enum Way {
    Token(Arc<Client>),
    App { app: Arc<Client>, installations: Arc<Mutex<Installations>> },
}

/// By owner in lower case; each is looked up once, however many ask at the same time.
type Installations = HashMap<String, Arc<OnceCell<Arc<Client>>>>;

impl Connection {
    pub(super) fn new(api_url: &Url, credentials: GitHubCredentials, patience: Patience) -> Result<Self, GitHubError> {
        // octocrab is built without its retries: they would hide limits from us and post twice what was lost half-way.
        let builder = Octocrab::builder()
            .base_uri(api_url.as_str())
            .map_err(setup)?
            .set_connect_timeout(Some(patience.connect))
            .set_read_timeout(Some(patience.read))
            .add_header(HeaderName::from_static("x-github-api-version"), "2022-11-28".to_owned());
        let way = match credentials {
            GitHubCredentials::Token(token) => {
                let crab = builder.personal_token(token).build().map_err(setup)?;
                Way::Token(Arc::new(Client::of(crab, patience.read * 2)))
            }
            GitHubCredentials::App { id, private_key } => {
                let pem = private_key.expose_secret();
                // The reason may quote the key's text, so it is not repeated.
                let builder = builder.app_from_rsa_pem(AppId(id), pem).map_err(|_| GitHubError::Setup {
                    why: "the App's private key is not an RSA key in PEM".to_owned(),
                })?;
                let crab = builder.build().map_err(setup)?;
                Way::App { app: Arc::new(Client::of(crab, patience.read * 2)), installations: Arc::default() }
            }
        };
        Ok(Self { way, names: Names::default() })
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
        let body = as_json("POST", route, body)?;
        self.ask(project, Ask::Post(route, Some(&body))).await
    }

    /// A request whose path says all.
    pub(super) async fn post_nothing(&self, project: &ProjectName, route: &Route) -> Result<Answer, GitHubError> {
        self.ask(project, Ask::Post(route, None)).await
    }

    /// Whether requests can be made as the App itself.
    pub(super) const fn is_app(&self) -> bool {
        matches!(self.way, Way::App { .. })
    }

    /// What only an App itself may ask, not as one of its installations.
    pub(super) async fn get_as_app(&self, route: &Route) -> Result<Answer, GitHubError> {
        self.way.itself().ask(Ask::Get(route)).await.map_err(Failure::into_error)
    }

    /// What only an App itself may ask for.
    pub(super) async fn post_as_app(&self, route: &Route) -> Result<Answer, GitHubError> {
        self.way.itself().ask(Ask::Post(route, None)).await.map_err(Failure::into_error)
    }

    pub(super) async fn patch(
        &self,
        project: &ProjectName,
        route: &Route,
        body: &impl Serialize,
    ) -> Result<Answer, GitHubError> {
        let body = as_json("PATCH", route, body)?;
        self.ask(project, Ask::Patch(route, &body)).await
    }

    /// Whose limits count for a project: an App has them per installation, a token its own.
    pub(super) fn account_of(&self, project: &ProjectName) -> String {
        match &self.way {
            Way::Token(_) => String::new(),
            Way::App { .. } => {
                let now = self.names.identity(project).map(|identity| identity.name);
                now.as_ref().unwrap_or(project).owner().to_lowercase()
            }
        }
    }

    /// How long GitHub still wants to be left alone by that account.
    pub(super) fn silence_of(&self, project: &ProjectName) -> Option<Duration> {
        match &self.way {
            Way::Token(client) => client.left_of_silence(),
            Way::App { app, installations } => {
                let cell = installations.lock().unwrap_or_else(PoisonError::into_inner);
                let installation = cell.get(&self.account_of(project)).and_then(|cell| cell.get().cloned());
                installation.map_or_else(|| app.left_of_silence(), |client| client.left_of_silence())
            }
        }
    }

    /// Under the name that the project has now.
    async fn ask(&self, project: &ProjectName, ask: Ask<'_>) -> Result<Answer, GitHubError> {
        let Some(Identity { id, name, standing }) = self.names.identity(project) else {
            return self.way.ask(project, ask).await;
        };
        let name = match standing {
            Standing::Ours => name,
            // Once for each project: not a part of every request.
            Standing::Unchecked => Box::pin(self.check_name(project, None)).await?,
            Standing::Taken { by } => {
                let asked = ask.in_words();
                return Err(GitHubError::AnotherRepository { asked, name: name.to_string(), id: id.0, by: by.0 });
            }
        };
        let route = ask.route().below(&name);
        self.way.ask(&name, ask.to(&route)).await
    }

    /// Asks what a project is called now: whether it is `heard`, what it was called before, or what the server's file calls
    /// it. A repository of that name that is another one is not asked for anything else.
    pub(super) async fn check_name(
        &self,
        project: &ProjectName,
        heard: Option<&ProjectName>,
    ) -> Result<ProjectName, GitHubError> {
        #[derive(Deserialize)]
        struct Wire {
            id: RepositoryId,
            full_name: ProjectName,
        }
        let Some(identity) = self.names.identity(project) else { return Ok(project.clone()) };
        let mut names: Vec<&ProjectName> = heard.into_iter().chain([&identity.name, project]).collect();
        names.dedup();
        let mut not_found = None;
        let mut taken = None;
        for name in names {
            let route = Route::of(name);
            match self.way.ask(name, Ask::Get(&route)).await {
                Ok(answer) => {
                    let wire: Wire = answer.json()?;
                    if wire.id == identity.id {
                        self.names.is_ours(project, &wire.full_name);
                        return Ok(wire.full_name);
                    }
                    taken = taken.or(Some((name, wire.id)));
                }
                Err(error @ (GitHubError::NotFound { .. } | GitHubError::NotInstalled { .. })) => {
                    not_found = not_found.or(Some(error))
                }
                Err(error) => return Err(error),
            }
        }
        match (taken, not_found) {
            (Some((name, by)), _) => {
                self.names.is_taken(project, by);
                let asked = format!("a request for {project}");
                Err(GitHubError::AnotherRepository { asked, name: name.to_string(), id: identity.id.0, by: by.0 })
            }
            (None, Some(error)) => Err(error),
            (None, None) => Ok(identity.name),
        }
    }
}

impl Way {
    /// The identity that asks when no repository is concerned.
    const fn itself(&self) -> &Arc<Client> {
        match self {
            Self::Token(client) => client,
            Self::App { app, .. } => app,
        }
    }

    async fn ask(&self, name: &ProjectName, ask: Ask<'_>) -> Result<Answer, GitHubError> {
        let (app, installations) = match self {
            Self::Token(client) => return client.ask(ask).await.map_err(Failure::into_error),
            Self::App { app, installations } => (app, installations),
        };
        let owner = name.owner().to_lowercase();
        let known = || installations.lock().unwrap_or_else(PoisonError::into_inner);
        let mut again = true;
        loop {
            let cell = Arc::clone(known().entry(owner.clone()).or_default());
            let client = cell.get_or_try_init(|| Box::pin(app.installation_for(name))).await?;
            let failure = match client.ask(ask).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let no_token = matches!(failure, Failure::NoToken(_));
            let error = failure.into_error();
            let not_let_in = matches!(error, GitHubError::Unauthorized { .. });
            if no_token || not_let_in {
                // It may have been removed and installed again, which gives it another id.
                known().remove(&owner);
            }
            // Nothing was done by a request that was not let in.
            if !no_token && not_let_in && std::mem::take(&mut again) {
                continue;
            }
            return Err(of_installation(error, name, no_token));
        }
    }
}

/// What an owner did with the App's installation, told from what may be wrong with one request.
fn of_installation(error: GitHubError, project: &ProjectName, no_token: bool) -> GitHubError {
    match error {
        GitHubError::Forbidden { message, .. } if message.to_lowercase().contains("suspended") => {
            GitHubError::Suspended { owner: project.owner().to_owned() }
        }
        GitHubError::NotFound { .. } if no_token => GitHubError::NotInstalled { project: project.to_string() },
        error => error,
    }
}

fn as_json(method: &str, route: &Route, body: &impl Serialize) -> Result<serde_json::Value, GitHubError> {
    let malformed = |error: serde_json::Error| GitHubError::Malformed {
        asked: format!("{method} {route}"),
        why: error.to_string(),
    };
    serde_json::to_value(body).map_err(malformed)
}

#[derive(Clone, Copy)]
enum Ask<'a> {
    Get(&'a Route),
    Post(&'a Route, Option<&'a serde_json::Value>),
    Patch(&'a Route, &'a serde_json::Value),
}

impl<'a> Ask<'a> {
    const fn route(self) -> &'a Route {
        match self {
            Self::Get(route) | Self::Post(route, _) | Self::Patch(route, _) => route,
        }
    }

    /// The same of another place.
    const fn to(self, route: &'a Route) -> Self {
        match self {
            Self::Get(_) => Self::Get(route),
            Self::Post(_, body) => Self::Post(route, body),
            Self::Patch(_, body) => Self::Patch(route, body),
        }
    }

    fn in_words(self) -> String {
        match self {
            Self::Get(route) => format!("GET {route}"),
            Self::Post(route, _) => format!("POST {route}"),
            Self::Patch(route, _) => format!("PATCH {route}"),
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
            Ask::Post(route, body) => self.crab._post(route.to_string(), body).await,
            Ask::Patch(route, body) => self.crab._patch(route.to_string(), Some(body)).await,
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
        let answer = self.ask(Ask::Get(&route)).await;
        let answer = answer.map_err(|failure| of_installation(failure.into_error(), project, true))?;
        let installation: Wire = answer.json()?;
        let asked = format!("a token for {project}");
        let exchange = timeout(self.patience, self.crab.installation_and_token(installation.id)).await;
        let exchange = exchange.map_err(|_| GitHubError::Timeout { asked: asked.clone() })?;
        let (crab, _) = exchange.map_err(|error| of_installation(answer::failed(&asked, error), project, true))?;
        Ok(Arc::new(Self::of(crab, self.patience)))
    }

    fn silence(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.silent_until.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn left_of_silence(&self) -> Option<Duration> {
        let left = self.silence().map(|until| until.saturating_duration_since(Instant::now()));
        left.filter(|left| !left.is_zero())
    }

    fn heed_silence(&self, asked: &str) -> Result<(), GitHubError> {
        self.left_of_silence()
            .map_or(Ok(()), |left| Err(GitHubError::RateLimited { asked: asked.to_owned(), retry_after: left }))
    }
}

fn setup(error: octocrab::Error) -> GitHubError {
    GitHubError::Setup { why: windlass_core::reason::innermost(&error) }
}
