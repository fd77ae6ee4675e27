//! One of each kind that can ask the service for something.

use std::collections::HashMap;

use reqwest::Method;
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use windlass_core::api::Scope;
use windlass_core::config::ServerConfig;
use windlass_testing::github::{CheckState, Conclusion, FakeJob, NewJob};
use windlass_webhook::{TokenRequest, tokens};

use crate::sign_in::Answer;
use crate::world::{PATIENCE, World};

/// The stage whose jobs may deploy, and nothing else.
pub(super) const PLAIN: &str = "production";
/// The stage whose policy names all that jobs may do.
pub(super) const LAB: &str = "lab";

/// Who sends a token that nobody has made.
pub(super) const UNKNOWN: &str = "an unknown token";

/// Nothing of it has an address.
pub(super) const CONFIG: &str = "schema = 1\ncommand = [\"/sample-app\"]\n";

/// More for the server's file.
pub(super) fn config() -> String {
    format!(
        "[projects.\"acme/shop\".stages.{LAB}]\nchecks = [\"test\"]\ndeploy-on = []\n\
         oidc = {{ may = [\"task\", \"lock\", \"hold\"], events = [\"push\", \"workflow_dispatch\"] }}\n\
         [projects.\"acme/shop\".stages.staging]\ndeploy-on = []\n\
         [projects.\"acme/other\".stages.production]\ndeploy-on = []\n"
    )
}

/// Somebody who asks.
pub(super) struct Asker {
    pub(super) name: &'static str,
    /// `None`: without a token.
    pub(super) token: Option<String>,
    /// Of which they ask.
    pub(super) stage: &'static str,
}

/// All of them, and what they ask about.
pub(super) struct Askers {
    all: Vec<Asker>,
    pub(super) commit: String,
    /// A release to register.
    pub(super) release: Value,
    /// By stage: a deployment and a one-off task of it.
    pub(super) has: HashMap<&'static str, (String, String)>,
}

impl Askers {
    pub(super) fn all(&self) -> &[Asker] {
        &self.all
    }

    /// The deployments wait: of one stage for a check, of the other for a lock.
    pub(super) async fn prepare(world: &World) -> Self {
        let image = world.build(&[]).await;
        let commit = world.repository.head("main");
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.repository.add_check_run(&commit, "slow", CheckState::InProgress);
        let release = json!({ "commit": commit, "digest": image, "config": CONFIG });
        let job = |dispatched: bool| {
            let job = if dispatched { NewJob::dispatched(&commit) } else { NewJob::on_push(&commit) };
            world.repository.start_job(job)
        };
        let other = world.github.add_repository("acme/other");
        let elsewhere = other.start_job(NewJob::on_push(&other.head("main")));
        let mut all = vec![Asker { name: "nobody", token: None, stage: PLAIN }];
        for (name, project, signed_in_to, job, stage) in [
            ("job", "acme/shop", PLAIN, job(false), PLAIN),
            ("later job", "acme/shop", PLAIN, job(true), PLAIN),
            ("trusted job", "acme/shop", LAB, job(false), LAB),
            ("job of another stage", "acme/shop", "staging", job(false), PLAIN),
            ("trusted job of another stage", "acme/shop", LAB, job(true), PLAIN),
            ("job of another project", "acme/other", PLAIN, elsewhere.clone(), PLAIN),
            ("job of another project, at a trusting stage", "acme/other", PLAIN, elsewhere, LAB),
        ] {
            all.push(Asker { name, token: Some(sign_in(world, project, signed_in_to, &job).await), stage });
        }
        let text = std::fs::read_to_string(world.path("windlass-server.toml")).unwrap();
        let config = ServerConfig::parse("windlass-server.toml", &text).unwrap();
        for (name, scope, project, stage) in [
            ("reader", Scope::Read, None, None),
            ("registrar", Scope::Release, None, None),
            ("deployer", Scope::Deploy, None, None),
            ("admin", Scope::Admin, None, None),
            ("token of another stage", Scope::Admin, Some("acme/shop"), Some("staging")),
            ("token of another project", Scope::Admin, Some("acme/other"), None),
        ] {
            let (project, stage) = (project.map(|it| it.parse().unwrap()), stage.map(|it| it.parse().unwrap()));
            let request = TokenRequest { name: name.to_owned(), scopes: vec![scope], project, stage };
            let (token, _) = tokens::create(&config, &request).await.unwrap();
            all.push(Asker { name, token: Some(token.expose_secret().to_owned()), stage: PLAIN });
        }
        all.push(Asker { name: UNKNOWN, token: Some(format!("wnd_{}", "0".repeat(64))), stage: PLAIN });
        let mut askers = Self { all, commit, release, has: HashMap::new() };
        for (stage, deployed_by, task_of) in [(PLAIN, "job", "deployer"), (LAB, "trusted job", "trusted job")] {
            let has = askers.begin(world, stage, deployed_by, task_of).await;
            askers.has.insert(stage, has);
        }
        askers
    }

    async fn begin(&self, world: &World, stage: &str, deployed_by: &str, task_of: &str) -> (String, String) {
        let path = |below: &str| format!("/api/v1/projects/acme/shop/stages/{stage}{below}");
        let token = |name: &str| self.all.iter().find(|it| it.name == name).unwrap().token.as_deref();
        let post = |by: &str, below: &str, body: Value| send(world, Method::POST, path(below), token(by), body);
        let registered = post(deployed_by, "/apps/default/releases", self.release.clone()).await;
        assert_eq!(registered.status, 201, "{registered:?}");
        let run = json!({ "release": 1, "command": ["/sample-app", "--help"] });
        let task = post(task_of, "/tasks", run).await;
        assert_eq!(task.status, 202, "{task:?}");
        if stage == LAB {
            let locked = send(world, Method::PUT, path("/lock"), token(deployed_by), json!({ "reason": "x" })).await;
            assert_eq!(locked.status, 200, "{locked:?}");
        }
        let deployment = post(deployed_by, "/deployments", json!({ "releases": { "default": 1 } })).await;
        assert_eq!(deployment.status, 202, "{deployment:?}");
        (deployment.body["id"].as_str().unwrap().to_owned(), task.body["id"].as_str().unwrap().to_owned())
    }
}

/// A job's session for a stage. The service may have to learn the repository first.
pub(super) async fn sign_in(world: &World, project: &str, stage: &str, job: &FakeJob) -> String {
    let signed_in = async {
        loop {
            let token = job.token(&format!("http://{}", world.service_address));
            let body = json!({ "token": token, "project": project, "stage": stage });
            let answer = send(world, Method::POST, "/api/v1/auth/oidc".to_owned(), None, body).await;
            if answer.status != 503 {
                assert_eq!(answer.status, 200, "{answer:?}");
                return answer.body["token"].as_str().unwrap().to_owned();
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, signed_in).await.expect("the repository is learnt")
}

pub(super) async fn send(world: &World, method: Method, path: String, token: Option<&str>, body: Value) -> Answer {
    let request = reqwest::Client::new().request(method, format!("http://{}{path}", world.service_address));
    let request = token.into_iter().fold(request, |request, token| request.bearer_auth(token));
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status().as_u16();
    Answer { status, body: serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or_default() }
}
