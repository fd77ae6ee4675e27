//! A service over one host or three, and what is true of them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::process::Child;
use windlass_core::api::{DeploymentView, Page, Release, Scope};
use windlass_core::config::ServerConfig;
use windlass_core::labels::Kind;
use windlass_core::names::{HostName, InstallationId};
use windlass_core::plan::{Plan, Step, StepKind};
use windlass_core::task::{HostTask, ObservedTask, TaskSpec};
use windlass_testing::docker::App;
use windlass_testing::github::{CheckState, Conclusion, FakeGitHub, FakeRepository};
use windlass_testing::{free_address, sample_app};
use windlass_webhook::{TokenRequest, tokens};

use super::client::Client;
pub(super) use super::hosts::EngineKind;
use super::hosts::Host;
use super::journal::{Journal, REFUSED};
use crate::world::{
    DOCKER, HOST, PATIENCE, PROJECT, STAGE, WEBHOOK_SECRET, end_at_once, remove_everything_of, stage_path,
    start_windlass, write,
};

/// Which plans are cut.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scene {
    pub(super) web: &'static str,
    pub(super) worker: &'static str,
    pub(super) hosts: u8,
    pub(super) engine: EngineKind,
}

pub(super) struct Matrix {
    pub(super) scene: Scene,
    pub(super) hosts: Vec<Host>,
    pub(super) journal: Journal,
    /// The release that serves.
    pub(super) active: u64,
    /// The last one that was registered.
    pub(super) asked: u64,
    /// What runs while it is active.
    running: BTreeSet<HostTask>,
    installation: InstallationId,
    _github: FakeGitHub,
    repository: FakeRepository,
    digest: String,
    token: String,
    service_address: std::net::SocketAddr,
    service: Option<Child>,
    client: reqwest::Client,
    folder: TempDir,
}

impl Matrix {
    pub(super) async fn start(scene: Scene) -> Self {
        let folder = tempfile::Builder::new().prefix("windlass-matrix-").tempdir().unwrap();
        let github = FakeGitHub::start().await;
        let repository = github.add_repository(PROJECT);
        let service_address = free_address();
        let mut hosts = Vec::new();
        for (name, number) in ["a", "b", "c"].into_iter().zip(1..=scene.hosts) {
            hosts.push(Host::start(name, number, scene.engine, folder.path()).await);
        }
        let file = |hosts: Vec<String>| {
            format!(
                "schema = 1\nlisten = \"{service_address}\"\npublic-url = \"http://{service_address}\"\n\
                 data = \"{folder}/data\"\n[github]\napi-url = \"{}\"\ntoken = {{ file = \"{folder}/github-token\" }}\n\
                 webhook-secrets = [{{ file = \"{folder}/webhook-secret\" }}]\n{}\n[projects.\"{PROJECT}\"]\nid = {}\n\
                 limits = {{ urls = [\"{HOST}\"] }}\n[projects.\"{PROJECT}\".stages.{STAGE}]\nbranch = \"main\"\n\
                 deploy-on = [\"merge\"]\nchecks = \"all\"\n",
                github.url(),
                hosts.concat(),
                repository.id(),
                folder = folder.path().display(),
            )
        };
        let text = file(hosts.iter().map(Host::config).collect());
        let config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
        write(&folder.path().join("windlass-server.toml"), &text);
        write(&folder.path().join("gateways.toml"), &file(hosts.iter().map(Host::config_of_gateway).collect()));
        write(&folder.path().join("github-token"), github.token());
        write(&folder.path().join("webhook-secret"), WEBHOOK_SECRET);
        let scopes = vec![Scope::Read, Scope::Release, Scope::Deploy];
        let request = TokenRequest { name: "matrix".to_owned(), scopes, project: None, stage: None };
        let (token, _) = tokens::create(&config, &request).await.unwrap();
        let installation = windlass_webhook::installation(&config).await.unwrap();
        github.set_webhook(&format!("http://{service_address}/webhooks/github"), WEBHOOK_SECRET);
        for host in &mut hosts {
            let log = folder.path().join(format!("gateway-{}.log", host.name));
            host.start_gateway(&folder.path().join("gateways.toml"), &log).await;
        }
        let mut matrix = Self {
            scene,
            journal: Journal::open(&folder.path().join("data/windlass.db")).await,
            active: 0,
            asked: 0,
            running: BTreeSet::new(),
            installation,
            repository,
            digest: String::new(),
            token: token.expose_secret().to_owned(),
            service_address,
            service: None,
            client: reqwest::Client::builder().timeout(PATIENCE).build().unwrap(),
            hosts,
            _github: github,
            folder,
        };
        matrix.digest = matrix.have_an_image().await;
        matrix.start_service().await;
        matrix
    }

