//! A container's life: created, started, ended, started again, removed. Each of these is one change of the model, so
//! that whatever has begun is carried out, whether or not its caller waits for the answer.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::app::App;
use super::container::{
    Check, CheckResult, Condition, Container, HealthLog, HealthStatus, LogEntry, Process, RestartPolicy, Source, Status,
};
use super::model::{Model, Run};
use super::refusal::Refusal;

/// A process to be started.
pub(super) struct Launch {
    pub(super) id: String,
    pub(super) name: String,
    /// Which of the container's lives it is.
    pub(super) life: u64,
    pub(super) app: App,
    pub(super) command: Option<Vec<String>>,
    pub(super) release: String,
    pub(super) port: u16,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) check: Option<Check>,
    pub(super) requests: Arc<AtomicU64>,
    pub(super) process: Process,
}

/// A container that its policy starts again.
pub(super) struct Again {
    pub(super) id: String,
    pub(super) life: u64,
    pub(super) delay: Duration,
}

/// Docker waits longer each time, unless the container had lived for a while.
const FIRST_DELAY: Duration = Duration::from_millis(100);
const LONGEST_DELAY: Duration = Duration::from_secs(60);
const A_WHILE: jiff::SignedDuration = jiff::SignedDuration::from_secs(10);

/// So many of a check's last results are kept.
const RESULTS: usize = 5;

/// Where an app listens that is not told.
const PORT: u16 = 3000;

impl Model {
    pub(super) fn create(&mut self, name: Option<&str>, body: Value) -> Result<String, Refusal> {
        let reference = body["Image"].as_str().unwrap_or_default();
        let image = self.image(reference).ok_or_else(|| Refusal::no_image(reference))?.clone();
        let id = self.new_id();
        let name = name.map_or_else(|| format!("nameless_{}", &id[..8]), |it| it.trim_start_matches('/').to_owned());
        if let Some(other) = self.containers.values().find(|it| it.name == name) {
            return Err(Refusal::conflict(format!(
                "Conflict. The container name \"/{name}\" is already in use by container \"{}\". You have to remove \
                 (or rename) that container to be able to reuse that name.",
                other.id
            )));
        }
        for mount in body["HostConfig"]["Mounts"].as_array().into_iter().flatten() {
            if let (Some("volume"), Some(source)) = (mount["Type"].as_str(), mount["Source"].as_str()) {
                let labels = super::container::map(&mount["VolumeOptions"]["Labels"]);
                self.volumes.entry(source.to_owned()).or_insert(labels);
            }
        }
        let created = self.now();
        self.containers.insert(id.clone(), Container::new(id.clone(), name, created, &image, body));
        self.emit(&id, "create", &[]);
        Ok(id)
    }

    /// `None` if it runs already.
    pub(super) fn start(&mut self, reference: &str, power: &CancellationToken) -> Result<Option<Launch>, Refusal> {
        let container = self.container_mut(reference)?;
        if container.is_running() {
            return Ok(None);
        }
        container.manually_stopped = false;
        container.restarts = 0;
        let id = container.id.clone();
        self.begin(&id, power).map(Some)
    }

    /// After the delay; not if anything happened to it meanwhile.
    pub(super) fn start_again(&mut self, again: &Again, power: &CancellationToken) -> Option<Launch> {
        let container = self.containers.get_mut(&again.id)?;
        if container.status != Status::Restarting || container.starts != again.life {
            return None;
        }
        container.restarts += 1;
        container.status = Status::Exited;
        self.begin(&again.id, power).ok()
    }

    fn begin(&mut self, id: &str, power: &CancellationToken) -> Result<Launch, Refusal> {
        let address = self.place(id)?;
        let at = self.now();
        let container = self.container_mut(id)?;
        if let Some(endpoint) = &mut container.endpoint {
            endpoint.address = address;
        }
        container.status = Status::Running;
        container.started = Some(at);
        container.starts += 1;
        container.exit_code = 0;
        container.health = container.check.map(|_| HealthLog::default());
        let process =
            Process { politely: CancellationToken::new(), now: power.child_token(), condition: Arc::default() };
        container.process = Some(process.clone());
        let launch = Launch {
            id: id.to_owned(),
            name: container.name.clone(),
            life: container.starts,
            app: container.app.clone(),
            command: container.command.clone(),
            release: container.env.get("WINDLASS_RELEASE").cloned().unwrap_or_default(),
            port: container.env.get("PORT").and_then(|port| port.parse().ok()).unwrap_or(PORT),
            address,
            check: container.check,
            requests: container.requests.clone(),
            process,
        };
        let command = launch.command.clone().unwrap_or_default();
        self.runs.push(Run { container: launch.name.clone(), command, at });
        self.emit(id, "start", &[]);
        Ok(launch)
    }

    /// The address that the container gets on its network, if it asks for one.
    fn place(&self, id: &str) -> Result<Option<Ipv4Addr>, Refusal> {
        let Some(endpoint) = &self.container(id)?.endpoint else { return Ok(None) };
        let network = self.network(&endpoint.network);
        let network = network.ok_or_else(|| Refusal::not_found(format!("network {} not found", endpoint.network)))?;
        let taken: Vec<Ipv4Addr> = self.connected(network).map(|(_, address)| address).collect();
        match endpoint.asked {
            Some(asked) if taken.contains(&asked) => Err(Refusal::internal("Address already in use")),
            Some(asked) => Ok(Some(asked)),
            None => {
                let given = |address: &Ipv4Addr| network.range.is_none_or(|range| range.contains(*address));
                let free = network.subnet.addresses().find(|address| given(address) && !taken.contains(address));
                free.map(Some).ok_or_else(|| Refusal::internal("no available IPv4 addresses on this network's pool"))
            }
        }
    }

