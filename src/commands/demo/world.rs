//! All that the demo needs: a folder, a stand-in GitHub with a repository, a Docker Engine, a service and a gateway.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use secrecy::ExposeSecret;
use tempfile::TempDir;
use tokio::process::Command;
use tokio_util::task::TaskTracker;
use windlass_core::api::{DeploymentView, Page, Release, Scope};
use windlass_core::config::{DockerEndpoint, ServerConfig};
use windlass_core::names::{Digest, HostName};
use windlass_demo::github::{FakeGitHub, FakeRepository};
use windlass_demo::{Authority, free_address, sample_app};
use windlass_engine::Engine;
use windlass_webhook::{TokenRequest, tokens};

use super::processes::Process;
use crate::client::Client;
use crate::output::Printer;

pub(super) const PROJECT: &str = "acme/shop";
pub(super) const STAGE: &str = "production";
const WEBHOOK_SECRET: &str = "a-secret-that-only-the-demo-knows";
/// Resolves to loopback everywhere, without a name server.
const HOST: &str = "shop.localhost";

/// All that the demo needs. [`World::tear_down`] removes it.
pub(super) struct World {
    folder: TempDir,
    pub(super) github: FakeGitHub,
    pub(super) repository: FakeRepository,
    engine: Engine,
    builds: TaskTracker,
    service: Option<Process>,
    gateway: Option<Process>,
    service_address: SocketAddr,
    gateway_address: SocketAddr,
    secure_address: SocketAddr,
    token: String,
    client: reqwest::Client,
}

impl World {
    pub(super) async fn build(output: &Printer) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("windlass-demo-").tempdir()?;
        let github = FakeGitHub::start().await;
        let repository = github.add_repository(PROJECT);
        let (service_address, gateway_address) = (free_address(), free_address());
        let secure_address = free_address();
        let authority = Authority::new()?;
        let certified = authority.certify(HOST)?;
        write(&folder.path().join("app.key"), &certified.key)?;
        write(&folder.path().join("app.pem"), &certified.chain)?;
        let socket = docker_socket();
        let addresses = Addresses { service: service_address, gateway: gateway_address, secure: secure_address };
        let config_text = server_config(&folder, &github, repository.id(), &addresses, &socket);
        let config_path = folder.path().join("windlass-server.toml");
        write(&config_path, &config_text)?;
        write(&folder.path().join("github-token"), github.token())?;
        write(&folder.path().join("webhook-secret"), WEBHOOK_SECRET)?;
        let config = ServerConfig::parse("windlass-server.toml", &config_text)?;

