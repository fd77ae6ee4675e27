//! A world to test in: a stand-in GitHub, a real Docker Engine, and this program as service and as gateway. Whatever a
//! test leaves is removed, also when it fails.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use windlass_core::api::{DeploymentView, Page, Release, Scope, StageView};
use windlass_core::config::{DockerEndpoint, ServerConfig};
use windlass_core::names::{Digest, HostName, InstallationId};
use windlass_engine::{Engine, EngineError};
use windlass_testing::free_address;
use windlass_testing::github::{CheckState, Conclusion, FakeGitHub, FakeRepository};
use windlass_testing::registry::Registry;
use windlass_testing::sample_app;
use windlass_webhook::{TokenRequest, tokens};

// By their paths: the benchmarks have this file from another folder.
#[path = "world/memory.rs"]
mod memory;
#[path = "world/process.rs"]
mod process;
#[path = "world/server_file.rs"]
mod server_file;

use process::start_within;
use server_file::server_config;

pub(crate) const PROJECT: &str = "acme/shop";
pub(crate) const STAGE: &str = "production";
pub(crate) const HOST: &str = "shop.example.com";
pub(crate) const WEBHOOK_SECRET: &str = "the world's own secret";
/// The stage's secret of that name.
pub(crate) const DATABASE_URL: &str = "postgres://shop:a-very-secret-password@db/shop";

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// This machine's own Docker Engine.
pub(crate) const DOCKER: &str = "/var/run/docker.sock";

/// Everything that a test needs.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) github: FakeGitHub,
    pub(crate) repository: FakeRepository,
    pub(crate) engine: Engine,
    pub(crate) token: String,
    pub(crate) service_address: SocketAddr,
    pub(crate) gateway_address: SocketAddr,
    /// How many files processes that are started from now on may open; `None`: as many as this one.
    pub(crate) open_files: Option<u32>,
    /// What processes that are started from now on log: `info`, or more.
    pub(crate) log: &'static str,
    docker: PathBuf,
    registries: Mutex<Vec<SocketAddr>>,
    service: Option<Child>,
    gateway: Option<Child>,
    client: reqwest::Client,
}

impl World {
    /// With a service and a gateway that run.
    pub(crate) async fn start() -> Self {
        Self::start_with("").await
    }

    /// The same with more in the server's file, after everything else.
    pub(crate) async fn start_with(more: &str) -> Self {
        Self::start_on(Path::new(DOCKER), None, more).await
    }

    /// The same on the Docker Engine behind this socket, whose networks are cut from this block.
    pub(crate) async fn start_on(docker: &Path, networks: Option<&str>, more: &str) -> Self {
        Self::start_edited(docker, networks, more, free_address(), &str::to_owned).await
    }

