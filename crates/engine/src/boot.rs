//! A container as its task says: created and started, or found.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, HostConfig, Mount, MountType,
    MountVolumeOptions, NetworkingConfig, RestartPolicy, RestartPolicyNameEnum,
};
use bollard::query_parameters::{CreateContainerOptions, StartContainerOptions};
use secrecy::ExposeSecret;
use windlass_core::config::{Health, HealthCheck, Volume};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::exec;
use windlass_core::labels;
use windlass_core::quantity::Duration;
use windlass_core::secrets::Secrets;
use windlass_core::task::{Exit, TaskSpec, TaskStatus};

use crate::engine::Engine;
use crate::error::EngineError;
use crate::program::not_runnable;
use crate::sandbox::confined;

/// How a container came to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BootOutcome {
    /// It was made, or at least started.
    Created,
    /// It ran already.
    AlreadyDone,
}

/// What becomes of a container that is there and has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// It stays so.
    Fails,
    /// It is started.
    StartsAgain,
}

/// What a task's container is once it was seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placed {
    Started,
    Running,
    Ended(Exit),
}

/// So often a command must fail one after another before Docker calls the container unhealthy.
const RETRIES: i64 = 3;

/// So often another address is tried.
const ADDRESS_TRIES: usize = 5;

/// How Docker says that the image is not there; the status alone could mean the network.
const NO_IMAGE: &str = "No such image";

/// How Docker says that a container with this address runs.
const ADDRESS_TAKEN: &str = "Address already in use";

impl Engine {
    /// Creates and starts the task's container. One of the same name and labels is an earlier try's and is taken over.
    ///
    /// # Errors
    ///
    /// `secret_missing`, `image_missing`; `task_exited` when the container of an earlier try has ended; `boot_failed`
    /// for everything that Docker objects to, and when the name is somebody else's.
    pub async fn boot(&self, task: &TaskSpec, secrets: &Secrets) -> Result<BootOutcome, Failure> {
        self.boot_unless(task, secrets, Ended::Fails).await
    }

    /// The same, but one that has ended is started again: it ran for an earlier deployment and was stopped after it.
    ///
    /// # Errors
    ///
    /// Those of [`Engine::boot`], but for `task_exited`.
    pub async fn boot_again(&self, task: &TaskSpec, secrets: &Secrets) -> Result<BootOutcome, Failure> {
        self.boot_unless(task, secrets, Ended::StartsAgain).await
    }

    async fn boot_unless(&self, task: &TaskSpec, secrets: &Secrets, ended: Ended) -> Result<BootOutcome, Failure> {
        match self.place(task, secrets, ended).await? {
            Placed::Started => Ok(BootOutcome::Created),
            Placed::Running => Ok(BootOutcome::AlreadyDone),
            Placed::Ended(exit) => Err(self.exited(&task.name, exit, &secrets.masker()).await),
        }
    }

    /// Creates, starts or finds it.
    pub(crate) async fn place(&self, task: &TaskSpec, secrets: &Secrets, ended: Ended) -> Result<Placed, Failure> {
        let failed = |error: EngineError| {
            let mut failure = error.into_failure(FailureCode::BootFailed);
            failure.summary = secrets.masker().mask(&failure.summary).into_owned();
            failure
        };
        let environment = environment(task, secrets)?;
        let network = self.ensure_network(&task.labels).await.map_err(failed)?;
        let made = match self.create(task, environment, network).await {
            Ok(()) => true,
            Err(error) if error.status() == Some(409) => match self.find(task).await? {
                None => false,
                Some(Placed::Ended(_)) if ended == Ended::StartsAgain => false,
                Some(found) => return Ok(found),
            },
            Err(error) if error.to_string().contains(NO_IMAGE) => return Err(self.image_gone(task)),
            Err(error) => return Err(failed(self.missing_mount(error))),
        };
        self.connect_networks(task).await?;
        let started = self.start(&task.name).await;
        if made && matches!(started, Err(EngineError::Mount { .. })) {
            // It must not be found as one that only waits to be started.
            self.remove(&task.name).await.map_err(failed)?;
        }
        started.map(|()| Placed::Started).map_err(failed)
    }