    async fn have_an_image(&self) -> String {
        if self.scene.engine == EngineKind::Docker {
            let engine = self.hosts[0].engine(self.installation).await;
            return engine.build_image(sample_app::build_context(&[]).into()).await.unwrap().to_string();
        }
        let digest = format!("sha256:{}", "ab".repeat(32));
        self.hosts.iter().filter_map(|host| host.fake.as_ref()).for_each(|it| it.add_image(&digest, App::healthy()));
        digest
    }

    /// One release more, and the steps that it took.
    pub(super) async fn deploy_undisturbed(&mut self) -> Vec<StepKind> {
        let commit = self.ask_for_the_next_release("undisturbed").await;
        let deployment = self.until_settled(&commit, "undisturbed").await;
        assert_eq!(deployment.state.as_str(), "succeeded", "{deployment:?}\n{}", self.service_log());
        self.is_active().await;
        self.newest_plan().await.steps.iter().map(Step::kind).collect()
    }

    /// What was asked for last serves from now on.
    pub(super) async fn is_active(&mut self) {
        self.active = self.asked;
        self.running = self.newest_plan().await.tasks().map(TaskSpec::place).collect();
    }

    /// A merge whose checks are green, and its release.
    pub(super) async fn ask_for_the_next_release(&mut self, what: &str) -> String {
        let branch = format!("change-{}", self.asked);
        self.repository.push(&branch, &branch);
        let commit = self.repository.merge_pull_request(self.repository.open_pull_request(&branch));
        self.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        let body = serde_json::json!({ "commit": commit, "digest": self.digest, "config": self.app_config() });
        let url = self.api(&format!("{}/apps/default/releases", stage_path()));
        let answer = self.client.post(url).bearer_auth(&self.token).json(&body).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let release: Release = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{what}: {error}: {text}"));
        self.asked = release.number.0;
        commit
    }

    fn app_config(&self) -> String {
        let Scene { web, worker, .. } = self.scene;
        format!(
            "schema = 1\nurl = [\"http://{HOST}/\"]\nwatch = \"50ms\"\nboot = {{ limit = 2 }}\n\
             migrate = {{ command = [\"migrate\"] }}\n\
             [roles.web]\nprimary = true\nport = 3000\nstrategy = \"{web}\"\n\
             health = {{ path = \"/up\", interval = \"1s\", timeout = \"2s\", deadline = \"20s\" }}\n\
             hold = {{ requests = 1000, time = \"60s\" }}\nstop = {{ grace = \"5s\", drain = \"5s\" }}\n\
             [roles.worker]\nstrategy = \"{worker}\"\nhealth = {{ stable = \"50ms\" }}\nstop = {{ grace = \"5s\" }}\n"
        )
    }

    /// Until the service has tried to write what is refused.
    pub(super) async fn until_refused(&self, what: &str) {
        self.until(what, "the cut", async || self.service_log().contains(REFUSED)).await;
    }

    pub(super) async fn until_failed(&self, step: usize, what: &str) {
        let id = self.newest().await.id;
        self.until(what, "the failure", async || self.journal.has_failed(id.as_str(), step).await).await;
    }

    /// Until nothing is left to do for the commit's deployment, and GitHub knows how it ended.
    pub(super) async fn until_settled(&self, commit: &str, what: &str) -> DeploymentView {
        let ended = |state: Option<&str>| matches!(state, Some("success" | "failure" | "error"));
        let told = self.repository.until_deployment(|it| it.sha == commit && ended(it.state()), PATIENCE).await;
        told.unwrap_or_else(|error| panic!("{what}: {error}\n{}", self.service_log()));
        let id = self.newest().await.id;
        self.until(what, "the end", async || self.journal.is_settled(id.as_str()).await).await;
        self.newest().await
    }

    /// Until the newest deployment says this of itself.
    pub(super) async fn until_reason(&self, reason: &str, what: &str) -> DeploymentView {
        self.until(what, reason, async || self.newest().await.reason.as_deref() == Some(reason)).await;
        self.newest().await
    }

