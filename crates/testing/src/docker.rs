//! A Docker Engine of one's own: it speaks the API of Docker 20.10 (1.41) on a Unix socket and keeps containers,
//! networks and images in memory. A container is a few tasks of this process; it really listens at its address, so that
//! a real gateway on this machine reaches it.
//!
//! It gives what a real engine cannot give to a test: ends, restarts and outages at the chosen moment. For a failure at
//! a chosen call, put a [`FaultProxy`](crate::faults::FaultProxy) before it. It builds no images.

mod app;
pub(crate) mod connections;
mod container;
mod endpoints;
mod facts;
mod filters;
mod image;
mod json;
mod lifecycle;
mod model;
mod network;
mod process;
mod refusal;
mod serve;
mod shared;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use hyper::service::{Service as _, service_fn};
use hyper_util::service::TowerToHyperService;
use tempfile::TempDir;
use tokio::net::UnixListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use app::{App, Behaviour, OneOff};
pub use facts::{FakeContainer, Health, State};
pub use model::Run;

use container::{Container, RestartPolicy, Source};
use image::{Image, Place};
use model::Model;
use shared::Shared;

/// A Docker Engine to test against. It is gone, with all that runs on it, when it is dropped.
pub struct FakeEngine {
    shared: Arc<Shared>,
    socket: PathBuf,
    daemon: tokio::sync::Mutex<Daemon>,
    _folder: TempDir,
}

/// What becomes of running containers when the daemon goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LiveRestore {
    /// They run on.
    On,
    /// They are stopped; when the daemon is back, those whose restart policy says so are started again.
    Off,
}

#[derive(Default)]
struct Daemon {
    api: Option<JoinHandle<()>>,
    /// Containers to be started when it is back.
    returning: Vec<String>,
}

/// How long containers may take to end before the daemon that goes down kills them.
const GRACE: Duration = Duration::from_secs(10);

impl FakeEngine {
    /// Starts one. Its networks have subnets of `127.<subnet_index>.0.0/16` of 252 addresses each; engines of this and
    /// other processes share none of them, whatever their indexes are.
    ///
    /// # Panics
    ///
    /// When `subnet_index` is 0, where everything else of this machine listens; when there can be no socket.
    pub async fn start(name: &str, subnet_index: u8) -> Self {
        assert_ne!(subnet_index, 0, "127.0.0.0/16 is not for containers");
        let folder = tempfile::Builder::new().prefix("windlass-engine-").tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let shared = Arc::new(Shared::new(Model::new(name, subnet_index)));
        let engine = Self { shared, socket, daemon: tokio::sync::Mutex::default(), _folder: folder };
        engine.come_up().await;
        engine
    }

    /// What networks on it can be cut from, `127.…/16`.
    #[must_use]
    pub fn networks(&self) -> String {
        self.shared.look(|model| model.subnets.pool())
    }

    /// Where it listens.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// An image that is there, as `name@sha256:…`, `name:tag` or its id `sha256:…`. One of that name is replaced;
    /// containers that there are keep what they have.
    pub fn add_image(&self, reference: &str, app: App) {
        self.shared.change(|model| model.add_image(Image::new(reference, app, Place::Engine)));
    }

    /// An image that is not there until somebody pulls it.
    pub fn add_pullable(&self, reference: &str, app: App) {
        self.shared.change(|model| model.add_image(Image::new(reference, app, Place::Registry)));
    }

    /// Every image that was pulled, oldest first.
    #[must_use]
    pub fn pulls(&self) -> Vec<String> {
        self.shared.look(|model| model.pulls.clone())
    }

    /// All containers there are, by name.
    #[must_use]
    pub fn containers(&self) -> Vec<FakeContainer> {
        self.shared.look(facts::containers)
    }

    /// The container of this name, if there is one.
    #[must_use]
    pub fn container(&self, name: &str) -> Option<FakeContainer> {
        self.containers().into_iter().find(|container| container.name == name)
    }

    /// Returns as soon as the containers are as wanted.
    pub async fn until(&self, wanted: impl Fn(&[FakeContainer]) -> bool) {
        self.shared.until(|model| wanted(&facts::containers(model)).then_some(())).await;
    }

    /// Every start of a process, oldest first, those of containers that are gone included.
    #[must_use]
    pub fn runs(&self) -> Vec<Run> {
        self.shared.look(|model| model.runs.clone())
    }

    /// How often a process of a container of this name was started, whether or not it is the same container.
    #[must_use]
    pub fn starts(&self, name: &str) -> usize {
        self.runs().iter().filter(|run| run.container == name).count()
    }