    /// Its process has ended, by itself or by force. The policy says whether it is started again.
    pub(super) fn end(&mut self, id: &str, code: i64) -> Option<Again> {
        let at = self.now();
        let shutting_down = self.shutting_down;
        let container = self.containers.get_mut(id).filter(|it| it.is_running())?;
        if let Some(process) = container.process.take() {
            process.now.cancel();
        }
        if let Some(endpoint) = &mut container.endpoint {
            endpoint.address = None;
        }
        let lived = container.started.map(|started| at.duration_since(started)).unwrap_or_default();
        if lived >= A_WHILE {
            container.restarts = 0;
        }
        let delay = FIRST_DELAY.saturating_mul(1 << container.restarts.min(10)).min(LONGEST_DELAY);
        let again = !shutting_down && !container.manually_stopped && container.restart.starts_again_after(code);
        container.status = if again { Status::Restarting } else { Status::Exited };
        container.exit_code = code;
        container.finished = Some(at);
        container.ends += 1;
        let life = container.starts;
        self.emit(id, "die", &[("exitCode", &code.to_string())]);
        again.then(|| Again { id: id.to_owned(), life, delay })
    }

    pub(super) fn kill(&mut self, reference: &str, signal: Signal) -> Result<(), Refusal> {
        let container = self.container_mut(reference)?;
        let id = container.id.clone();
        if !container.is_running() {
            let message = format!("Cannot kill container: {reference}: Container {id} is not running");
            return Err(Refusal::conflict(message));
        }
        container.manually_stopped = true;
        let (code, process) = (container.exit_code, container.process.clone());
        self.emit(&id, "kill", &[("signal", &signal.number.to_string())]);
        match process {
            Some(process) if signal.number != Signal::KILL => process.politely.cancel(),
            Some(_) => drop(self.end(&id, Signal::KILLED)),
            // It only waits to be started again.
            None => drop(self.end(&id, code)),
        }
        Ok(())
    }

    pub(super) fn remove(&mut self, reference: &str, force: bool) -> Result<(), Refusal> {
        let container = self.container_mut(reference)?;
        let id = container.id.clone();
        if container.is_running() {
            if !force {
                return Err(Refusal::conflict(format!(
                    "You cannot remove a running container {id}. Stop the container before attempting removal or \
                     force remove"
                )));
            }
            self.kill(&id, Signal { number: Signal::KILL })?;
        }
        self.emit(&id, "destroy", &[]);
        if let Some(container) = self.containers.remove(&id) {
            self.gone.insert(id, container.exit_code);
        }
        Ok(())
    }

    pub(super) fn update(&mut self, reference: &str, body: &Value) -> Result<(), Refusal> {
        let container = self.container_mut(reference)?;
        if !body["RestartPolicy"].is_null() {
            container.restart = RestartPolicy::of(&body["RestartPolicy"]);
        }
        let id = container.id.clone();
        self.emit(&id, "update", &[]);
        Ok(())
    }

    /// A health check of one of its lives has ended.
    pub(super) fn checked(&mut self, id: &str, life: u64, result: Result<(), &'static str>, counts: bool) {
        let at = self.now();
        let Some(container) = self.containers.get_mut(id).filter(|it| it.starts == life) else { return };
        let Some(health) = container.health.as_mut().filter(|_| container.status == Status::Running) else { return };
        let retries = container.check.map_or(1, |check| check.retries);
        let before = health.status;
        match result {
            Ok(()) => (health.status, health.failing) = (HealthStatus::Healthy, 0),
            Err(_) if counts || before != HealthStatus::Starting => health.failing += 1,
            Err(_) => {}
        }
        if health.failing >= retries {
            health.status = HealthStatus::Unhealthy;
        }
        health.log.push(CheckResult { at, code: result.is_err().into(), output: result.err().unwrap_or("ok") });
        let surplus = health.log.len().saturating_sub(RESULTS);
        health.log.drain(..surplus);
        let after = health.status;
        if after != before {
            self.emit(id, &format!("health_status: {}", after.as_str()), &[]);
        }
    }

    /// It writes a line.
    pub(super) fn write(&mut self, id: &str, source: Source, line: &str) {
        let at = self.now();
        if let Some(container) = self.containers.get_mut(id) {
            container.log.push(LogEntry { at, source, line: line.to_owned() });
        }
    }

    /// How the process of a container does that runs.
    pub(super) fn condition(&self, reference: &str) -> Option<Arc<Condition>> {
        let container = self.container(reference).ok()?;
        container.process.as_ref().map(|process| process.condition.clone())
    }
}

/// A signal, by its number on Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signal {
    pub(super) number: i64,
}

impl Signal {
    pub(super) const KILL: i64 = 9;
    /// How a process ends that was killed.
    pub(super) const KILLED: i64 = 128 + Self::KILL;

    pub(super) fn parse(text: &str) -> Result<Self, Refusal> {
        let number = match text.strip_prefix("SIG").unwrap_or(text) {
            "" | "KILL" => Some(Self::KILL),
            "HUP" => Some(1),
            "INT" => Some(2),
            "QUIT" => Some(3),
            "USR1" => Some(10),
            "USR2" => Some(12),
            "TERM" => Some(15),
            number => number.parse().ok().filter(|number| (1..=64).contains(number)),
        };
        let number = number.ok_or_else(|| Refusal::bad_request(format!("Invalid signal: {text}")))?;
        Ok(Self { number })
    }
}