    /// The same with a gateway at this address, and something else in the server's file.
    pub(crate) async fn start_edited(
        docker: &Path,
        networks: Option<&str>,
        more: &str,
        gateway_address: SocketAddr,
        edit: &(dyn Fn(&str) -> String + Sync),
    ) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-test-").tempdir().unwrap();
        let github = FakeGitHub::start().await;
        let repository = github.add_repository(PROJECT);
        let service_address = free_address();
        let addresses = (service_address, gateway_address);
        let text = server_config(folder.path(), &github, repository.id(), addresses, docker, networks, more);
        let text = edit(&text);
        let config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
        write(&folder.path().join("windlass-server.toml"), &text);
        write(&folder.path().join("github-token"), github.token());
        write(&folder.path().join("webhook-secret"), WEBHOOK_SECRET);
        write(&folder.path().join("database-url"), DATABASE_URL);
        let request = TokenRequest {
            name: "tester".to_owned(),
            scopes: vec![Scope::Read, Scope::Release, Scope::Deploy],
            project: None,
            stage: None,
        };
        let (token, _) = tokens::create(&config, &request).await.unwrap();
        let installation = windlass_webhook::installation(&config).await.unwrap();
        let endpoint = DockerEndpoint::Unix(docker.into());
        let engine = Engine::connect("a".parse().unwrap(), &endpoint, installation).await.unwrap();
        github.set_webhook(&format!("http://{service_address}/webhooks/github"), WEBHOOK_SECRET);
        let mut world = Self {
            folder,
            github,
            repository,
            engine,
            token: token.expose_secret().to_owned(),
            service_address,
            gateway_address,
            open_files: None,
            log: "info",
            docker: docker.to_owned(),
            registries: Mutex::default(),
            service: None,
            gateway: None,
            client: reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap(),
        };
        world.start_gateway().await;
        world.start_service().await;
        world
    }

    /// What is pulled from this registry is removed with everything else.
    pub(crate) fn pulls_from(&self, registry: &Registry) {
        self.registries.lock().unwrap().push(registry.address());
    }

    pub(crate) async fn start_service(&mut self) {
        self.service = Some(self.start_process("serve", &[], self.service_address).await);
    }

    pub(crate) async fn start_gateway(&mut self) {
        self.gateway = Some(self.start_process("gateway", &["--host", "a"], self.gateway_address).await);
    }

    /// `kill -9`, and it is gone.
    pub(crate) async fn kill_service(&mut self) {
        self.service.take().unwrap().kill().await.unwrap();
    }

    /// `kill -9`, and it is gone.
    pub(crate) async fn kill_gateway(&mut self) {
        self.gateway.take().unwrap().kill().await.unwrap();
    }

    async fn start_process(&self, command: &str, more: &[&str], answers_at: SocketAddr) -> Child {
        let log = self.path(&format!("{command}.log"));
        let more = [more, &["--log", self.log]].concat();
        start_within(self.open_files, command, &self.path("windlass-server.toml"), &more, &log, answers_at).await
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the service logged.
    pub(crate) fn service_log(&self) -> String {
        std::fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    /// An image of the sample app that behaves as its environment says.
    pub(crate) async fn build(&self, env: &[(&str, &str)]) -> Digest {
        self.engine.build_image(sample_app::build_context(env).into()).await.unwrap()
    }

    /// A pull request that is merged; GitHub tells the service.
    pub(crate) fn merge(&self, title: &str) -> String {
        self.repository.push(title, title);
        let number = self.repository.open_pull_request(title);
        self.repository.merge_pull_request(number)
    }

    /// A green commit on the stage's branch and a release of it, which nobody but the test deploys: it was not merged.
    pub(crate) async fn release(&self, title: &str, digest: &Digest, config: &str) -> Release {
        let commit = self.repository.push("main", title);
        self.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        self.register(&commit, digest, config).await
    }

    /// Registers a release through the API.
    pub(crate) async fn register(&self, commit: &str, digest: &Digest, config: &str) -> Release {
        let body = serde_json::json!({ "commit": commit, "digest": digest, "config": config });
        self.post(&format!("{}/apps/default/releases", stage_path()), &body).await
    }

    /// The least that makes the sample app reachable, and quick to judge.
    pub(crate) fn config(&self) -> String {
        self.config_with("")
    }

    /// The same with more keys.
    pub(crate) fn config_with(&self, more: &str) -> String {
        format!(
            "schema = 1\nurl = [\"http://{HOST}/\"]\nport = 3000\nwatch = \"500ms\"\n\
             health = {{ path = \"/up\", interval = \"1s\", timeout = \"2s\", deadline = \"20s\" }}\n\
             stop = {{ signal = \"SIGTERM\", grace = \"5s\", drain = \"5s\" }}\n{more}\n"
        )
    }

    /// Deploys a release through the API and waits for its last word.
    pub(crate) async fn deploy(&self, kind: &str, release: Option<u64>) -> DeploymentView {
        let releases = release.map_or_else(|| serde_json::json!({}), |number| serde_json::json!({ "default": number }));
        let body = serde_json::json!({ "kind": kind, "releases": releases });
        let started: DeploymentView = self.post(&format!("{}/deployments", stage_path()), &body).await;
        self.until_ended(started.id.as_str()).await
    }

    /// Follows a deployment's events to its last word.
    pub(crate) async fn until_ended(&self, id: &str) -> DeploymentView {
        let begun = std::time::Instant::now();
        loop {
            let url = format!("http://{}/api/v1/deployments/{id}/events", self.service_address);
            // The stream closes after the last word; a service that is killed meanwhile breaks it off.
            if let Ok(answer) = self.client.get(url).bearer_auth(&self.token).send().await {
                let _ = answer.bytes().await;
            }
            if let Some(view) = self.try_get::<DeploymentView>(&format!("/deployments/{id}")).await
                && view.state.is_final()
            {
                return view;
            }
            assert!(begun.elapsed() < PATIENCE, "deployment {id} does not end:\n{}", self.service_log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub(crate) async fn stage(&self) -> StageView {
        self.get(&stage_path()).await
    }

    pub(crate) async fn deployments(&self) -> Vec<DeploymentView> {
        self.get::<Page<DeploymentView>>(&format!("{}/deployments", stage_path())).await.items
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.request(reqwest::Method::GET, path).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "GET {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    async fn try_get<T: DeserializeOwned>(&self, path: &str) -> Option<T> {
        let answer = self.request(reqwest::Method::GET, path).send().await.ok()?;
        answer.error_for_status().ok()?.json().await.ok()
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &serde_json::Value) -> T {
        let answer = self.request(reqwest::Method::POST, path).json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "POST {path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }

    pub(crate) fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("http://{}/api/v1{path}", self.service_address);
        self.client.request(method, url).bearer_auth(&self.token)
    }

    /// `GET` of the app through the gateway.
    pub(crate) fn app(&self, path: &str) -> reqwest::RequestBuilder {
        self.client.get(format!("http://{}{path}", self.gateway_address)).header("host", HOST)
    }

    /// What the app answers at `/`.
    pub(crate) async fn answer(&self) -> String {
        self.app("/").send().await.unwrap().text().await.unwrap()
    }

    /// Waits until what the app answers at `/` begins so.
    pub(crate) async fn until_answer(&self, beginning: &str) {
        let asked = async {
            loop {
                let answer = self.app("/").send().await;
                if let Ok(answer) = answer
                    && answer.text().await.is_ok_and(|text| text.starts_with(beginning))
                {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let answered = tokio::time::timeout(PATIENCE, asked).await;
        assert!(answered.is_ok(), "no answer began with {beginning:?}\n{}", self.service_log());
    }

    /// A command of the command line, as a person would type it.
    pub(crate) fn windlass<S: AsRef<OsStr>>(&self, arguments: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_windlass"));
        command
            .args(arguments)
            .env("WINDLASS_SERVER", format!("http://{}", self.service_address))
            .env("WINDLASS_TOKEN", &self.token)
            .env("WINDLASS_PROJECT", PROJECT)
            .env("WINDLASS_STAGE", STAGE)
            .env("NO_COLOR", "1")
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }
}

impl Drop for World {
    fn drop(&mut self) {
        end_at_once([self.service.take(), self.gateway.take()].into_iter().flatten());
        let cleaned = remove_everything_of(&self.docker, self.engine.host(), self.engine.installation());
        for registry in self.registries.lock().unwrap().iter() {
            remove_images_of(*registry);
        }
        if std::thread::panicking() {
            eprintln!("--- the service's log ---\n{}", self.service_log());
        } else {
            cleaned.unwrap();
        }
    }
}

/// Kills them and waits for it: their last requests to an engine are under way until they are gone.
pub(crate) fn end_at_once(children: impl Iterator<Item = Child>) {
    for mut child in children {
        let _ = child.start_kill();
        while matches!(child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Whatever an installation has on the engine behind this socket.
pub(crate) fn remove_everything_of(
    docker: &Path,
    host: &HostName,
    installation: InstallationId,
) -> Result<(), EngineError> {
    let (host, endpoint) = (host.clone(), DockerEndpoint::Unix(docker.into()));
    // A thread of its own: this one may be unwinding inside a runtime.
    let cleaning = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let engine = Engine::connect(host, &endpoint, installation).await?;
            engine.remove_everything().await
        })
    });
    cleaning.join().unwrap()
}

/// By name and digest: another test may have the same image from elsewhere.
fn remove_images_of(registry: SocketAddr) {
    let docker = |arguments: &[&str]| std::process::Command::new("docker").args(arguments).output().unwrap().stdout;
    let reference = format!("reference={registry}/*/*");
    let format = "{{.Repository}}@{{.Digest}}";
    let images = docker(&["image", "ls", "--digests", "--filter", &reference, "--format", format]);
    for image in String::from_utf8_lossy(&images).lines() {
        docker(&["image", "rm", "--force", image]);
    }
}

/// One of this program's servers, once it listens. It ends with the value that stands for it.
pub(crate) async fn start_windlass(
    command: &str,
    config: &Path,
    more: &[&str],
    log: &Path,
    answers_at: SocketAddr,
) -> Child {
    start_within(None, command, config, more, log, answers_at).await
}

pub(crate) fn stage_path() -> String {
    format!("/projects/{PROJECT}/stages/{STAGE}")
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(crate) fn write(path: &Path, content: &str) {
    std::fs::write(path, content).unwrap();
}

#[expect(clippy::disallowed_methods, reason = "a test's own file")]
pub(crate) fn write_bytes(path: &Path, content: &[u8]) {
    std::fs::write(path, content).unwrap();
}
