//! Gathers what the planner needs: the releases with their configuration, the stage's settings and secrets, and what
//! runs on its hosts.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::future::{join_all, try_join_all};
use secrecy::{ExposeSecret, SecretString};
use windlass_core::api::{HostPart, SilentHost};
use windlass_core::config::{AppConfig, ProjectConfig, ProjectFile, StagePolicy, located};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::exec;
use windlass_core::hint::Hint;
use windlass_core::names::{AppName, DeploymentId, Generation, HostName, ReleaseNumber, StageName};
use windlass_core::plan::{
    DeploymentKind, DesiredApp, DesiredState, GatewayPresence, HostTask, Plan, PlanHost, PreviousRelease, Step,
    hosts_of, plan,
};
use windlass_core::stage::Stage;
use windlass_core::task::{Image, ObservedTask, TaskSpec};

use crate::config::fingerprint;
use crate::service::App;
use crate::sight::{LONG_PATIENCE, PATIENCE};
use crate::store::StoreError;

/// A configuration up to here is read in place; a larger one beside the service's other work.
const QUICK: usize = 16 * 1024;

/// Why there can be no plan.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlanningError {
    /// For a reason that people can mend.
    #[error(transparent)]
    Refused(#[from] Failure),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to become active.
#[derive(Debug, Clone)]
pub(crate) struct Intent<'a> {
    pub(crate) deployment: DeploymentId,
    pub(crate) kind: DeploymentKind,
    pub(crate) stage: &'a Stage,
    pub(crate) releases: &'a BTreeMap<AppName, ReleaseNumber>,
}

/// What was seen of a stage.
pub(crate) struct Looked {
    pub(crate) tasks: Vec<ObservedTask>,
    /// Those that do not answer: of them, what they showed last.
    pub(crate) silent: Vec<SilentHost>,
    /// All that were looked at.
    pub(crate) hosts: BTreeSet<HostName>,
}

impl App {
    /// Plans how to make the releases active, from what runs at this moment.
    pub(crate) async fn plan(&self, intent: &Intent<'_>, generation: Generation) -> Result<Plan, PlanningError> {
        let desired = self.desired_state(intent, generation).await?;
        let observed = self.observe_stage(intent.stage).await?;
        planned(&desired, &observed)
    }

    /// The same for whoever only wants to see it: of a host that does not answer, from what it showed last.
    pub(crate) async fn preview(&self, intent: &Intent<'_>) -> Result<(Plan, Vec<SilentHost>), PlanningError> {
        let desired = self.desired_state(intent, Generation(0)).await?;
        self.check_hosts(intent).await?;
        let Looked { tasks, silent, .. } = self.look_at_stage(intent.stage).await?;
        Ok((planned(&desired, &tasks)?, silent))
    }

