//! By which name GitHub knows each project now. A project is its repository's id; the name in the server's file may be
//! outdated, and may even be another repository's by now.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use windlass_core::names::{ProjectName, RepositoryId};

/// The names of the projects whose ids are known. Clones share them.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(Arc<Mutex<BTreeMap<ProjectName, Identity>>>);

/// Which repository a project is, and by which name it is asked for.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    pub(super) id: RepositoryId,
    pub(super) name: ProjectName,
    pub(super) standing: Standing,
}

/// Whose the name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nobody has asked yet.
    Unchecked,
    /// The project's.
    Ours,
    /// Another repository has it, and no other name is known.
    Taken { by: RepositoryId },
}

impl Names {
    /// Says which repository a project is, and how it was called when that was last known. What was checked stays.
    pub(super) fn identify(&self, project: &ProjectName, id: RepositoryId, name: Option<ProjectName>) {
        let name = name.unwrap_or_else(|| project.clone());
        let identity = Identity { id, name, standing: Standing::Unchecked };
        let mut names = self.lock();
        let known = names.entry(project.clone()).or_insert_with(|| identity.clone());
        if known.id != id {
            *known = identity;
        }
    }

    /// `None`: its id is not known, and its name has to do.
    pub(super) fn identity(&self, project: &ProjectName) -> Option<Identity> {
        self.lock().get(project).cloned()
    }

    /// The project that is called so now.
    pub(super) fn project_called(&self, name: &ProjectName) -> Option<ProjectName> {
        let names = self.lock();
        let called = |identity: &Identity| identity.name == *name && identity.standing == Standing::Ours;
        names.iter().find(|(_, identity)| called(identity)).map(|(project, _)| project.clone())
    }

    pub(super) fn is_ours(&self, project: &ProjectName, name: &ProjectName) {
        if let Some(known) = self.lock().get_mut(project) {
            known.name = name.clone();
            known.standing = Standing::Ours;
        }
    }

    pub(super) fn is_taken(&self, project: &ProjectName, by: RepositoryId) {
        if let Some(known) = self.lock().get_mut(project) {
            known.standing = Standing::Taken { by };
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ProjectName, Identity>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
