//! What the service can do, wired: its settings, store, GitHub, hosts, and what wakes its background work.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use windlass_core::config::{ServerProject, StagePolicy};
use windlass_core::names::{DeploymentId, InstallationId, ProjectName, RepositoryId, TaskId};
use windlass_core::stage::Stage;
use windlass_engine::Hosts;

use crate::config::Settings;
use crate::deploy::catch_up::Unseen;
use crate::gate::Look;
use crate::github::GitHub;
use crate::github::oidc::Issuer;
use crate::http::Readings;
use crate::http::audience::Audience;
use crate::intake::inbox::Intake;
use crate::readiness;
use crate::sight::Sights;
use crate::store::{Store, StoreError};
use crate::wake::Wake;

/// The service's parts. Shared by its handlers and its background work.
pub(crate) struct App {
    pub(crate) settings: Settings,
    pub(crate) store: Store,
    /// Where deliveries are stored.
    pub(crate) intake: Intake,
    pub(crate) github: GitHub,
    /// Of jobs' tokens.
    pub(crate) issuer: Issuer,
    pub(crate) hosts: Hosts,
    /// What they showed last.
    pub(crate) sights: Sights,
    pub(crate) installation: InstallationId,
    /// Names this process in leases.
    pub(crate) holder: String,
    /// Keys the fingerprints of secrets, and the tokens of jobs that sign in.
    pub(crate) installation_key: Vec<u8>,
    pub(crate) wake: Wake,
    /// Ends when the process is asked to.
    pub(crate) shutdown: CancellationToken,
    pub(crate) tracker: TaskTracker,
    /// What is worked on in this process, so that nothing is twice.
    pub(crate) at_work: AtWork,
    /// When each waiting deployment's gate was looked at.
    pub(crate) looks: Mutex<HashMap<DeploymentId, Look>>,
    /// Wakes the runner of a deployment that somebody asked to cancel.
    pub(crate) cancelled: Notify,
    /// Hosts that the store was not compared with yet.
    pub(crate) unseen: Unseen,
    /// How many follow what happens.
    pub(crate) audience: Arc<Audience>,
    /// What they follow.
    pub(crate) readings: Readings,
    /// Whether writes succeed.
    pub(crate) readiness: readiness::Look,
}

impl App {
    pub(crate) fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    /// A deployment's id that nobody can guess.
    pub(crate) fn new_deployment_id(&self) -> DeploymentId {
        DeploymentId::from_random(rand::random())
    }

    /// A one-off task's id.
    pub(crate) fn new_task_id(&self) -> TaskId {
        TaskId::from_random(rand::random())
    }

    /// What the server's file says of a project.
    pub(crate) fn project(&self, name: &ProjectName) -> Option<&ServerProject> {
        self.settings.server.projects.get(name)
    }

    /// As the server's file calls a project. A job calls it what GitHub calls it now.
    pub(crate) fn configured_name(&self, name: ProjectName) -> ProjectName {
        if self.project(&name).is_some() {
            return name;
        }
        self.github.project_called(&name).unwrap_or(name)
    }

    /// What the server's file says of a stage.
    pub(crate) fn policy(&self, stage: &Stage) -> Option<&StagePolicy> {
        self.project(&stage.project)?.stages.get(&stage.name)
    }

    /// Every stage of every project.
    pub(crate) fn stages(&self) -> Vec<Stage> {
        let projects = self.settings.server.projects.iter();
        let key = |project: &ProjectName, stage: &_| Stage { project: project.clone(), name: Clone::clone(stage) };
        projects.flat_map(|(name, project)| project.stages.keys().map(move |stage| key(name, stage))).collect()
    }

    /// GitHub's ids of the projects: what the server's file says, else what was learnt.
    pub(crate) async fn repository_ids(&self) -> Result<BTreeMap<ProjectName, RepositoryId>, StoreError> {
        let learnt: BTreeMap<_, _> = self.store.known_projects().await?.into_iter().collect();
        let projects = self.settings.server.projects.iter();
        Ok(projects
            .filter_map(|(name, project)| Some((name.clone(), project.id.or_else(|| learnt.get(name).copied())?)))
            .collect())
    }

    /// A page's address, as GitHub and people are given it.
    pub(crate) fn deployment_url(&self, id: &DeploymentId) -> String {
        format!("{}/deployments/{id}", self.settings.server.public_url.as_str().trim_end_matches('/'))
    }
}

/// What this process works on: stages, retiring deployments, one-off tasks. Nothing is worked on twice at a time, and
/// whoever comes in vain is remembered.
#[derive(Debug, Default)]
pub(crate) struct AtWork(Mutex<HashMap<String, Work>>);

/// A piece of work that somebody is at.
#[derive(Debug, Default)]
struct Work {
    knocked: bool,
    /// Rings for whoever is at it when somebody comes.
    bell: Arc<Notify>,
}

impl AtWork {
    /// Claims a piece of work until the claim is dropped; `None` when somebody is at it, who will hear of it.
    pub(crate) fn claim(&self, what: String) -> Option<Claim<'_>> {
        match self.lock().entry(what.clone()) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().knocked = true;
                entry.get().bell.notify_one();
                None
            }
            Entry::Vacant(entry) => {
                let bell = Arc::clone(&entry.insert(Work::default()).bell);
                Some(Claim { at_work: self, what: Some(what), bell })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Work>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A piece of work that nobody else in this process does meanwhile.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    at_work: &'a AtWork,
    /// `None` once it is given up.
    what: Option<String>,
    bell: Arc<Notify>,
}

impl Claim<'_> {
    /// Gives the work up, unless somebody came meanwhile: then there may be more to do.
    pub(crate) fn give_up(mut self) -> Result<(), Self> {
        let Some(what) = self.what.take() else { return Ok(()) };
        let mut at_work = self.at_work.lock();
        if at_work.get(&what).is_none_or(|work| !work.knocked) {
            at_work.remove(&what);
            return Ok(());
        }
        at_work.insert(what.clone(), Work { knocked: false, bell: Arc::clone(&self.bell) });
        drop(at_work);
        self.what = Some(what);
        Err(self)
    }

    /// Waits until somebody comes in vain.
    pub(crate) async fn knocked(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(what) = &self.what {
            self.at_work.lock().remove(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_work_is_claimed_once_at_a_time() {
        let at_work = AtWork::default();
        let first = at_work.claim("stage".to_owned());
        assert!(first.is_some());
        assert!(at_work.claim("stage".to_owned()).is_none());
        assert!(at_work.claim("stage".to_owned()).is_none(), "a refused claim does not free the work");
        assert!(at_work.claim("another".to_owned()).is_some());
        drop(first);
        assert!(at_work.claim("stage".to_owned()).is_some());
    }

    #[test]
    fn whoever_came_in_vain_is_heard_before_the_work_is_given_up() {
        let at_work = AtWork::default();
        let claim = at_work.claim("stage".to_owned()).unwrap();
        assert!(at_work.claim("stage".to_owned()).is_none());
        let claim = claim.give_up().unwrap_err();
        assert!(claim.give_up().is_ok(), "nobody came since");
        assert!(at_work.claim("stage".to_owned()).is_some());
    }
}
