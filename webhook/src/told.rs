//! A service that only tells: its parts are wired, no background work runs, and a stand-in GitHub hears it.

use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use windlass_core::config::ServerConfig;
use windlass_core::deployment::{Event, Failure, FailureCode, Outcome};
use windlass_core::names::{AppName, DeploymentId, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;
use windlass_testing::FakeGitHub;
use windlass_testing::github::{DeploymentRecord, FakeRepository};

use crate::gate::Gate;
use crate::serve::wire;
use crate::service::Service;
use crate::store::deployments::{Request, Source, StoredDeployment};
use crate::store::jobs::Requested;
use crate::store::journal::Effect;
use crate::work::BackgroundTask;

/// How long anything may take before a test gives up on it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A key that belongs to no App.
const KEY: &str = include_str!("../tests/it/github/key-of-no-app.pem");

pub(crate) struct Teller {
    pub(crate) fake: FakeGitHub,
    pub(crate) service: Arc<Service>,
    pub(crate) gate: Arc<Gate>,
    _folder: TempDir,
    _claim: std::fs::File,
}

/// As what the service speaks to GitHub.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    App,
    Token,
}

impl Teller {
    /// With these projects, each with the stages production and staging.
    pub(crate) async fn start(identity: As, projects: &[&str]) -> Self {
        Self::start_with(identity, projects, "").await
    }

    /// The same with more in each stage of the server's file.
    pub(crate) async fn start_with(identity: As, projects: &[&str], more: &str) -> Self {
        let fake = FakeGitHub::start().await;
        let folder = tempfile::tempdir().unwrap();
        let identity = match identity {
            As::App => "app-id = 1\nprivate-key = { env = \"KEY\" }",
            As::Token => "token = { env = \"TOKEN\" }",
        };
        let mut text = format!(
            "schema = 1\npublic-url = \"http://localhost:8080\"\ndata = \"{}\"\n[github]\napi-url = \"{}\"\n{identity}\n\
             webhook-secrets = [{{ env = \"SECRET\" }}]\n[hosts.a]\ndocker = \"unix:///var/run/docker.sock\"\n",
            folder.path().join("data").display(),
            fake.url()
        );
        for project in projects {
            let id = fake.add_repository(project).id();
            text.push_str(&format!("[projects.\"{project}\"]\nid = {id}\n"));
            for stage in ["production", "staging"] {
                text.push_str(&format!("[projects.\"{project}\".stages.{stage}]\n{more}\n"));
            }
        }
        let mut config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
        // Nothing runs here, so no engine is needed.
        config.hosts.clear();
        let token = fake.token();
        let environment = move |name: &str| match name {
            "KEY" => Some(KEY.to_owned()),
            "TOKEN" => Some(token.to_owned()),
            "SECRET" => Some("secret".to_owned()),
            _ => None,
        };
        let (service, claim) = wire(config, crate::Beginning::AsFound, &environment).await.unwrap();
        let gate = Arc::new(Gate::new(Arc::clone(&service)));
        Self { fake, service, gate, _claim: claim, _folder: folder }
    }

    pub(crate) fn repository(&self, project: &str) -> FakeRepository {
        self.fake.repository(project).unwrap()
    }

    /// Lets a background task look, and waits until all that it has begun is done.
    pub(crate) async fn look(&self, task: &impl BackgroundTask) {
        task.activate().await.unwrap();
        self.service.tracker.close();
        tokio::time::timeout(PATIENCE, self.service.tracker.wait()).await.expect("what was begun is done");
        self.service.tracker.reopen();
    }

    /// The same, and when it wants to look again.
    pub(crate) async fn look_and_ask(&self, task: &impl BackgroundTask) -> Option<Duration> {
        self.look(task).await;
        task.activate().await.unwrap()
    }

