//! Executes one step of a plan. The plan has decided everything; here it is only done, on all hosts at once, and each
//! step can be done again.

mod boot;
mod pages;
mod revert;
mod switch;
mod unhealthy;
mod verify;
mod watch;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Instant;

use futures_util::future::join_all;
use tokio::sync::mpsc;
use windlass_core::config::{HostConfig, Stop};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::gateway::Remove;
use windlass_core::hint::Hint;
use windlass_core::names::{AppName, HostName, InstallationId};
use windlass_core::plan::{HostImage, Plan, RetiredTask, Step, UnroutedService};
use windlass_core::quantity::Duration;
use windlass_core::secrets::{Masker, Secrets};
use windlass_core::task::{Exit, HostTask, Image, LogLine, TaskSpec};
use windlass_registry::{Registry, RegistryCredentials, RegistryError};

use crate::engine::Engine;
use crate::error::{EngineError, GatewayError};
use crate::gateway::GatewayClient;
use crate::images::Prepared;
use crate::join::Identities;
use crate::one_off::TimeLimit;
pub use pages::ServicePages;

/// So many lines wait between a one-off task and whoever reads its log.
const LINES_UNDER_WAY: usize = 256;

/// One host: its engine, and its gateway if it has one.
#[derive(Debug, Clone)]
pub struct Host {
    pub engine: Engine,
    pub gateway: Option<GatewayClient>,
}

/// All hosts. Cloning is cheap.
#[derive(Debug, Clone, Default)]
pub struct Hosts(BTreeMap<HostName, Host>);

/// What a step needs beside the plan.
#[derive(Debug)]
pub struct StepContext {
    secrets: BTreeMap<AppName, Secrets>,
    registries: BTreeMap<String, RegistryCredentials>,
    progress: mpsc::Sender<Progress>,
    masker: Masker,
    one_offs: Vec<HostTask>,
    pages: ServicePages,
}

/// What a step has to say while it is under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// A container wrote something.
    Log {
        source: String,
        /// What it wrote, without the secrets.
        line: LogLine,
    },
    /// A part of the step is done.
    Note(String),
}

impl StepContext {
    /// For the steps of this plan. Registries by host name.
    #[must_use]
    pub fn new(
        plan: &Plan,
        secrets: BTreeMap<AppName, Secrets>,
        registries: BTreeMap<String, RegistryCredentials>,
        progress: mpsc::Sender<Progress>,
    ) -> Self {
        let passwords = Masker::new(registries.values().map(|registry| &registry.password));
        let masker = secrets.values().fold(passwords, |masker, secrets| masker.and(&secrets.masker()));
        let one_offs = plan.steps.iter().filter_map(|step| match step {
            Step::Migrate { task, .. } => Some(HostTask { host: task.host.clone(), name: task.name.clone() }),
            _ => None,
        });
        Self { pages: ServicePages::default(), one_offs: one_offs.collect(), secrets, registries, progress, masker }
    }

    /// Hides every secret that the steps know.
    #[must_use]
    pub const fn masker(&self) -> &Masker {
        &self.masker
    }

    /// Says something beside what the step says.
    pub fn note(&self, note: String) {
        // Nobody listens, or not now: the step's work does not depend on it.
        let _ = self.progress.try_send(Progress::Note(note));
    }

    fn secrets_of(&self, app: &AppName) -> Secrets {
        self.secrets.get(app).cloned().unwrap_or_default()
    }
}