    async fn create(&self, task: &TaskSpec, environment: Vec<String>, network: String) -> Result<(), EngineError> {
        let (engine, task) = (self.clone(), task.clone());
        self.to_the_end(async move {
            let driver = engine.log_driver().await;
            let options = CreateContainerOptions { name: Some(task.name.clone()), ..Default::default() };
            let _one_at_a_time = engine.network_lock().lock().await;
            let address = engine.free_address(&network).await?;
            let container = container(&task, environment, network, address, driver.as_deref());
            let created = engine.docker().create_container(Some(options), container).await;
            created.map(drop).map_err(|error| engine.error(format!("create {}", task.name), &error))
        })
        .await
    }

    /// Starts a container that is there; one that runs is what was asked for. Every start is made here: see
    /// [`mounts`](crate::mounts) for what it may mount.
    pub(crate) async fn start(&self, name: &str) -> Result<(), EngineError> {
        let container = self.inspect(name).await?;
        let binds = self.binds(&container).await?;
        if binds.is_empty() {
            return self.start_somewhere(name).await;
        }
        let (engine, name) = (self.clone(), name.to_owned());
        self.to_the_end(async move {
            let _one_at_a_time = engine.mounts_lock().lock().await;
            engine.check_mounts(&container, &binds).await?;
            engine.start_somewhere(&name).await?;
            // Another service may have started something at the same moment; each of the two sees the other now.
            let neighbours = engine.check_neighbours(&container, &binds).await;
            if neighbours.is_err() {
                engine.kill(&name, "SIGKILL").await?;
            }
            neighbours
        })
        .await
    }

    /// At its address; or at another one, if somebody else's container has that by now.
    async fn start_somewhere(&self, name: &str) -> Result<(), EngineError> {
        let mut tries = 0;
        loop {
            let started = self.docker().start_container(name, None::<StartContainerOptions>).await;
            match started.map_err(|error| self.error(format!("start {name}"), &error)) {
                Err(error) if tries < ADDRESS_TRIES && error.to_string().contains(ADDRESS_TAKEN) => {
                    tries += 1;
                    tracing::warn!(container = name, "somebody else has its address; it gets another");
                    self.move_to_another_address(name).await?;
                }
                started => return started.map_err(|error| not_runnable(self.host(), error)),
            }
        }
    }

    /// An earlier try's container; `None` if it only waits to be started.
    async fn find(&self, task: &TaskSpec) -> Result<Option<Placed>, Failure> {
        let found = self.look(&task.name).await.map_err(|error| error.into_failure(FailureCode::BootFailed))?;
        if found.labels != task.labels {
            let summary = format!("{} exists on {}, but is another task's", task.name, self.host());
            return Err(Failure::new(FailureCode::BootFailed, summary)
                .hint(format!("look at it with `docker inspect {}` and remove it if nobody needs it", task.name)));
        }
        Ok(match (found.status, found.exit) {
            (TaskStatus::Pending, _) => None,
            (_, Some(exit)) => Some(Placed::Ended(exit)),
            (_, None) => Some(Placed::Running),
        })
    }

    fn image_gone(&self, task: &TaskSpec) -> Failure {
        let image = task.image.reference();
        Failure::new(FailureCode::ImageMissing, format!("host {} no longer has {image}", self.host()))
            .hint("something removed it between two steps; deploy again")
    }
}

/// `NAME=value`, the secrets among them.
fn environment(task: &TaskSpec, secrets: &Secrets) -> Result<Vec<String>, Failure> {
    let missing: Vec<&str> =
        task.secrets.iter().map(String::as_str).filter(|name| secrets.get(name).is_none()).collect();
    if !missing.is_empty() {
        let stage = &task.labels.stage;
        let names = missing.join(", ");
        let summary = format!("app {} needs secrets that stage {stage} does not have: {names}", task.labels.app);
        return Err(Failure::new(FailureCode::SecretMissing, summary).hint(format!(
            "give them to the stage's `secrets` in the server's file: {} = {{ file = … }}",
            missing[0]
        )));
    }
    let plain = task.env.iter().filter(|(name, _)| !task.secrets.contains(name));
    let values = task.secrets.iter().filter_map(|name| Some((name.as_str(), secrets.get(name)?.expose_secret())));
    let all = plain.clone().map(|(name, value)| (name.as_str(), value.as_str())).chain(values);
    let command = task.command.iter().flatten().map(String::as_str);
    if let Some(why) = exec::refusal(command, all) {
        let summary = format!("app {} cannot be started: {why}", task.labels.app);
        return Err(Failure::new(FailureCode::BootFailed, summary)
            .hint("give what is large as a file, and the process only its path"));
    }
    let plain = plain.map(|(name, value)| format!("{name}={value}"));
    let secret = task.secrets.iter().filter_map(|name| Some(format!("{name}={}", secrets.get(name)?.expose_secret())));
    Ok(plain.chain(secret).collect())
}