    /// Looks again and again, when the task says, until the wanted is there.
    pub(crate) async fn look_until(&self, task: &impl BackgroundTask, there: impl Fn() -> bool) {
        let looks = async {
            while !there() {
                let next = self.look_and_ask(task).await;
                tokio::time::sleep(next.unwrap_or_default().min(Duration::from_secs(5))).await;
            }
        };
        tokio::time::timeout(PATIENCE, looks).await.expect("what is wanted comes");
    }

    /// A person asks to deploy the head of main.
    pub(crate) async fn ask(&self, project: &str, stage: &str) -> StoredDeployment {
        self.ask_for(project, stage, &[("default", 1)]).await
    }

    /// The same, of these releases.
    pub(crate) async fn ask_for(&self, project: &str, stage: &str, releases: &[(&str, u64)]) -> StoredDeployment {
        let commit = self.repository(project).head("main");
        self.ask_for_commit(project, stage, &commit, releases).await
    }

    pub(crate) async fn ask_for_commit(
        &self,
        project: &str,
        stage: &str,
        commit: &str,
        releases: &[(&str, u64)],
    ) -> StoredDeployment {
        let release = |(app, number): &(&str, u64)| (app.parse::<AppName>().unwrap(), ReleaseNumber(*number));
        let request = Request {
            id: DeploymentId::from_random(rand::random()),
            stage: Stage { project: project.parse().unwrap(), name: stage.parse().unwrap() },
            kind: DeploymentKind::Deploy,
            source: Source::Person,
            requested_by: "octavia".to_owned(),
            reason: None,
            commit: commit.parse().unwrap(),
            environment_url: Some("https://shop.example.com/".to_owned()),
            releases: releases.iter().map(release).collect(),
            override_gate: false,
        };
        match self.service.store.ask_for_deployment(&request, None, self.service.clock.now()).await.unwrap() {
            Requested::New(deployment) | Requested::Known(deployment) => deployment,
        }
    }

    pub(crate) async fn append(&self, deployment: &StoredDeployment, event: Event, effect: Effect) {
        self.service.store.append(deployment, &event, &effect, self.service.clock.now()).await.unwrap();
    }

    /// Its checks are red.
    pub(crate) async fn refuse(&self, deployment: &StoredDeployment) {
        let failure = Failure::new(FailureCode::GateBlocked, "test is red");
        self.append(deployment, Event::Ended { outcome: Outcome::Refused, failure: Some(failure) }, Effect::None).await;
    }

    /// It begins to run: one step, the switch.
    pub(crate) async fn begin(&self, deployment: &StoredDeployment) {
        self.append(deployment, Event::Planned { steps: 1, switch: 0, retire: 1 }, Effect::None).await;
        self.append(deployment, Event::StepStarted { step: 0 }, Effect::None).await;
    }

    /// What has begun to run succeeds.
    pub(crate) async fn succeed(&self, deployment: &StoredDeployment) {
        self.append(deployment, Event::StepFinished { step: 0, note: None }, Effect::Activated).await;
        self.append(deployment, Event::Ended { outcome: Outcome::Succeeded, failure: None }, Effect::None).await;
    }

    /// What GitHub was told of this deployment.
    pub(crate) fn record(&self, deployment: &StoredDeployment) -> Option<DeploymentRecord> {
        let all = self.repository(deployment.stage.project.as_str()).deployments();
        all.into_iter().find(|it| it.payload["windlass_deployment"] == deployment.id.as_str())
    }

    /// The states that GitHub was told, in their order.
    pub(crate) fn states(&self, deployment: &StoredDeployment) -> Vec<String> {
        self.record(deployment)
            .map(|record| record.states().into_iter().map(str::to_owned).collect())
            .unwrap_or_default()
    }

    /// How many requests of this method went to paths that end so, whatever they were answered.
    pub(crate) fn sent(&self, method: &str, end: &str) -> usize {
        let requests = self.fake.requests();
        requests.iter().filter(|it| it.method.as_str() == method && it.path.ends_with(end)).count()
    }
}