impl Hosts {
    /// Finds every engine of the server's file.
    ///
    /// # Errors
    ///
    /// When one does not answer, or is another host's engine.
    pub async fn connect(
        hosts: &BTreeMap<HostName, HostConfig>,
        installation: InstallationId,
    ) -> Result<Self, EngineError> {
        Identities::default().connect(hosts, installation).await
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, name: &HostName) -> Option<&Host> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&HostName, &Host)> {
        self.0.iter()
    }

    /// Does one step; what it gives back is said beside the step's name. Whoever drops the call stops it where it is,
    /// and may do it again.
    ///
    /// # Errors
    ///
    /// Why the step has failed. Nothing is undone here: see [`Hosts::revert`].
    pub async fn execute(&self, step: &Step, context: &StepContext) -> Result<Option<String>, Failure> {
        let deadline = step.deadline();
        match tokio::time::timeout(deadline.0, self.take(step, context)).await {
            Ok(done) => done,
            Err(_) => {
                let summary = format!("step {} was not done within {deadline}", step.kind());
                Err(Failure::new(step.deadline_code(), summary))
            }
        }
    }

    async fn take(&self, step: &Step, context: &StepContext) -> Result<Option<String>, Failure> {
        match step {
            Step::Prepare { images } => self.prepare(images, context).await.map(Some),
            Step::Migrate { app, task, timeout } => self.migrate(app, task, *timeout, context).await.map(Some),
            Step::Boot { wait, hold, replaces, warm, tasks } => {
                if let Some(wait) = wait {
                    tokio::time::sleep(wait.0).await;
                }
                self.give_way(hold, replaces, context).await?;
                self.boot(tasks, warm, context).await
            }
            Step::Verify { tasks, services } => self.verify(tasks, services, context).await,
            Step::Switch { services } => self.switch(services, context).await,
            Step::Watch { tasks, services, time } => self.watch(tasks, services, *time, context).await,
            Step::Retire { unroute, stop, remove, latest } => {
                let note = self.retire(unroute, stop, remove, context).await?;
                // What it is called is no reason to keep what it replaced.
                let said = call_latest(latest, context).await.err().map(|failure| failure.summary);
                Ok([note, said].into_iter().flatten().reduce(|note, said| format!("{note}; {said}")))
            }
        }
    }

    async fn prepare(&self, images: &[HostImage], context: &StepContext) -> Result<String, Failure> {
        let prepare = images.iter().map(|HostImage { host, image, health_deadline }| async move {
            let begun = Instant::now();
            let registry = image.name.as_ref().and_then(|name| context.registries.get(name.registry()));
            let prepared =
                self.engine(host)?.prepare(image, registry).await.map_err(|failure| mask(failure, context))?;
            let mut note = match prepared {
                Prepared::Present => format!("present on {host}"),
                Prepared::Pulled => format!("pulled to {host} in {:.1}s", begun.elapsed().as_secs_f64()),
            };
            if let Some(deadline) = health_deadline
                && let Some(slow) = self.slow_health_check(host, image, *deadline).await?
            {
                note = format!("{note}; {slow}");
            }
            context.note(note.clone());
            Ok(note)
        });
        Ok(all(prepare).await?.join(", "))
    }

    async fn slow_health_check(
        &self,
        host: &HostName,
        image: &Image,
        deadline: Duration,
    ) -> Result<Option<String>, Failure> {
        let facts = self.engine(host)?.image_for_step(&image.reference()).await?;
        Ok(facts.and_then(|facts| facts.health_check).and_then(|times| times.too_long_for(deadline)))
    }

    async fn migrate(
        &self,
        app: &AppName,
        task: &TaskSpec,
        timeout: Duration,
        context: &StepContext,
    ) -> Result<String, Failure> {
        let engine = self.engine(&task.host)?;
        let limit = TimeLimit { time: timeout, code: FailureCode::MigrationTimeout };
        let (lines, mut log) = mpsc::channel::<LogLine>(LINES_UNDER_WAY);
        let secrets = context.secrets_of(app);
        let run = engine.run_to_end(task, &secrets, limit, lines);
        let read = async {
            while let Some(line) = log.recv().await {
                // A task that writes faster than it is written down waits for nobody but its reader.
                let _ = context.progress.send(Progress::Log { source: task.name.clone(), line }).await;
            }
        };
        let (exit, ()) = tokio::join!(run, read);
        let started = |failure: Failure| match failure.code {
            // A migration that cannot be started has failed as one that ends badly.
            FailureCode::BootFailed => Failure { code: FailureCode::MigrationFailed, ..failure },
            _ => failure,
        };
        match exit.map_err(started)? {
            exit @ Exit { code: 0, .. } => Ok(exit.to_string()),
            exit => {
                let command = task.command.as_deref().unwrap_or_default().join(" ");
                Err(Failure::new(FailureCode::MigrationFailed, format!("the migration `{command}` ended with {exit}"))
                    .log(engine.last_lines(&task.name, context.masker()).await))
            }
        }
    }

    /// Each host by itself: what is old on the others does not wait for one that does not answer.
    async fn retire(
        &self,
        unroute: &[UnroutedService],
        stop: &[RetiredTask],
        remove: &[HostTask],
        context: &StepContext,
    ) -> Result<Option<String>, Failure> {
        let one_offs = context.one_offs.iter();
        let places = unroute.iter().map(|it| &it.host).chain(stop.iter().map(|it| &it.task.host));
        let places: BTreeSet<&HostName> = places.chain(one_offs.chain(remove).map(|task| &task.host)).collect();
        let retire = places.into_iter().map(|host| async move {
            self.unroute(unroute.iter().filter(|service| service.host == *host)).await?;
            let stop: Vec<RetiredTask> = stop.iter().filter(|old| old.task.host == *host).cloned().collect();
            let cut = self.drain_and_stop(&stop, context).await?;
            // One-off containers go only now: until the step's end was on record they were the proof that it had run.
            all(context.one_offs.iter().filter(|task| task.host == *host).map(|task| self.remove(task))).await?;
            // Draining takes its time. What a later deployment has started again meanwhile serves, and is that one's.
            all(remove.iter().filter(|task| task.host == *host).map(|task| async move {
                let removed = self.engine(host)?.remove_stopped(&task.name).await;
                removed.map_err(|error| error.into_failure(FailureCode::Internal))
            }))
            .await?;
            Ok(cut)
        });
        let cut: u64 = all(retire).await?.into_iter().sum();
        Ok((cut > 0).then(|| format!("{cut} requests were cut when their time was over")))
    }

    pub(super) async fn unroute(&self, services: impl Iterator<Item = &UnroutedService>) -> Result<(), Failure> {
        let unroute = services.map(|service| async move {
            let request = Remove { key: service.key.clone(), generation: service.generation };
            match self.gateway(&service.host)?.remove(&request).await {
                // A newer write owns it by now: what was to go has gone.
                Err(GatewayError::Refused(problem)) if problem.code == "older_generation" => Ok(()),
                removed => removed.map_err(|error| error.into_failure(&service.host, FailureCode::SwitchFailed)),
            }
        });
        all(unroute).await.map(drop)
    }

    async fn remove(&self, task: &HostTask) -> Result<(), Failure> {
        self.engine(&task.host)?.remove(&task.name).await.map_err(|error| error.into_failure(FailureCode::Internal))
    }

    async fn stop_and_remove(&self, task: &HostTask, stop: &Stop) -> Result<(), Failure> {
        let stopped = self.engine(&task.host)?.stop(&task.name, &stop.signal, stop.grace.0).await;
        stopped.map_err(|error| error.into_failure(FailureCode::Internal))?;
        self.remove(task).await
    }

    fn host(&self, name: &HostName) -> Result<&Host, Failure> {
        self.0.get(name).ok_or_else(|| {
            Failure::new(FailureCode::HostUnreachable, format!("the server's file has no host {name} any more"))
                .hint(format!("put [hosts.{name}] back, or take it from the stage's `hosts` and deploy again"))
        })
    }

    fn engine(&self, name: &HostName) -> Result<&Engine, Failure> {
        self.host(name).map(|host| &host.engine)
    }

    fn gateway(&self, name: &HostName) -> Result<&GatewayClient, Failure> {
        self.host(name)?.gateway.as_ref().ok_or_else(|| {
            Failure::new(FailureCode::HostUnreachable, format!("host {name} has no gateway any more"))
                .hint(format!("give [hosts.{name}] a `gateway` in the server's file"))
        })
    }
}

