//! An installation for one test: containers, network, volumes and images go with it, also when the test fails.

use std::collections::BTreeMap;
use std::path::PathBuf;

use windlass_core::config::{DockerEndpoint, Health, HealthCheck, Resources, Sandbox, Stop};
use windlass_core::labels::{Kind, TaskLabels};
use windlass_core::names::{
    AppName, DeploymentId, Generation, HostName, InstallationId, ReleaseNumber, RepositoryId, RoleName,
};
use windlass_core::plan::TaskHealthCheck;
use windlass_core::quantity::Duration;
use windlass_core::secrets::Secrets;
use windlass_core::task::{HostTask, Image, TaskSpec};
use windlass_engine::Engine;
use windlass_testing::sample_app;

pub(crate) struct Lab {
    pub(crate) engine: Engine,
    pub(crate) image: Image,
}

impl Lab {
    pub(crate) async fn open() -> Self {
        Self::with(&sample_app::build_context(&[])).await
    }

    pub(crate) async fn with(context: &[u8]) -> Self {
        let engine = connect(InstallationId(uuid::Uuid::new_v4())).await;
        let digest = engine.build_image(context.to_vec().into()).await.unwrap();
        Self { engine, image: Image { name: None, digest } }
    }

    /// A service task that serves, of release 1.
    pub(crate) fn task(&self, name: &str) -> TaskSpec {
        TaskSpec {
            name: self.name(name),
            host: self.engine.host().clone(),
            image: self.image.clone(),
            command: None,
            env: BTreeMap::from([("PORT".to_owned(), "3000".to_owned())]),
            secrets: Vec::new(),
            labels: TaskLabels {
                installation: self.engine.installation(),
                project: RepositoryId(1_296_269),
                project_name: "Acme/Shop".parse().unwrap(),
                stage: "production".parse().unwrap(),
                app: AppName::unnamed(),
                role: RoleName::unnamed(),
                release: ReleaseNumber(1),
                deployment: Some(DeploymentId::from_random([7; 16])),
                generation: Generation(4),
                kind: Kind::Service,
            },
            port: Some(3000),
            health: Some(health(HealthCheck::Port)),
            resources: Resources::default(),
            volumes: Vec::new(),
            stop: Stop { grace: Duration::from_secs(5), ..Stop::default() },
            sandbox: Sandbox::default(),
        }
    }

    /// A one-off task.
    pub(crate) fn one_off(&self, name: &str, command: &[&str]) -> TaskSpec {
        let mut task = self.task(name);
        task.command = Some(command.iter().map(|word| (*word).to_owned()).collect());
        task.labels.kind = Kind::Task;
        task.health = None;
        task.port = None;
        task
    }

    /// A container's name that no other test has.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("windlass-{}-{name}", self.engine.installation().short())
    }

    pub(crate) async fn boot(&self, task: &TaskSpec) {
        self.engine.boot(task, &Secrets::default()).await.unwrap();
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let installation = self.engine.installation();
        let clean = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { connect(installation).await.remove_everything().await.unwrap() });
        };
        // Of its own, since the test's runtime cannot be waited for from within; and since a panic may be under way.
        let cleaned = std::thread::spawn(clean).join();
        assert!(cleaned.is_ok() || std::thread::panicking(), "installation {installation} left something behind");
    }
}

pub(crate) const SOCKET: &str = "/var/run/docker.sock";

pub(crate) async fn connect(installation: InstallationId) -> Engine {
    connect_to(SOCKET.into(), installation).await
}

pub(crate) async fn connect_to(socket: PathBuf, installation: InstallationId) -> Engine {
    let socket = DockerEndpoint::Unix(socket);
    let host: HostName = "a".parse().unwrap();
    Engine::connect(host, &socket, installation).await.expect("these tests need a Docker Engine on this machine")
}

pub(crate) fn health(check: HealthCheck) -> Health {
    Health {
        check,
        interval: Duration::from_millis(100),
        timeout: Duration::from_secs(2),
        deadline: Duration::from_secs(20),
    }
}

pub(crate) fn check(task: &TaskSpec) -> TaskHealthCheck {
    TaskHealthCheck {
        task: HostTask { host: task.host.clone(), name: task.name.clone() },
        health: task.health.clone().unwrap(),
    }
}

pub(crate) fn secret(name: &str, value: &str) -> Secrets {
    [(name.to_owned(), value.into())].into_iter().collect()
}