fn container(
    task: &TaskSpec,
    environment: Vec<String>,
    network: String,
    address: Ipv4Addr,
    log_driver: Option<&str>,
) -> ContainerCreateBody {
    let address = EndpointIpamConfig { ipv4_address: Some(address.to_string()), ..Default::default() };
    let endpoint =
        EndpointSettings { aliases: Some(vec![alias(task)]), ipam_config: Some(address), ..Default::default() };
    ContainerCreateBody {
        image: Some(task.image.reference()),
        cmd: task.command.clone(),
        user: task.sandbox.user.clone(),
        env: Some(environment),
        labels: Some(task.labels.to_map().into_iter().collect()),
        healthcheck: health_check(task.health.as_ref()),
        stop_signal: Some(task.stop.signal.clone()),
        stop_timeout: i64::try_from(task.stop.grace.0.as_secs()).ok(),
        exposed_ports: task.port.map(|port| vec![format!("{port}/tcp")]),
        host_config: Some(HostConfig {
            memory: task.resources.memory.and_then(|memory| i64::try_from(memory.0).ok()),
            nano_cpus: task.resources.cpu.map(nano),
            mounts: Some(task.volumes.iter().map(|volume| mount(task, volume)).collect()),
            network_mode: Some(network.clone()),
            // Until it has proved itself: a crash at boot must be seen as a crash.
            restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
            ..confined(&task.sandbox, log_driver)
        }),
        networking_config: Some(NetworkingConfig { endpoints_config: Some(HashMap::from([(network, endpoint)])) }),
        ..Default::default()
    }
}

/// Where other containers of the stage find the role. Qualified, since its apps share the network: a bare `web` would
/// lead one app's worker to another app's web.
fn alias(task: &TaskSpec) -> String {
    let labels = &task.labels;
    let project = &labels.project_name;
    format!("{}.{}.{}.{}.{}", labels.role, labels.app, labels.stage, project.repository(), project.owner())
        .to_ascii_lowercase()
}

/// The one check that was asked for; the image's own only where it is that one.
fn health_check(health: Option<&Health>) -> Option<HealthConfig> {
    let (health, command) = match health {
        Some(Health { check: HealthCheck::Docker, .. }) => return None,
        Some(health @ Health { check: HealthCheck::Command(command), .. }) => (health, command),
        Some(_) | None => return Some(HealthConfig { test: Some(vec!["NONE".to_owned()]), ..Default::default() }),
    };
    let test = std::iter::once("CMD".to_owned()).chain(command.iter().cloned()).collect();
    Some(HealthConfig {
        test: Some(test),
        interval: nanoseconds(health.interval),
        timeout: nanoseconds(health.timeout),
        retries: Some(RETRIES),
        // Until then a failure says no more than "not yet".
        start_period: nanoseconds(health.deadline),
        start_interval: None,
    })
}

fn nanoseconds(duration: Duration) -> Option<i64> {
    i64::try_from(duration.0.as_nanos()).ok()
}

fn nano(cores: f64) -> i64 {
    let nano = std::time::Duration::from_secs_f64(cores.clamp(0.0, 1_000_000.0)).as_nanos();
    i64::try_from(nano).unwrap_or(i64::MAX)
}

fn mount(task: &TaskSpec, volume: &Volume) -> Mount {
    let mount = Mount {
        source: Some(volume.source.clone()),
        target: Some(volume.target.clone()),
        read_only: Some(volume.read_only),
        ..Default::default()
    };
    if volume.source.starts_with('/') {
        return Mount { typ: Some(MountType::BIND), ..mount };
    }
    // Only a volume that is made now gets them; one that is there keeps its own.
    let own = [labels::INSTALLATION, labels::PROJECT, labels::PROJECT_NAME, labels::STAGE, labels::APP];
    let labels = task.labels.to_map().into_iter().filter(|(key, _)| own.contains(&key.as_str())).collect();
    let volume_options = Some(MountVolumeOptions { labels: Some(labels), ..Default::default() });
    Mount { typ: Some(MountType::VOLUME), volume_options, ..mount }
}
