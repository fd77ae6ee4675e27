//! The floor: containers of the same image on the same network, with nothing in between but Docker's API.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use serde_json::{Value, json};
use windlass_core::labels::{Kind, TaskLabels};
use windlass_core::names::{AppName, Digest, Generation, ReleaseNumber, RepositoryId, RoleName};

use crate::world::{PROJECT, STAGE, World};

pub(crate) struct Bare {
    docker: reqwest::Client,
    http: reqwest::Client,
    container: Value,
}

/// Of the stage's tasks.
fn labels(world: &World) -> TaskLabels {
    TaskLabels {
        installation: world.engine.installation(),
        project: RepositoryId(world.repository.id()),
        project_name: PROJECT.parse().unwrap(),
        stage: STAGE.parse().unwrap(),
        app: AppName::unnamed(),
        role: RoleName::unnamed(),
        release: ReleaseNumber(1),
        deployment: None,
        generation: Generation(1),
        kind: Kind::Service,
    }
}

impl Bare {
    pub(crate) async fn new(world: &World, image: &Digest) -> Self {
        let network = world.engine.ensure_network(&labels(world)).await.unwrap();
        let docker = reqwest::Client::builder().unix_socket("/var/run/docker.sock").build().unwrap();
        let container = json!({ "Image": image, "Env": ["PORT=3000"], "HostConfig": { "NetworkMode": network } });
        Self { docker, http: reqwest::Client::new(), container }
    }

    /// Create, start, first healthy answer.
    pub(crate) async fn boot(&self) -> Duration {
        self.boot_in_turn(1).await
    }

    /// Each once the one before answers.
    pub(crate) async fn boot_in_turn(&self, count: usize) -> Duration {
        let begun = Instant::now();
        let mut containers = Vec::new();
        for _ in 0..count {
            containers.push(self.boot_one().await);
        }
        let took = begun.elapsed();
        self.remove(&containers).await;
        took
    }

    /// All together: no faster way is known.
    pub(crate) async fn boot_at_once(&self, count: usize) -> Duration {
        let begun = Instant::now();
        let containers = join_all((0..count).map(|_| self.boot_one())).await;
        let took = begun.elapsed();
        self.remove(&containers).await;
        took
    }

    /// Start and first healthy answer of one that was stopped.
    pub(crate) async fn start_again(&self) -> Duration {
        let container = self.boot_one().await;
        self.post(&format!("/containers/{container}/stop"), &json!({})).await;
        let begun = Instant::now();
        self.start(&container).await;
        let took = begun.elapsed();
        self.remove(&[container]).await;
        took
    }

    async fn boot_one(&self) -> String {
        let created: Value = serde_json::from_str(&self.post("/containers/create", &self.container).await).unwrap();
        let id = created["Id"].as_str().unwrap().to_owned();
        self.start(&id).await;
        id
    }

    async fn start(&self, id: &str) {
        self.post(&format!("/containers/{id}/start"), &json!({})).await;
        let inspect = self.docker.get(docker_url(&format!("/containers/{id}/json"))).send().await.unwrap();
        let inspected: Value = inspect.json().await.unwrap();
        let networks = inspected["NetworkSettings"]["Networks"].as_object().unwrap();
        let address = networks.values().next().unwrap()["IPAddress"].as_str().unwrap().to_owned();
        let up = format!("http://{address}:3000/up");
        let answers = async || Some(self.http.get(&up).send().await.ok()?.status() == 200);
        while answers().await != Some(true) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    async fn remove(&self, containers: &[String]) {
        for id in containers {
            let remove = self.docker.delete(docker_url(&format!("/containers/{id}?force=true")));
            remove.send().await.unwrap().error_for_status().unwrap();
        }
    }

    async fn post(&self, path: &str, body: &Value) -> String {
        let request = self.docker.post(docker_url(path)).json(body);
        request.send().await.unwrap().error_for_status().unwrap().text().await.unwrap()
    }
}

fn docker_url(path: &str) -> String {
    format!("http://docker/v1.41{path}")
}