    /// What GitHub was told last of the commit's deployment.
    pub(super) fn told(&self, commit: &str) -> String {
        let deployment = self.repository.deployments().into_iter().find(|it| it.sha == commit).unwrap();
        deployment.state().unwrap_or_default().to_owned()
    }

    /// Everything is as one release has it, and nothing else is there.
    pub(super) async fn assert_whole(&self, what: &str) {
        let mut running = BTreeSet::new();
        for host in &self.hosts {
            let observed = host.engine(self.installation).await.observe().await.unwrap();
            for task in &observed {
                assert_eq!(task.labels.kind, Kind::Service, "{what}: a task that has ended is left: {task:?}");
                if task.status.is_alive() {
                    running.insert(HostTask { host: task.host.clone(), name: task.name.clone() });
                }
            }
            self.assert_kept(&observed, what);
        }
        assert_eq!(running, self.running, "{what}\n{}", self.service_log());
        for gateway in self.gateways() {
            let told = Client::start(gateway);
            assert_eq!(told.stop().await, [format!("release {}", self.active)], "{what}");
        }
    }

    /// What has stopped is of one older release at the most, kept for a quick way back.
    fn assert_kept(&self, observed: &[ObservedTask], what: &str) {
        let stopped = observed.iter().filter(|task| !task.status.is_alive());
        let releases: BTreeSet<u64> = stopped.map(|task| task.labels.release.0).collect();
        assert!(releases.len() <= 1, "{what}: tasks of releases {releases:?} are left");
        assert!(releases.iter().all(|release| *release < self.active), "{what}: {releases:?}");
    }

    /// Those that have something to serve.
    pub(super) fn gateways(&self) -> Vec<std::net::SocketAddr> {
        let with_tasks = if self.scene.web == "singleton" { 1 } else { self.hosts.len() };
        self.hosts.iter().take(with_tasks).map(|host| host.gateway_address).collect()
    }

    pub(super) async fn newest_plan(&self) -> Plan {
        let ids: Page<DeploymentView> = self.get(&format!("{}/deployments", stage_path())).await;
        self.journal.plan(ids.items[0].id.as_str()).await
    }

    async fn newest(&self) -> DeploymentView {
        self.get::<Page<DeploymentView>>(&format!("{}/deployments", stage_path())).await.items.remove(0)
    }

    /// The container's process ends, as by itself.
    pub(super) async fn end(&self, host: &HostName, name: &str) {
        match self.hosts.iter().find(|it| it.name == host.as_str()).and_then(|host| host.fake.as_ref()) {
            Some(fake) => fake.exit(name, 1),
            None => {
                let killed = tokio::process::Command::new("docker").args(["kill", name]).output().await.unwrap();
                assert!(killed.status.success(), "{killed:?}");
            }
        }
    }

    pub(super) async fn start_service(&mut self) {
        let (config, log) = (self.path("windlass-server.toml"), self.path("serve.log"));
        // What it was refused before is not what it is refused next.
        write(&log, "");
        self.service = Some(start_windlass("serve", &config, &[], &log, self.service_address).await);
    }

    pub(super) async fn kill_service(&mut self) {
        self.service.take().unwrap().kill().await.unwrap();
    }

    pub(super) fn service_log(&self) -> String {
        std::fs::read_to_string(self.path("serve.log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn api(&self, path: &str) -> String {
        format!("http://{}/api/v1{path}", self.service_address)
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let answer = self.client.get(self.api(path)).bearer_auth(&self.token).send().await.unwrap();
        answer.error_for_status().unwrap().json().await.unwrap()
    }

    async fn until(&self, what: &str, awaited: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let begun = Instant::now();
        while !is_so().await {
            assert!(begun.elapsed() < PATIENCE, "{what}: {awaited} does not come\n{}", self.service_log());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

impl fmt::Display for Scene {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { web, worker, hosts, engine } = self;
        write!(formatter, "{web} web and {worker} worker on {hosts} of {engine:?}")
    }
}

impl Drop for Matrix {
    fn drop(&mut self) {
        end_at_once(
            self.service.take().into_iter().chain(self.hosts.iter_mut().filter_map(|host| host.gateway.take())),
        );
        if self.scene.engine == EngineKind::Docker {
            let host = self.hosts[0].name.parse().unwrap();
            let cleaned = remove_everything_of(Path::new(DOCKER), &host, self.installation);
            if !std::thread::panicking() {
                cleaned.unwrap();
            }
        }
    }
}
