//! One host for a test: a stand-in engine, and Windlass' own client on it.

use std::collections::BTreeMap;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use windlass_core::config::{DockerEndpoint, Health, HealthCheck, Resources, Sandbox, Stop};
use windlass_core::labels::{Kind, TaskLabels};
use windlass_core::names::{AppName, Generation, InstallationId, ReleaseNumber, RepositoryId, RoleName};
use windlass_core::plan::TaskHealthCheck;
use windlass_core::quantity::Duration;
use windlass_core::secrets::Secrets;
use windlass_core::task::{HostTask, Image, TaskSpec};
use windlass_engine::{BootOutcome, Engine};
use windlass_testing::docker::{App, Behaviour, FakeEngine};

pub(crate) struct Host {
    pub(crate) fake: FakeEngine,
    pub(crate) engine: Engine,
    image: Image,
}

impl Host {
    /// With one image that behaves like this.
    pub(crate) async fn with(app: App) -> Self {
        let fake = FakeEngine::start("alpha", 201).await;
        let image = image();
        fake.add_image(&image.reference(), app);
        let engine = connect(fake.socket(), &fake, InstallationId(uuid::Uuid::new_v4())).await;
        Self { fake, engine, image }
    }

    pub(crate) async fn that(behaviour: Behaviour) -> Self {
        Self::with(App::new(behaviour)).await
    }

    /// A service task of release 7.
    pub(crate) fn task(&self, name: &str) -> TaskSpec {
        TaskSpec {
            name: name.to_owned(),
            host: self.engine.host().clone(),
            image: self.image.clone(),
            command: None,
            env: BTreeMap::from([("WINDLASS_RELEASE".to_owned(), "7".to_owned())]),
            secrets: Vec::new(),
            labels: TaskLabels {
                installation: self.engine.installation(),
                project: RepositoryId(1),
                project_name: "acme/shop".parse().unwrap(),
                stage: "production".parse().unwrap(),
                app: AppName::unnamed(),
                role: RoleName::unnamed(),
                release: ReleaseNumber(7),
                deployment: None,
                generation: Generation(1),
                kind: Kind::Service,
            },
            port: Some(3000),
            health: None,
            resources: Resources::default(),
            volumes: Vec::new(),
            stop: Stop::default(),
            sandbox: Sandbox::default(),
        }
    }

    pub(crate) fn migration(&self, name: &str) -> TaskSpec {
        let mut task = self.task(name);
        task.command = Some(vec!["migrate".to_owned()]);
        task.labels.kind = Kind::Task;
        task
    }

    pub(crate) async fn boot(&self, task: &TaskSpec) {
        assert_eq!(self.engine.boot(task, &Secrets::default()).await.unwrap(), BootOutcome::Created);
    }

    /// Where the container answers, once it does.
    pub(crate) async fn url(&self, name: &str) -> String {
        let address = self.engine.look(name).await.unwrap().address.unwrap();
        while tokio::net::TcpStream::connect((address, 3000)).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        format!("http://{address}:3000")
    }

    /// An answer of the API itself: its status and body.
    pub(crate) async fn ask(&self, request: &str, body: &str) -> (u16, String) {
        ask(self.fake.socket(), request, body).await
    }
}

/// Through this socket, which may be a proxy's.
pub(crate) async fn connect(socket: &Path, fake: &FakeEngine, installation: InstallationId) -> Engine {
    let endpoint = DockerEndpoint::Unix(socket.to_owned());
    let engine = Engine::connect("alpha".parse().unwrap(), &endpoint, installation).await.unwrap();
    engine.with_networks(fake.networks().parse().unwrap())
}

/// One request on a connection of its own; an empty answer is none.
pub(crate) async fn ask(socket: &Path, request: &str, body: &str) -> (u16, String) {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    let length = body.len();
    let request =
        format!("{request} HTTP/1.1\r\nhost: docker\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n");
    stream.write_all(format!("{request}{body}").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A connection that is cut may end with an error.
    let _ = stream.read_to_end(&mut answer).await;
    let answer = String::from_utf8(answer).unwrap();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
}

pub(crate) fn image() -> Image {
    let digest = format!("sha256:{}", "7".repeat(64));
    Image { name: Some("registry.example/acme/shop".parse().unwrap()), digest: digest.parse().unwrap() }
}

pub(crate) fn health(check: HealthCheck) -> Health {
    Health {
        check,
        interval: Duration::from_millis(20),
        timeout: Duration::from_secs(1),
        deadline: Duration::from_secs(15),
    }
}

pub(crate) fn check(task: &TaskSpec) -> TaskHealthCheck {
    TaskHealthCheck {
        task: HostTask { host: task.host.clone(), name: task.name.clone() },
        health: task.health.clone().unwrap(),
    }
}