    /// How often a process was started with a command that begins with this word, such as `migrate`.
    #[must_use]
    pub fn runs_of(&self, word: &str) -> usize {
        self.runs().iter().filter(|run| run.command.first().is_some_and(|first| first == word)).count()
    }

    /// The container's process ends now, by itself as far as the engine can see: its restart policy holds.
    ///
    /// # Panics
    ///
    /// When there is no such container.
    pub fn exit(&self, name: &str, code: i64) {
        self.shared.exit(name, code).unwrap_or_else(|refusal| panic!("{}", refusal.message));
    }

    /// Somebody removes the container, running or not.
    ///
    /// # Panics
    ///
    /// When there is no such container.
    pub fn remove_behind_the_back(&self, name: &str) {
        let removed = self.shared.change(|model| model.remove(name, true));
        removed.unwrap_or_else(|refusal| panic!("{}", refusal.message));
    }

    /// From now on, and until it is started again, the running container answers 503 at `/up` and its health check
    /// fails; or no longer.
    ///
    /// # Panics
    ///
    /// When no such container runs.
    pub fn set_health(&self, name: &str, health: Health) {
        let condition = self.shared.look(|model| model.condition(name));
        let condition = condition.unwrap_or_else(|| panic!("{name} does not run"));
        condition.set_sick(health == Health::Unhealthy);
    }

    /// The container writes a line to stdout.
    ///
    /// # Panics
    ///
    /// When there is no such container.
    pub fn say(&self, name: &str, line: &str) {
        let container = self.container(name).unwrap_or_else(|| panic!("no container {name}"));
        self.shared.change(|model| model.write(&container.id, Source::Stdout, line));
    }

    /// The daemon restarts: connections break off, and it is back at once.
    pub async fn restart(&self, live_restore: LiveRestore) {
        self.go_down(live_restore).await;
        self.come_up().await;
    }

    /// The daemon goes down: connections break off, and nobody listens on its socket. With [`LiveRestore::Off`] this
    /// returns when every container has ended.
    pub async fn go_down(&self, live_restore: LiveRestore) {
        let mut daemon = self.daemon.lock().await;
        if let Some(api) = daemon.api.take() {
            api.abort();
            let _ = api.await;
            // A folder that is gone had no socket left in it.
            let _ = std::fs::remove_file(&self.socket);
        }
        if live_restore == LiveRestore::On {
            return;
        }
        let stopped = self.shared.change(|model| {
            model.shutting_down = true;
            let running = model.containers.values().filter(|container| container.is_running());
            let stopped = running.map(|it| (it.id.clone(), returns(it), it.process.clone()));
            stopped.collect::<Vec<_>>()
        });
        for (id, _, process) in &stopped {
            match process {
                Some(process) => process.politely.cancel(),
                // It waited to be started again.
                None => drop(self.shared.change(|model| model.end(id, 0))),
            }
        }
        let all_ended = self.shared.until(|model| (!model.containers.values().any(|it| it.is_running())).then_some(()));
        if tokio::time::timeout(GRACE, all_ended).await.is_err() {
            for (id, ..) in &stopped {
                self.shared.change(|model| model.end(id, lifecycle::Signal::KILLED));
            }
        }
        daemon.returning.extend(stopped.into_iter().filter(|(_, returns, _)| *returns).map(|(id, ..)| id));
    }

    /// The daemon is back. It does not know its earlier events any more.
    ///
    /// # Panics
    ///
    /// When it cannot listen.
    pub async fn come_up(&self) {
        let mut daemon = self.daemon.lock().await;
        if daemon.api.is_some() {
            return;
        }
        self.shared.change(|model| {
            model.shutting_down = false;
            model.events.clear();
        });
        for id in std::mem::take(&mut daemon.returning) {
            // One whose address is taken by now stays as it is.
            let _ = self.shared.start(&id);
        }
        let listener = UnixListener::bind(&self.socket).expect("a socket in a folder of its own");
        let router = TowerToHyperService::new(endpoints::router(self.shared.clone()));
        let api = service_fn(move |request| router.call(endpoints::unversioned(request)));
        daemon.api = Some(tokio::spawn(connections::serve(listener, api, CancellationToken::new())));
    }
}

/// Whether a container that runs now is started when the daemon is.
fn returns(container: &Container) -> bool {
    match container.restart {
        RestartPolicy::Always => true,
        RestartPolicy::UnlessStopped => !container.manually_stopped,
        RestartPolicy::OnFailure | RestartPolicy::No => false,
    }
}

impl Drop for FakeEngine {
    fn drop(&mut self) {
        self.shared.power.cancel();
        if let Some(api) = self.daemon.get_mut().api.take() {
            api.abort();
        }
    }
}
