//! A service in this process beside a stand-in GitHub, without any host: for all that ends before a container is made.

use std::path::Path;
use std::time::Duration;

use axum::http::Method;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePool, SqlitePoolOptions};
use windlass_core::config::ServerConfig;
use windlass_testing::FakeGitHub;
use windlass_testing::github::{Attempt, FakeRepository, deliver};
use windlass_webhook::Running;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const SECRET: &str = "the webhook's secret";

/// A key that belongs to no App: made for these tests, and the stand-in does not check whose it is.
const KEY_OF_NO_APP: &str = include_str!("github/key-of-no-app.pem");

/// As what the service signs in.
#[derive(Debug, Clone, Copy)]
pub(crate) enum As {
    App,
    Token,
}

/// Two stages of one project: `production` for merges into `main` and, after it, `testing` for pushes to `preview`.
pub(crate) struct World {
    pub(crate) github: FakeGitHub,
    pub(crate) shop: FakeRepository,
    config: ServerConfig,
    service: Option<Running>,
    store: Option<SqlitePool>,
    client: reqwest::Client,
    folder: tempfile::TempDir,
}

impl World {
    /// With a service that runs, and is told what happens. It does not find it at the branches' heads.
    pub(crate) async fn start() -> Self {
        let mut world = Self::without_service(As::Token).await;
        world.github.hang("/repos/acme/shop/branches/*");
        world.github.set_webhook(&world.webhook(), SECRET);
        world.start_service().await;
        world
    }

    /// Nobody listens, and nobody is told.
    pub(crate) async fn without_service(signs_in: As) -> Self {
        let folder = crate::private_folder();
        let github = FakeGitHub::start().await;
        let shop = github.add_repository("acme/shop");
        let config = config(folder.path(), &github, shop.id(), signs_in);
        let client = reqwest::Client::builder().no_proxy().timeout(PATIENCE).build().unwrap();
        Self { github, shop, config, service: None, store: None, client, folder }
    }

    pub(crate) async fn start_service(&mut self) {
        self.service =
            Some(windlass_webhook::serve(self.config.clone(), windlass_webhook::Beginning::AsFound).await.unwrap());
        if self.store.is_some() {
            return;
        }
        let file = SqliteConnectOptions::new().filename(self.folder.path().join("windlass.db"));
        self.store = Some(SqlitePoolOptions::new().max_connections(1).connect_with(file).await.unwrap());
    }

    pub(crate) async fn stop_service(&mut self) {
        self.service.take().unwrap().stop().await;
    }

    /// Where deliveries go.
    pub(crate) fn webhook(&self) -> String {
        format!("http://{}/webhooks/github", self.config.listen)
    }

    /// One delivery as GitHub makes it.
    pub(crate) async fn deliver(&self, event: &str, guid: &str, body: &[u8]) -> Attempt {
        deliver(&self.webhook(), SECRET, event, guid, body).await
    }

    /// A `ping` with this signature, or none.
    pub(crate) async fn post(&self, guid: &str, body: Vec<u8>, signature: Option<String>) -> u16 {
        let mut request = self
            .client
            .post(self.webhook())
            .header("x-github-event", "ping")
            .header("x-github-delivery", guid)
            .header("content-type", "application/json");
        if let Some(signature) = signature {
            request = request.header("x-hub-signature-256", signature);
        }
        request.body(body).send().await.unwrap().status().as_u16()
    }

    /// A pull request that is merged.
    pub(crate) fn merge(&self, branch: &str) -> String {
        self.shop.push(branch, branch);
        let number = self.shop.open_pull_request(branch);
        self.shop.merge_pull_request(number)
    }

    /// One value of the store, as text.
    pub(crate) async fn stored(&self, sql: &'static str) -> Option<String> {
        sqlx::query_scalar(sql).fetch_optional(self.store.as_ref().unwrap()).await.unwrap()
    }

    /// Changes the store behind the service's back.
    pub(crate) async fn change_store(&self, sql: &'static str) {
        sqlx::query(sql).execute(self.store.as_ref().unwrap()).await.unwrap();
    }

    /// How many deliveries are in this state.
    pub(crate) async fn deliveries(&self, state: &str) -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM deliveries WHERE state = ?")
            .bind(state)
            .fetch_one(self.store.as_ref().unwrap())
            .await
            .unwrap()
    }

    /// What the stage's branch wants.
    pub(crate) async fn wanted(&self, stage: &str) -> Option<String> {
        sqlx::query_scalar("SELECT commit_sha FROM wanted_commits WHERE stage = ?")
            .bind(stage)
            .fetch_optional(self.store.as_ref().unwrap())
            .await
            .unwrap()
    }

    /// Waits until the stage's branch wants this.
    pub(crate) async fn until_wanted(&self, stage: &str, commit: &str) {
        let what = format!("{stage} to want {commit}");
        self.until(&what, async || self.wanted(stage).await.as_deref() == Some(commit)).await;
    }

    /// Waits until no delivery waits for its work.
    pub(crate) async fn until_worked_off(&self) {
        self.until("all deliveries to be worked on", async || self.deliveries("received").await == 0).await;
    }

    /// Another process' store tells nobody that it changed, so that it is looked at again and again.
    pub(crate) async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let look = async {
            while !is_so().await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, look).await.is_err() {
            panic!("waited in vain for {what}; GitHub was asked {:?}", self.github.requests());
        }
    }

    /// The paths of all requests of this method, oldest first.
    pub(crate) fn asked(&self, method: &Method) -> Vec<String> {
        self.github.requests().into_iter().filter(|it| it.method == *method).map(|it| it.path).collect()
    }
}

fn config(folder: &Path, github: &FakeGitHub, repository: u64, signs_in: As) -> ServerConfig {
    let written = |name: &str, content: &str| {
        let path = folder.join(name);
        write(&path, content);
        path.display().to_string()
    };
    let auth = match signs_in {
        As::Token => format!("token = {{ file = \"{}\" }}", written("token", github.token())),
        As::App => format!(
            "app-id = {}\nprivate-key = {{ file = \"{}\" }}",
            FakeGitHub::APP_ID,
            written("key.pem", KEY_OF_NO_APP)
        ),
    };
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let text = format!(
        r#"schema = 1
listen = "{address}"
public-url = "http://{address}"
data = "{data}"

[github]
api-url = "{api}"
{auth}
webhook-secrets = [{{ file = "{secret}" }}]
oidc-issuer = "{issuer}"

[hosts.a]
docker = "unix:///nowhere.sock"

[projects."acme/shop"]
id = {repository}

[projects."acme/shop".stages.production]
branch = "main"
deploy-on = ["merge"]

[projects."acme/shop".stages.testing]
branch = "preview"
deploy-on = ["push"]
"#,
        data = folder.display(),
        api = github.url(),
        issuer = github.oidc_issuer(),
        secret = written("secret", SECRET),
    );
    let mut config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
    config.hosts.clear();
    config
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
}
