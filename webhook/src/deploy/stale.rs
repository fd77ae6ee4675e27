//! Containers that nothing accounts for: of this installation and stage, and of no deployment that is active, open, or
//! was good before. A crash of the machine in an unlucky moment leaves one, or a host that was taken from the stage.

use std::collections::BTreeSet;

use futures_util::future::join_all;
use windlass_core::api::{HostPart, SilentHost};
use windlass_core::config::Stop;
use windlass_core::deployment::Phase;
use windlass_core::labels::Kind;
use windlass_core::names::{AppName, HostName, InstallationId, RepositoryId, StageName};
use windlass_core::plan::{Plan, Step};
use windlass_core::stage::Stage;
use windlass_core::task::{HostTask, ObservedTask};

use crate::intake::projects;
use crate::service::Service;
use crate::sight::PATIENCE;
use crate::store::StoreError;
use crate::store::audit::Recorded;

/// What was found, and what could not be looked at.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    pub(crate) tasks: Vec<ObservedTask>,
    pub(crate) warnings: Vec<String>,
}

/// On all hosts, since it may be on one that the stage does not have any more.
pub(crate) async fn stale(service: &Service, stage: &Stage) -> Result<Stale, StoreError> {
    let mut stale = Stale::default();
    let Some(project) = projects::repository_ids(service).await?.get(&stage.project).copied() else { return Ok(stale) };
    // The look comes first: a container of a deployment that begins meanwhile is not among what was seen.
    let mut observed = Vec::new();
    let looks = service.sights.iter().map(|(name, sight)| async move { (name, sight.tasks(PATIENCE).await) });
    for (name, seen) in join_all(looks).await {
        match (seen.silent(name, HostPart::Engine), seen.answer) {
            (None, seen) => observed.extend(seen.into_iter().flat_map(|(_, tasks)| tasks)),
            // What it showed before is none that could be stopped now.
            (Some(silent), _) => stale.warnings.push(SilentHost { as_of: None, ..silent }.to_string()),
        }
    }
    let owner = Owner { installation: service.installation, project, stage: stage.name.clone() };
    let accounted = accounted(service, stage).await?;
    stale.tasks = observed.into_iter().filter(|task| owner.owns(task) && !accounted.has(task)).collect();
    Ok(stale)
}

/// Stops and removes these, which is on record. What could not be is left out of what comes back, with a warning.
pub(crate) async fn remove_stale(service: &Service, tasks: Vec<ObservedTask>, _: Recorded) -> Stale {
    let Stop { signal, grace, .. } = Stop::default();
    let removals = tasks.into_iter().map(|task| async {
        let host = service.hosts.get(&task.host).ok_or_else(|| gone(&task.host))?;
        host.engine.stop(&task.name, &signal, grace.0).await.map_err(|error| error.to_string())?;
        host.engine.remove(&task.name).await.map_err(|error| error.to_string())?;
        Ok::<_, String>(task)
    });
    let mut removed = Stale::default();
    for done in join_all(removals).await {
        match done {
            Ok(task) => removed.tasks.push(task),
            Err(why) => removed.warnings.push(why),
        }
    }
    removed
}

async fn accounted(service: &Service, stage: &Stage) -> Result<Accounted, StoreError> {
    let mut accounted = Accounted::default();
    for active in service.store.active_releases(stage).await? {
        let Some(plan) = service.store.plan(&active.deployment).await? else { continue };
        let phase = service.store.standing(&active.deployment).await?;
        let retired = matches!(phase.phase(), Phase::Ended { retired: true, .. });
        accounted.active(&active.app, &plan, if retired { Old::Stopped } else { Old::MayRun });
    }
    for open in service.store.open_deployments().await?.iter().filter(|open| open.stage == *stage) {
        if let Some(plan) = service.store.plan(&open.id).await? {
            accounted.open(&plan);
        }
    }
    Ok(accounted)
}

fn gone(host: &HostName) -> String {
    format!("host {host} is not in the server's file any more")
}

/// Whose containers are looked at.
#[derive(Debug)]
struct Owner {
    installation: InstallationId,
    project: RepositoryId,
    stage: StageName,
}

impl Owner {
    fn owns(&self, task: &ObservedTask) -> bool {
        let labels = &task.labels;
        labels.installation == self.installation
            && labels.project == self.project
            && labels.stage == self.stage
            && labels.kind == Kind::Service
    }
}

/// How far the old tasks of an active deployment are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Old {
    /// They have stopped and are kept.
    Stopped,
    /// They may still finish what they have.
    MayRun,
}

/// What the plans know, by host and name: a label may name an earlier deployment.
#[derive(Debug, Default)]
struct Accounted {
    all: BTreeSet<HostTask>,
    /// Only as long as they do not run.
    stopped: BTreeSet<HostTask>,
}

impl Accounted {
    fn active(&mut self, app: &AppName, plan: &Plan, old: Old) {
        self.all.extend(plan.tasks().filter(|task| task.labels.app == *app).map(|task| task.place()));
        for step in &plan.steps {
            let Step::Retire { stop, remove, .. } = step else { continue };
            let kept = stop.iter().map(|old| old.task.clone());
            match old {
                Old::Stopped => self.stopped.extend(kept),
                Old::MayRun => self.all.extend(kept.chain(remove.iter().cloned())),
            }
        }
    }