    /// What should run.
    pub(crate) async fn desired_state(
        &self,
        intent: &Intent<'_>,
        generation: Generation,
    ) -> Result<DesiredState<'_>, PlanningError> {
        let stage = intent.stage;
        let (Some(project), Some(policy)) = (self.project(&stage.project), self.policy(stage)) else {
            return Err(refused(format!("{stage} is not in the server's file any more")).into());
        };
        let repository = self.repository_ids().await?.get(&stage.project).copied().ok_or_else(|| {
            Failure::new(FailureCode::Internal, format!("GitHub's id of {} is not known yet", stage.project))
                .hint("it is learnt as soon as GitHub answers; or set `id` in the server's file")
        })?;
        let mut apps = BTreeMap::new();
        for (app, release) in intent.releases {
            apps.insert(app.clone(), self.desired_app(stage, app, *release).await?);
        }
        Ok(DesiredState {
            deployment: intent.deployment.clone(),
            kind: intent.kind,
            installation: self.installation,
            project: stage.project.clone(),
            repository,
            stage: stage.name.clone(),
            generation,
            limits: &project.limits,
            latest: policy.latest,
            apps,
            hosts: self.plan_hosts(policy),
        })
    }

    async fn desired_app(
        &self,
        stage: &Stage,
        app: &AppName,
        number: ReleaseNumber,
    ) -> Result<DesiredApp, PlanningError> {
        let release = self
            .store
            .release(stage, app, number)
            .await?
            .ok_or_else(|| refused(format!("app {app} has no release {number} on {stage}")))?;
        let config = self.stored_config(stage, &release.config).await?;
        if let Some(project) = self.project(&stage.project)
            && let [first, ..] = &project.permits(&config)[..]
        {
            let told = located("windlass.toml", &release.config, &stage.name, std::slice::from_ref(first));
            return Err(refused(told.concat()).hint(first.remedy.clone()).into());
        }
        let config = config
            .apps
            .get(app)
            .cloned()
            .ok_or_else(|| refused(format!("the configuration of release {number} has no app {app}")))?;
        self.check_secrets(stage, &config.secrets)?;
        self.check_sizes(stage, app, &config)?;
        let active = self.store.active_releases(stage).await?.into_iter().find(|active| active.app == *app);
        let previous = match active {
            Some(active) => self.previous(stage, app, active.release, active.deployment).await?,
            None => None,
        };
        let secrets = self.settings.stage_secrets.get(stage);
        let fingerprint = fingerprint(&self.installation_key, secrets.unwrap_or(&BTreeMap::new()));
        let secrets = self.store.secrets_version(stage, &fingerprint, self.now()).await?;
        Ok(DesiredApp {
            release: number,
            commit: release.commit,
            image: Image { name: release.image, digest: release.digest },
            config,
            settings: self.store.stage_settings(stage, app).await?,
            secrets,
            migrated: self.store.is_migrated(stage, app, number).await?,
            previous,
            warm: self.earlier_tasks(stage, app, number, secrets).await?,
        })
    }

    async fn previous(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
        deployment: DeploymentId,
    ) -> Result<Option<PreviousRelease>, PlanningError> {
        let Some(stored) = self.store.release(stage, app, release).await? else { return Ok(None) };
        let config = self.stored_config(stage, &stored.config).await?.apps.get(app).cloned();
        let plan = self.store.plan(&deployment).await?;
        let tasks = plan.iter().flat_map(Plan::tasks).filter(|task| task.labels.app == *app).map(TaskSpec::place);
        let tasks = tasks.collect();
        Ok(config.map(|config| PreviousRelease { release, deployment, tasks, config }))
    }

    /// What the release's containers were made from, where they had the secrets of today.
    async fn earlier_tasks(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
        secrets: u64,
    ) -> Result<Vec<TaskSpec>, PlanningError> {
        let taken = self.to_be_retired(stage).await?;
        let mut tasks: Vec<TaskSpec> = Vec::new();
        for deployment in self.store.successes_of(stage, app, release).await? {
            let Some(plan) = self.store.plan(&deployment).await? else { continue };
            if plan.apps.get(app).is_some_and(|change| change.secrets == secrets) {
                let free = |task: &&TaskSpec| !tasks.contains(task) && !taken.contains(&task.place());
                let new = plan.tasks().filter(|task| task.labels.app == *app).filter(free);
                let new: Vec<TaskSpec> = new.cloned().collect();
                tasks.extend(new);
            }
        }
        Ok(tasks)
    }

    /// What deployments of the stage that have succeeded are still about to stop or remove.
    async fn to_be_retired(&self, stage: &Stage) -> Result<BTreeSet<HostTask>, PlanningError> {
        let mut tasks = BTreeSet::new();
        for deployment in self.store.unretired_deployments().await?.iter().filter(|it| it.stage == *stage) {
            let plan = self.store.plan(&deployment.id).await?;
            if let Some(Step::Retire { stop, remove, .. }) = plan.and_then(|mut plan| plan.steps.pop()) {
                tasks.extend(stop.into_iter().map(|old| old.task).chain(remove));
            }
        }
        Ok(tasks)
    }

    /// A release's configuration as the stage has it. It was checked when it was registered.
    pub(crate) async fn stored_config(&self, stage: &Stage, text: &str) -> Result<ProjectConfig, Failure> {
        let read = |text: &str, stage: &StageName| {
            let file = ProjectFile::parse("windlass.toml", text).map_err(|error| refused(error.to_string()))?;
            Ok(file.resolve(stage))
        };
        if text.len() <= QUICK {
            return read(text, &stage.name);
        }
        let (text, stage) = (text.to_owned(), stage.name.clone());
        let read = tokio::task::spawn_blocking(move || read(&text, &stage));
        read.await.unwrap_or_else(|broken| std::panic::resume_unwind(broken.into_panic()))
    }

    fn check_secrets(&self, stage: &Stage, names: &[String]) -> Result<(), Failure> {
        let known = self.settings.stage_secrets.get(stage);
        let missing: Vec<&str> = names
            .iter()
            .filter(|name| known.is_none_or(|known| !known.contains_key(*name)))
            .map(String::as_str)
            .collect();
        if missing.is_empty() {
            return Ok(());
        }
        let summary = format!("the server has no value for secret {} of {stage}", missing.join(", "));
        Err(Failure::new(FailureCode::SecretMissing, summary).hint(format!(
            "add it under `[projects.\"{}\".stages.{}] secrets` in the server's file",
            stage.project, stage.name
        )))
    }

    /// With the secrets in its environment, a process may be more than Linux starts: said before anything runs.
    fn check_sizes(&self, stage: &Stage, app: &AppName, config: &AppConfig) -> Result<(), Failure> {
        let secrets = self.secrets_for(stage, &config.secrets);
        let migrate = config.migrate.iter().map(|migrate| (Some(&migrate.command), None));
        let processes = config.roles.values().map(|role| (role.command.as_ref(), Some(&role.env)));
        for (command, env) in processes.chain(migrate) {
            let plain = config.env.iter().chain(env.into_iter().flatten());
            let plain = plain.map(|(name, value)| (name.as_str(), value.as_str()));
            let secret = secrets.iter().map(|(name, value)| (name.as_str(), value.expose_secret()));
            let command = command.into_iter().flatten().map(String::as_str);
            if let Some(why) = exec::refusal(command, plain.chain(secret)) {
                return Err(refused(format!("app {app} cannot be started on {stage}: {why}"))
                    .hint("give what is large as a file, and the process only its path"));
            }
        }
        Ok(())
    }

    /// The values that an app's tasks get.
    pub(crate) fn secrets_for(&self, stage: &Stage, names: &[String]) -> BTreeMap<String, SecretString> {
        let Some(known) = self.settings.stage_secrets.get(stage) else { return BTreeMap::new() };
        names.iter().filter_map(|name| Some((name.clone(), known.get(name)?.clone()))).collect()
    }

    /// The stage's hosts, as the server's file has them.
    pub(crate) fn plan_hosts(&self, policy: &StagePolicy) -> Vec<PlanHost> {
        let all: Vec<PlanHost> = self
            .settings
            .server
            .hosts
            .iter()
            .map(|(name, host)| PlanHost {
                name: name.clone(),
                labels: host.labels.clone(),
                gateway: if host.gateway.is_some() { GatewayPresence::Present } else { GatewayPresence::Absent },
            })
            .collect();
        let selectors = (!policy.hosts.is_empty()).then_some(&policy.hosts[..]);
        hosts_of(selectors, &all).into_iter().cloned().collect()
    }

    /// What runs of a stage, on all its hosts and on those that it had when the active releases came.
    pub(crate) async fn observe_stage(&self, stage: &Stage) -> Result<Vec<ObservedTask>, PlanningError> {
        let ids = self.repository_ids().await?;
        let hosts = self.policy(stage).map(|policy| self.plan_hosts(policy)).unwrap_or_default();
        let engines = hosts.iter().filter_map(|host| Some(&self.hosts.get(&host.name)?.engine));
        let observed = try_join_all(engines.map(|engine| engine.observe())).await;
        let observed = observed.map_err(|error| error.into_failure(FailureCode::HostUnreachable))?;
        let left = self.observe_left_hosts(stage, &hosts).await?;
        let ours = ids.get(&stage.project);
        Ok(observed
            .into_iter()
            .flatten()
            .chain(left)
            .filter(|task| Some(&task.labels.project) == ours && task.labels.stage == stage.name)
            .collect())
    }
}