        let request = TokenRequest {
            name: "demo".to_owned(),
            scopes: vec![Scope::Read, Scope::Release, Scope::Deploy],
            project: None,
            stage: None,
        };
        let (token, _) = tokens::create(&config, &request).await?;
        let installation = windlass_webhook::installation(&config).await?;
        let host: HostName = "here".parse()?;
        let engine = Engine::connect(host, &DockerEndpoint::Unix(socket), installation).await.context(
            "the demo needs a Docker Engine: start one, and see that you may use its socket (DOCKER_HOST is respected)",
        )?;
        let mut world = Self {
            folder,
            repository,
            engine,
            builds: TaskTracker::new(),
            service: None,
            gateway: None,
            service_address,
            gateway_address,
            secure_address,
            token: token.expose_secret().to_owned(),
            client: reqwest::Client::builder()
                .timeout(Duration::from_secs(10))
                .add_root_certificate(reqwest::Certificate::from_pem(authority.certificate().as_bytes())?)
                // Not every machine resolves names below `localhost`.
                .resolve(HOST, secure_address)
                .build()?,
            github,
        };
        if let Err(error) = world.start(&config_path).await {
            world.tear_down().await?;
            return Err(error);
        }
        world.github.set_webhook(&format!("http://{service_address}/webhooks/github"), WEBHOOK_SECRET);
        output.line(&format!("  installation {installation}"));
        output.line(&format!("  service  http://{service_address}"));
        output.line(&format!("  gateway  http://{gateway_address}, https://{secure_address}"));
        output.line(&format!("  app      {} (by an authority of the demo's own, until it ends)", world.app_url()));
        output.line(&format!("  GitHub   {} (a stand-in that speaks its protocol)", world.github.url()));
        Ok(world)
    }

    async fn start(&mut self, config: &std::path::Path) -> anyhow::Result<()> {
        let [serve, gateway, flag, host, here] = ["serve", "gateway", "--config", "--host", "here"].map(OsStr::new);
        let folder = self.folder.path().to_owned();
        let config = config.as_os_str();
        let arguments = [gateway, flag, config, host, here];
        self.gateway = Some(Process::start("gateway", &arguments, &folder, self.gateway_address).await?);
        self.service = Some(Process::start("service", &[serve, flag, config], &folder, self.service_address).await?);
        Ok(())
    }

    /// Where the app is reached.
    pub(super) fn app_url(&self) -> String {
        format!("https://{HOST}:{}/", self.secure_address.port())
    }

    /// `GET` of the app, as a browser would that trusts the demo's authority.
    pub(super) fn app_request(&self) -> reqwest::RequestBuilder {
        self.client.get(self.app_url())
    }

    /// Builds an image of the sample app, whose environment makes it behave. An interruption waits for the engine to
    /// finish, so that nothing half-built is left.
    pub(super) async fn build_image(&self, env: &[(&str, &str)]) -> anyhow::Result<Digest> {
        let context = sample_app::build_context(env);
        let engine = self.engine.clone();
        let build = self.builds.spawn(async move { engine.build_image(context.into()).await });
        Ok(build.await??)
    }

    /// `windlass release create`, as a person or a job would.
    pub(super) async fn register(&self, commit: &str, image: &Digest) -> anyhow::Result<Release> {
        let path = self.folder.path().join("windlass.toml");
        write(&path, &self.app_config())?;
        let config = path.to_string_lossy();
        let image = image.to_string();
        self.windlass(&["release", "create", "--commit", commit, "--digest", &image, "--config", &config]).await
    }

    /// `windlass rollback`, without waiting for it.
    pub(super) async fn rollback(&self) -> anyhow::Result<DeploymentView> {
        self.windlass(&["rollback", "--detach", "--reason", "the demo asks for it"]).await
    }

    /// A command of this same program, and the JSON that it prints.
    async fn windlass<T: serde::de::DeserializeOwned>(&self, arguments: &[&str]) -> anyhow::Result<T> {
        let output = Command::new(std::env::current_exe()?)
            .args(arguments)
            .args(["--json", "--project", PROJECT, "--stage", STAGE])
            .env("WINDLASS_SERVER", format!("http://{}", self.service_address))
            .env("WINDLASS_TOKEN", &self.token)
            .current_dir(self.folder.path())
            .process_group(0)
            .output()
            .await?;
        if !output.status.success() {
            bail!("`windlass {}` failed:\n{}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        serde_json::from_slice(&output.stdout).context("its answer is not what was expected")
    }

    /// The newest deployment of the stage.
    pub(super) async fn newest_deployment(&self) -> anyhow::Result<DeploymentView> {
        let url =
            format!("http://{}/api/v1/projects/{PROJECT}/stages/{STAGE}/deployments?limit=1", self.service_address);
        let answer = self.client.get(url).bearer_auth(&self.token).send().await?.error_for_status()?;
        let page: Page<DeploymentView> = answer.json().await?;
        page.items.into_iter().next().context("the stage has no deployment")
    }

    /// A client of the service's API.
    pub(super) fn api(&self) -> anyhow::Result<Client> {
        let server = format!("http://{}", self.service_address).parse()?;
        Client::new(server, Some(self.token.clone().into())).map_err(|error| anyhow::anyhow!(error.summary()))
    }

    fn app_config(&self) -> String {
        format!(
            r#"schema = 1
url = ["{}"]
port = 3000
watch = "2s"
health = {{ path = "/up", interval = "1s", timeout = "2s", deadline = "4s" }}
stop = {{ signal = "SIGTERM", grace = "5s", drain = "5s" }}
migrate = {{ command = ["migrate"], timeout = "1m" }}
env = {{ SAMPLE_MIGRATE_MS = "300" }}
"#,
            self.app_url()
        )
    }

    /// What the children said last.
    pub(super) fn show_logs(&self, output: &Printer) {
        for process in self.service.iter().chain(&self.gateway) {
            output.line("");
            output.line(&format!("the end of {}:", process.log.display()));
            output.line(&process.log_tail());
        }
    }

    /// Ends what runs and removes what was made: processes, containers, network, images, files.
    pub(super) async fn tear_down(mut self) -> anyhow::Result<()> {
        for process in [self.service.take(), self.gateway.take()].into_iter().flatten() {
            process.stop().await?;
        }
        self.builds.close();
        self.builds.wait().await;
        self.engine.remove_everything().await?;
        self.github.stop().await;
        self.folder.close()?;
        Ok(())
    }
}

/// Where everything listens.
struct Addresses {
    service: SocketAddr,
    gateway: SocketAddr,
    secure: SocketAddr,
}

fn server_config(
    folder: &TempDir,
    github: &FakeGitHub,
    repository: u64,
    addresses: &Addresses,
    socket: &std::path::Path,
) -> String {
    let Addresses { service, gateway, secure } = addresses;
    let path = |name: &str| folder.path().join(name).display().to_string();
    format!(
        r#"schema = 1
listen = "{service}"
public-url = "http://{service}"
data = "{data}"

[github]
api-url = "{api}"
token = {{ file = "{token}" }}
webhook-secrets = [{{ file = "{secret}" }}]

[hosts.here]
docker = "unix://{socket}"
gateway.http = "{gateway}"
gateway.https = "{secure}"
gateway.control = "{control}"

[hosts.here.gateway.tls]
"{HOST}" = {{ cert = "{cert}", key = "{key}" }}

[projects."{PROJECT}"]
id = {repository}
limits = {{ urls = ["{HOST}"] }}

[projects."{PROJECT}".stages.{STAGE}]
branch = "main"
deploy-on = ["merge"]
checks = "all"
"#,
        data = path("data"),
        api = github.url(),
        token = path("github-token"),
        secret = path("webhook-secret"),
        control = path("gateway.sock"),
        cert = path("app.pem"),
        key = path("app.key"),
        socket = socket.display(),
    )
}

/// The engine's socket: `DOCKER_HOST` if that names one, else the usual place.
fn docker_socket() -> PathBuf {
    let named = std::env::var_os("DOCKER_HOST").and_then(|host| host.into_string().ok());
    let path = named.as_deref().and_then(|host| host.strip_prefix("unix://")).unwrap_or("/var/run/docker.sock");
    PathBuf::from(path)
}

#[expect(clippy::disallowed_methods, reason = "a file of the demo's own folder, which nobody reads after a crash")]
fn write(path: &std::path::Path, content: &str) -> anyhow::Result<()> {
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}