    /// Its new tasks, and all that it replaces or goes back to.
    fn open(&mut self, plan: &Plan) {
        self.all.extend(plan.tasks().map(|task| task.place()));
        for step in &plan.steps {
            match step {
                Step::Boot { replaces, .. } => self.all.extend(replaces.iter().map(|old| old.task.clone())),
                Step::Retire { stop, remove, .. } => {
                    self.all.extend(stop.iter().map(|old| old.task.clone()).chain(remove.iter().cloned()));
                }
                _ => {}
            }
        }
        for service in &plan.revert.switch {
            let targets = service.targets.iter();
            self.all.extend(targets.map(|name| HostTask { host: service.host.clone(), name: name.clone() }));
        }
    }

    fn has(&self, task: &ObservedTask) -> bool {
        let place = HostTask { host: task.host.clone(), name: task.name.clone() };
        self.all.contains(&place) || (!task.status.is_alive() && self.stopped.contains(&place))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use windlass_core::names::{DeploymentId, Generation};
    use windlass_core::plan::{DeploymentKind, RetiredTask, Revert};
    use windlass_core::quantity::Duration;
    use windlass_core::task::{TaskHealth, TaskStatus};

    use super::*;
    use crate::scene::task;

    fn owner() -> Owner {
        let installation = InstallationId(uuid::Uuid::from_u128(1));
        Owner { installation, project: RepositoryId(7), stage: "production".parse().unwrap() }
    }

    /// The deployment of this number starts two tasks and retires these.
    fn planned(number: u8, observed: &[ObservedTask]) -> Plan {
        let retired = |old: &ObservedTask| RetiredTask {
            task: HostTask { host: old.host.clone(), name: old.name.clone() },
            key: None,
            signal: "SIGTERM".to_owned(),
            grace: Duration::from_secs(1),
            returns: true,
        };
        let tasks = [task(&format!("web-{number}-1")), task(&format!("web-{number}-2"))];
        let stop: Vec<RetiredTask> = observed.iter().map(retired).collect();
        let steps = serde_json::json!([
            { "step": "boot", "tasks": tasks },
            { "step": "retire", "stop": stop, "remove": [] },
        ]);
        Plan {
            deployment: DeploymentId::from_random([number; 16]),
            kind: DeploymentKind::Deploy,
            project: "acme/shop".parse().unwrap(),
            stage: owner().stage,
            generation: Generation(1),
            revert_generation: Generation(4),
            apps: BTreeMap::new(),
            steps: serde_json::from_value(steps).unwrap(),
            revert: Revert { switch: Vec::new(), unroute: Vec::new(), remove: Vec::new() },
        }
    }

    fn running(plan: &Plan) -> Vec<ObservedTask> {
        let seen = |task: &windlass_core::task::TaskSpec| ObservedTask {
            host: task.host.clone(),
            container: "0123456789abcdef".to_owned(),
            name: task.name.clone(),
            labels: task.labels.clone(),
            status: TaskStatus::Running,
            health: TaskHealth::Unknown,
            address: None,
            started: None,
            stopped: None,
            exit: None,
        };
        plan.tasks().map(seen).collect()
    }

    fn stopped(mut tasks: Vec<ObservedTask>) -> Vec<ObservedTask> {
        tasks.iter_mut().for_each(|task| task.status = TaskStatus::Stopped);
        tasks
    }

    fn has_all(accounted: &Accounted, tasks: &[ObservedTask]) -> Vec<bool> {
        tasks.iter().map(|task| accounted.has(task)).collect()
    }

    #[test]
    fn what_is_active_and_what_it_replaced_is_accounted_for_and_nothing_else_is() {
        let (zero, one) = (planned(1, &[]), planned(2, &running(&planned(1, &[]))));
        let mut accounted = Accounted::default();
        accounted.active(&AppName::unnamed(), &one, Old::Stopped);
        assert_eq!(has_all(&accounted, &running(&one)), [true, true]);
        assert_eq!(has_all(&accounted, &stopped(running(&zero))), [true, true], "kept for a quick way back");
        assert_eq!(has_all(&accounted, &running(&zero)), [false, false], "they have retired, and run again");
        assert_eq!(has_all(&accounted, &stopped(running(&planned(3, &[])))), [false, false]);
        accounted.active(&AppName::unnamed(), &one, Old::MayRun);
        assert_eq!(has_all(&accounted, &running(&zero)), [true, true], "they are about to retire");
    }

    #[test]
    fn what_an_open_deployment_starts_and_replaces_is_accounted_for() {
        let one = planned(2, &running(&planned(1, &[])));
        let mut accounted = Accounted::default();
        accounted.open(&one);
        assert_eq!(has_all(&accounted, &running(&one)), [true, true]);
        assert_eq!(has_all(&accounted, &running(&planned(1, &[]))), [true, true]);
    }

    #[test]
    fn an_apps_part_of_a_plan_counts_only_for_that_app() {
        let mut accounted = Accounted::default();
        accounted.active(&"api".parse().unwrap(), &planned(1, &[]), Old::Stopped);
        assert_eq!(has_all(&accounted, &running(&planned(1, &[]))), [false, false]);
    }

    #[test]
    fn only_this_stages_service_tasks_are_looked_at() {
        let task = running(&planned(1, &[])).remove(0);
        assert!(owner().owns(&task));
        let mut others = vec![task; 4];
        others[0].labels.installation = InstallationId(uuid::Uuid::from_u128(2));
        others[1].labels.project = RepositoryId(8);
        others[2].labels.stage = "staging".parse().unwrap();
        others[3].labels.kind = Kind::Task;
        assert!(!others.iter().any(|task| owner().owns(task)));
    }
}