impl App {
    /// A host that the stage has no more may be gone for good, and then nothing runs on it.
    async fn observe_left_hosts(&self, stage: &Stage, hosts: &[PlanHost]) -> Result<Vec<ObservedTask>, PlanningError> {
        let left = self.left_hosts(stage, hosts).await?;
        let sights = left.iter().filter_map(|name| Some((name, self.sights.get(name)?)));
        let looks = sights.map(|(name, sight)| async move {
            sight.tasks(LONG_PATIENCE).await.fresh().unwrap_or_else(|silence| {
                let error = silence.why;
                tracing::warn!(host.name = %name, error, "cannot look at a host that the stage has left");
                Vec::new()
            })
        });
        Ok(join_all(looks).await.concat())
    }

    /// The hosts that the stage had when its active releases came, and has no more.
    async fn left_hosts(&self, stage: &Stage, hosts: &[PlanHost]) -> Result<BTreeSet<HostName>, StoreError> {
        let mut left = BTreeSet::new();
        for active in self.store.active_releases(stage).await? {
            let plan = self.store.plan(&active.deployment).await?;
            left.extend(plan.iter().flat_map(Plan::tasks).map(|task| task.host.clone()));
        }
        left.retain(|name| !hosts.iter().any(|host| host.name == *name));
        Ok(left)
    }

    /// What runs of a stage as far as its hosts answer soon, and of the others what they showed last.
    pub(crate) async fn look_at_stage(&self, stage: &Stage) -> Result<Looked, StoreError> {
        let ours = self.repository_ids().await?.get(&stage.project).copied();
        let own = self.policy(stage).map(|policy| self.plan_hosts(policy)).unwrap_or_default();
        let mut hosts = self.left_hosts(stage, &own).await?;
        hosts.extend(own.into_iter().map(|host| host.name));
        let looks = hosts.iter().filter_map(|name| Some((name, self.sights.get(name)?)));
        let seen = join_all(looks.map(|(name, sight)| async move { (name, sight.tasks(PATIENCE).await) })).await;
        let silent = seen.iter().filter_map(|(name, seen)| seen.silent(name, HostPart::Engine)).collect();
        let tasks = seen.into_iter().filter_map(|(_, seen)| seen.answer).flat_map(|(_, tasks)| tasks);
        let tasks = tasks.filter(|task| Some(task.labels.project) == ours && task.labels.stage == stage.name).collect();
        Ok(Looked { tasks, silent, hosts })
    }
}

fn planned(desired: &DesiredState<'_>, observed: &[ObservedTask]) -> Result<Plan, PlanningError> {
    plan(desired, observed).map_err(|error| {
        let failure = Failure::new(FailureCode::PolicyRefused, error.to_string());
        match error.hint() {
            Some(hint) => failure.hint(hint).into(),
            None => failure.into(),
        }
    })
}

fn refused(summary: String) -> Failure {
    Failure::new(FailureCode::PolicyRefused, summary)
}
