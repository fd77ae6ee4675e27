//! A stage on one host with a real gateway: plans as the planner makes them, done step by step.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use windlass_core::config::{Limits, ProjectFile};
use windlass_core::deployment::Failure;
use windlass_core::names::{AppName, DeploymentId, Generation, ReleaseNumber, RepositoryId};
use windlass_core::plan::{
    DeploymentKind, DesiredApp, DesiredState, GENERATIONS_OF_A_PLAN, GatewayPresence, Plan, PlanHost, PreviousRelease,
    StageSettings, Step, StepKind, plan,
};
use windlass_core::secrets::Secrets;
use windlass_core::task::TaskSpec;
use windlass_engine::{GatewayClient, Host, Hosts, Progress, StepContext};
use windlass_gateway::{Gateway, GatewayOptions};

use crate::lab::Lab;

pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) hosts: Hosts,
    gateway: Option<Gateway>,
    folder: tempfile::TempDir,
    previous: Option<PreviousRelease>,
    /// Offered to the next plan.
    pub(crate) warm: Vec<TaskSpec>,
    releases: u64,
    /// Where the app is.
    pub(crate) url: &'static str,
}

pub(crate) struct Deployment {
    pub(crate) plan: Plan,
    pub(crate) context: StepContext,
    pub(crate) progress: mpsc::Receiver<Progress>,
}

impl Stage {
    pub(crate) async fn open() -> Self {
        Self::open_in(Lab::open().await).await
    }

    pub(crate) async fn open_in(lab: Lab) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let gateway = Gateway::start(options(folder.path().into())).await.unwrap();
        let client = GatewayClient::new(folder.path().join("gateway.sock"));
        let host = Host { engine: lab.engine.clone(), gateway: Some(client) };
        let hosts = [(lab.engine.host().clone(), host)].into_iter().collect();
        Self {
            lab,
            hosts,
            gateway: Some(gateway),
            folder,
            previous: None,
            warm: Vec::new(),
            releases: 0,
            url: "http://shop.test",
        }
    }

    /// The next release: its configuration is this file with the sample app's variables in it.
    pub(crate) async fn plan(&mut self, file: &str, secrets: Secrets) -> Deployment {
        self.releases += 1;
        let text = format!("schema = 1\nurl = [\"{}\"]\n{file}", self.url);
        let file = ProjectFile::parse("windlass.toml", &text).unwrap_or_else(|error| panic!("{error}"));
        let stage = "production".parse().unwrap();
        let config = file.resolve(&stage).apps.remove(&AppName::unnamed()).unwrap();
        let app = DesiredApp {
            release: ReleaseNumber(self.releases),
            commit: format!("{:040x}", self.releases).parse().unwrap(),
            image: self.lab.image.clone(),
            config,
            settings: StageSettings::default(),
            secrets: 1,
            migrated: false,
            previous: self.previous.clone(),
            warm: self.warm.clone(),
        };
        let limits = Limits::default();
        let desired = DesiredState {
            deployment: DeploymentId::from_random([u8::try_from(self.releases).unwrap(); 16]),
            kind: DeploymentKind::Deploy,
            installation: self.lab.engine.installation(),
            project: "acme/shop".parse().unwrap(),
            repository: RepositoryId(7),
            stage,
            generation: Generation(self.releases * GENERATIONS_OF_A_PLAN),
            limits: &limits,
            latest: false,
            apps: BTreeMap::from([(AppName::unnamed(), app)]),
            hosts: vec![PlanHost {
                name: self.lab.engine.host().clone(),
                labels: Vec::new(),
                gateway: GatewayPresence::Present,
            }],
        };
        let plan = plan(&desired, &self.lab.engine.observe().await.unwrap()).unwrap();
        let (sender, progress) = mpsc::channel(1024);
        let secrets = BTreeMap::from([(AppName::unnamed(), secrets)]);
        let context = StepContext::new(&plan, secrets, BTreeMap::new(), sender);
        Deployment { plan, context, progress }
    }

    /// Does all steps up to the first that fails. Each is done twice, as after a crash before its end was on record.
    pub(crate) async fn run(&self, deployment: &Deployment) -> Result<(), (StepKind, Failure)> {
        for step in &deployment.plan.steps {
            for _ in 0..2 {
                self.step(step, deployment).await.map_err(|failure| (step.kind(), failure))?;
            }
        }
        Ok(())
    }

    pub(crate) async fn step(&self, step: &Step, deployment: &Deployment) -> Result<Option<String>, Failure> {
        self.hosts.execute(step, &deployment.context).await
    }

    /// Undoes all of it, or what was done before the switch; twice, too.
    pub(crate) async fn revert(&self, deployment: &Deployment, switched: bool) {
        let plan = &deployment.plan;
        let reached = if switched { plan.retire_index() } else { plan.switch_index() };
        for _ in 0..2 {
            self.hosts.revert(&deployment.plan, reached, switched, &deployment.context).await.unwrap();
        }
    }

    /// What was deployed is what the next plan starts from.
    pub(crate) fn succeeded(&mut self, deployment: &Deployment, file: &str) {
        let file = ProjectFile::parse("windlass.toml", &format!("schema = 1\nurl = [\"{}\"]\n{file}", self.url));
        let config = file.unwrap().resolve(&deployment.plan.stage).apps.remove(&AppName::unnamed()).unwrap();
        let release = deployment.plan.apps[&AppName::unnamed()].release;
        let tasks = deployment.plan.tasks().map(TaskSpec::place).collect();
        self.previous =
            Some(PreviousRelease { release, deployment: deployment.plan.deployment.clone(), tasks, config });
    }

    /// What a client is told.
    pub(crate) async fn get(&self, path: &str) -> String {
        get(self.gateway_address(), path).await
    }

    pub(crate) fn gateway_address(&self) -> SocketAddr {
        self.gateway.as_ref().unwrap().http_addr()
    }

    pub(crate) async fn names(&self) -> Vec<String> {
        self.lab.engine.observe().await.unwrap().into_iter().map(|task| task.name).collect()
    }

    pub(crate) async fn stop_gateway(&mut self) {
        self.gateway.take().unwrap().stop().await;
        let _ = std::fs::remove_file(self.folder.path().join("gateway.sock"));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// One request over a connection of its own.
pub(crate) async fn get(gateway: SocketAddr, path: &str) -> String {
    let mut connection = tokio::net::TcpStream::connect(gateway).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: shop.test\r\nconnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

fn options(folder: PathBuf) -> GatewayOptions {
    GatewayOptions::new(([127, 0, 0, 1], 0).into(), folder.join("gateway.sock"), folder.join("gateway.json"))
}
