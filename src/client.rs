//! The service's API as typed calls.

mod error;
mod lock;
mod maintenance;
mod stream;

use std::time::Duration;

use reqwest::header::{HeaderMap, HeaderValue};
use reqwest::{Method, RequestBuilder, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use url::{Host, Url};
use windlass_core::api::{
    Bearer, DeploymentMessage, DeploymentView, HostView, LogQuery, NewDeployment, NewRelease, NewTask, Page, PlanView,
    Release, SILENT_HOSTS, SignIn, SignedIn, StageView, StaleTasks, StartedTask, TaskMessage, TaskView, Version,
};
use windlass_core::compatibility;
use windlass_core::names::{AppName, CommitSha, DeploymentId};
use windlass_core::stage::Stage;
use windlass_core::verdict::Verdict;

use crate::error::CommandError;

pub(crate) use error::ClientError;
pub(crate) use lock::FoundLock;
use stream::Messages;
pub(crate) use stream::is_transient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// The service says something on every stream each 15 seconds: after three silences the connection is dead.
const STREAM_SILENCE: Duration = Duration::from_secs(45);

/// One service, and what it knows us by.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    server: Url,
    token: Option<SecretString>,
}

fn path_of<'a>(stage: &'a Stage, below: &[&'a str]) -> Vec<&'a str> {
    let own = ["projects", stage.project.owner(), stage.project.repository(), "stages", stage.name.as_str()];
    own.into_iter().chain(below.iter().copied()).collect()
}

/// Whether nothing of it leaves this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

impl Client {
    /// Nothing is sent yet.
    pub(crate) fn new(server: Url, token: Option<SecretString>) -> Result<Self, CommandError> {
        let version = HeaderMap::from_iter([(
            reqwest::header::HeaderName::from_static(compatibility::VERSION_HEADER),
            HeaderValue::from_static(env!("CARGO_PKG_VERSION")),
        )]);
        let mut builder = reqwest::Client::builder()
            .default_headers(version)
            .user_agent(concat!("windlass/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(STREAM_SILENCE)
            // The token is for this server and no other.
            .redirect(reqwest::redirect::Policy::none());
        if is_loopback(&server) {
            builder = builder.no_proxy();
        }
        let http =
            builder.build().map_err(|error| CommandError::failed("cannot make an HTTP client").caused_by(&error))?;
        Ok(Self { http, server, token })
    }

    pub(crate) const fn server(&self) -> &Url {
        &self.server
    }

    /// Asked without a token.
    pub(crate) async fn version(&self) -> Result<Version, ClientError> {
        self.get(&["version"], &()).await
    }

    /// Sees that this program and the service understand each other.
    ///
    /// # Errors
    ///
    /// When the service does not answer, or is of another time.
    pub(crate) async fn check_version(&self) -> Result<(), CommandError> {
        const OWN: &str = env!("CARGO_PKG_VERSION");
        let service = self.version().await?.version;
        if compatibility::fits(OWN, &service) {
            return Ok(());
        }
        let message = format!("this is Windlass {OWN}, and the service at {} is {service}", self.server);
        Err(CommandError::failed(message)
            .coded("version_unsupported")
            .hint("they may be one version apart: update the older of the two"))
    }

    /// Exchanges a job's OIDC token for one of the service.
    pub(crate) async fn sign_in(&self, stage: &Stage, token: &SecretString) -> Result<SecretString, ClientError> {
        let body = SignIn {
            token: Bearer(token.expose_secret().to_owned()),
            project: stage.project.clone(),
            stage: stage.name.clone(),
        };
        let signed_in: SignedIn = self.post(&["auth", "oidc"], &body).await?;
        Ok(signed_in.token.0.into())
    }

    pub(crate) async fn hosts(&self) -> Result<Vec<HostView>, ClientError> {
        self.get(&["hosts"], &()).await
    }

    pub(crate) async fn stage(&self, stage: &Stage) -> Result<StageView, ClientError> {
        self.get(&path_of(stage, &[]), &()).await
    }

    pub(crate) async fn gate(&self, stage: &Stage, commit: &CommitSha) -> Result<Verdict, ClientError> {
        self.get(&path_of(stage, &["gate"]), &[("commit", commit.as_str())]).await
    }

    pub(crate) async fn plan(&self, stage: &Stage, new: &NewDeployment) -> Result<PlanView, ClientError> {
        self.post(&path_of(stage, &["plan"]), new).await
    }

    pub(crate) async fn lift_hold(&self, stage: &Stage) -> Result<(), ClientError> {
        let path = path_of(stage, &["hold"]);
        self.answer(self.request(Method::DELETE, &path).timeout(REQUEST_TIMEOUT), &path).await.map(drop)
    }

    pub(crate) async fn releases(
        &self,
        stage: &Stage,
        app: &AppName,
        cursor: Option<&str>,
    ) -> Result<Page<Release>, ClientError> {
        let query: Vec<(&str, &str)> = cursor.map(|cursor| ("cursor", cursor)).into_iter().collect();
        self.get(&path_of(stage, &["apps", app.as_str(), "releases"]), &query).await
    }

    /// The newest release of a commit.
    pub(crate) async fn release_of_commit(
        &self,
        stage: &Stage,
        app: &AppName,
        commit: &CommitSha,
    ) -> Result<Option<Release>, ClientError> {
        let query = [("commit", commit.as_str())];
        let page: Page<Release> = self.get(&path_of(stage, &["apps", app.as_str(), "releases"]), &query).await?;
        Ok(page.items.into_iter().next())
    }

    pub(crate) async fn create_release(
        &self,
        stage: &Stage,
        app: &AppName,
        new: &NewRelease,
    ) -> Result<Release, ClientError> {
        self.post(&path_of(stage, &["apps", app.as_str(), "releases"]), new).await
    }

    pub(crate) async fn deploy(&self, stage: &Stage, new: &NewDeployment) -> Result<DeploymentView, ClientError> {
        self.post(&path_of(stage, &["deployments"]), new).await
    }

    /// The stage's newest deployment, whatever became of it.
    pub(crate) async fn newest_deployment(&self, stage: &Stage) -> Result<Option<DeploymentView>, ClientError> {
        let page: Page<DeploymentView> = self.get(&path_of(stage, &["deployments"]), &[("limit", "1")]).await?;
        Ok(page.items.into_iter().next())
    }

    pub(crate) async fn deployment(&self, id: &DeploymentId) -> Result<DeploymentView, ClientError> {
        self.get(&["deployments", id.as_str()], &()).await
    }

    /// In its watch the old release has its traffic back.
    pub(crate) async fn cancel(&self, id: &DeploymentId) -> Result<DeploymentView, ClientError> {
        self.post(&["deployments", id.as_str(), "cancel"], &serde_json::json!({})).await
    }

    /// Only before its traffic has moved: nobody has asked for the old release.
    pub(crate) async fn cancel_before_switch(&self, id: &DeploymentId) -> Result<DeploymentView, ClientError> {
        let path = ["deployments", id.as_str(), "cancel"];
        let request = self.request(Method::POST, &path).query(&[("back", false)]).json(&serde_json::json!({}));
        self.json(request.timeout(REQUEST_TIMEOUT), &path).await
    }

    /// What happened to a deployment after a place in its sequence, and then what happens, until its last word.
    pub(crate) async fn deployment_events(
        &self,
        id: &DeploymentId,
        after: Option<u64>,
    ) -> Result<Messages<DeploymentMessage>, ClientError> {
        self.stream(&["deployments", id.as_str(), "events"], &(), after).await
    }

    /// A stage's tasks, and the hosts that did not answer: of those, what they showed last.
    pub(crate) async fn tasks(&self, stage: &Stage) -> Result<(Vec<TaskView>, Vec<String>), ClientError> {
        let path = path_of(stage, &["tasks"]);
        let answer = self.answer(self.request(Method::GET, &path).timeout(REQUEST_TIMEOUT), &path).await?;
        let named = answer.headers().get_all(SILENT_HOSTS).iter().filter_map(|name| name.to_str().ok());
        let silent = named.map(str::to_owned).collect();
        Ok((self.read(answer, &path).await?, silent))
    }

    /// Service tasks that no deployment accounts for, of one app or of all.
    pub(crate) async fn stale_tasks(&self, stage: &Stage, app: Option<&AppName>) -> Result<StaleTasks, ClientError> {
        self.get(&path_of(stage, &["stale"]), &of_app(app)).await
    }

    /// Stops and removes them; gives those that are gone.
    pub(crate) async fn stop_stale_tasks(
        &self,
        stage: &Stage,
        app: Option<&AppName>,
    ) -> Result<StaleTasks, ClientError> {
        let path = path_of(stage, &["stale"]);
        // The service answers when they have ended, which their grace may delay.
        self.json(self.request(Method::DELETE, &path).query(&of_app(app)), &path).await
    }

    pub(crate) async fn run_task(&self, stage: &Stage, new: &NewTask) -> Result<StartedTask, ClientError> {
        self.post(&path_of(stage, &["tasks"]), new).await
    }

    /// What a task wrote; a one-off task's stream ends with how it ended.
    pub(crate) async fn task_log(
        &self,
        id: &str,
        query: &LogQuery,
        after: Option<u64>,
    ) -> Result<Messages<TaskMessage>, ClientError> {
        self.stream(&["tasks", id, "log"], query, after).await
    }

    pub(crate) async fn stop_task(&self, id: &str) -> Result<(), ClientError> {
        let path = ["tasks", id, "stop"];
        let request = self.request(Method::POST, &path).json(&serde_json::json!({}));
        // The service answers when it has ended, which its grace may delay.
        self.answer(request, &path).await.map(drop)
    }

    async fn get<T: DeserializeOwned>(&self, path: &[&str], query: &impl Serialize) -> Result<T, ClientError> {
        self.json(self.request(Method::GET, path).query(query).timeout(REQUEST_TIMEOUT), path).await
    }

    async fn post<T: DeserializeOwned>(&self, path: &[&str], body: &impl Serialize) -> Result<T, ClientError> {
        self.json(self.request(Method::POST, path).json(body).timeout(REQUEST_TIMEOUT), path).await
    }

    async fn stream<T: DeserializeOwned + Send + 'static>(
        &self,
        path: &[&str],
        query: &impl Serialize,
        after: Option<u64>,
    ) -> Result<Messages<T>, ClientError> {
        let mut request =
            self.request(Method::GET, path).query(query).header(reqwest::header::ACCEPT, "text/event-stream");
        if let Some(after) = after {
            request = request.header("last-event-id", after);
        }
        Ok(stream::messages(self.answer(request, path).await?, self.server.clone()))
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.server.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["api", "v1"]).extend(path);
        }
        let request = self.http.request(method, url);
        match &self.token {
            Some(token) => request.bearer_auth(token.expose_secret()),
            None => request,
        }
    }

    async fn json<T: DeserializeOwned>(&self, request: RequestBuilder, path: &[&str]) -> Result<T, ClientError> {
        let response = self.answer(request, path).await?;
        self.read(response, path).await
    }

    async fn read<T: DeserializeOwned>(&self, response: Response, path: &[&str]) -> Result<T, ClientError> {
        let bytes = response.bytes().await.map_err(|error| ClientError::from_reqwest(&self.server, &error))?;
        serde_json::from_slice(&bytes).map_err(|source| ClientError::Garbled {
            server: self.server.clone(),
            path: path.join("/"),
            source,
        })
    }

    /// A success; everything else is an error.
    async fn answer(&self, request: RequestBuilder, path: &[&str]) -> Result<Response, ClientError> {
        let response = request.send().await.map_err(|error| ClientError::from_reqwest(&self.server, &error))?;
        if response.status().is_success() {
            return Ok(response);
        }
        Err(ClientError::from_answer(&self.server, &path.join("/"), response).await)
    }
}

fn of_app(app: Option<&AppName>) -> Vec<(&'static str, &str)> {
    app.map(|app| ("app", app.as_str())).into_iter().collect()
}