impl FromIterator<(HostName, Host)> for Hosts {
    fn from_iter<T: IntoIterator<Item = (HostName, Host)>>(hosts: T) -> Self {
        Self(hosts.into_iter().collect())
    }
}

/// Lets all of them come to their end, so that none is left half done, and gives the first failure.
async fn all<T>(futures: impl Iterator<Item = impl Future<Output = Result<T, Failure>>>) -> Result<Vec<T>, Failure> {
    join_all(futures).await.into_iter().collect()
}

async fn call_latest(images: &[Image], context: &StepContext) -> Result<(), Failure> {
    let tags = images.iter().filter_map(|image| Some((image.name.as_ref()?, &image.digest)));
    let tags = tags.map(|(name, digest)| async move {
        let failed = |error: RegistryError| {
            let failure =
                Failure::new(FailureCode::Internal, format!("the tag latest of {name} was not moved: {error}"));
            match error.hint() {
                Some(hint) => failure.hint(hint),
                None => failure,
            }
        };
        let registry = Registry::new(name, context.registries.get(name.registry())).map_err(failed)?;
        registry.tag(digest, "latest").await.map_err(failed).map_err(|failure| mask(failure, context))
    });
    all(tags).await.map(drop)
}

fn mask(mut failure: Failure, context: &StepContext) -> Failure {
    failure.summary = context.masker().mask(&failure.summary).into_owned();
    failure
}
