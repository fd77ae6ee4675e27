//! Learns GitHub's ids of the projects whose id the server's file does not name, and what all of them are called now.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use windlass_core::config::ServerProject;
use windlass_core::names::{ProjectName, RepositoryId};

use crate::github::GitHubError;
use crate::service::Service;
use crate::store::StoreError;
use crate::work::BackgroundTask;

/// When to look again after something could not be learnt.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Projects(pub(crate) Arc<Service>);

impl BackgroundTask for Projects {
    const NAME: &'static str = "projects";
    const PERIOD: Duration = Duration::from_secs(10 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &*self.0;
        let mut again = None;
        let known = repository_ids(service).await?;
        for project in service.settings.server.projects.keys() {
            let learnt = if known.contains_key(project) {
                learn_name(service, project, None).await
            } else {
                learn_id(service, project).await
            };
            if let Err(error) = learnt {
                again = Some(SOON);
                let error = format!("{error:#}");
                tracing::warn!(project.name = %project, error, "what GitHub calls the project cannot be learnt yet");
            }
        }
        Ok(again)
    }
}

async fn learn_id(service: &Service, project: &ProjectName) -> anyhow::Result<()> {
    let repository = service.github.repository(project).await?;
    service.store.remember_project(project, repository.id, service.clock.now()).await?;
    service.github.identify(project, repository.id, None);
    service.wake.stages.notify_one();
    learn_name(service, project, None).await
}

/// Tells the client which repository each project is, as far as that is known, before anything is asked.
pub(crate) async fn identify_projects(service: &Service) -> Result<(), StoreError> {
    let names = service.store.current_names().await?;
    for (project, id) in repository_ids(service).await? {
        service.github.identify(&project, id, names.get(&id).cloned());
    }
    Ok(())
}

/// A delivery called the project so: its name of now, a former one, or one that nobody here knows yet.
pub(crate) async fn heard_of_name(service: &Service, project: &ProjectName, name: &ProjectName) -> anyhow::Result<()> {
    if service.github.current_name(project) == *name {
        return Ok(());
    }
    learn_name(service, project, Some(name)).await
}

/// Asks GitHub what the project is called now, and remembers it.
async fn learn_name(service: &Service, project: &ProjectName, heard: Option<&ProjectName>) -> anyhow::Result<()> {
    let now = match service.github.check_name(project, heard).await {
        Ok(now) => now,
        // Its requests say so, and its deliveries tell its new name.
        Err(error @ GitHubError::AnotherRepository { .. }) => {
            tracing::error!(project.name = %project, %error, "the project's name is another repository's");
            return Ok(());
        }
        Err(error) => return Err(error.into()),
    };
    let Some(id) = repository_ids(service).await?.get(project).copied() else { return Ok(()) };
    // Any request may have found the new name before us; what counts is what is on disk.
    if service.store.current_names().await?.get(&id).unwrap_or(project) != &now {
        service.store.remember_name(id, &now, service.clock.now()).await?;
        tracing::info!(project.name = %project, name = %now, "the project has a new name on GitHub");
    }
    Ok(())
}

/// GitHub's ids of the projects: what the server's file says, else what was learnt.
pub(crate) async fn repository_ids(service: &Service) -> Result<BTreeMap<ProjectName, RepositoryId>, StoreError> {
    let learnt: BTreeMap<_, _> = service.store.known_projects().await?.into_iter().collect();
    let projects = service.settings.server.projects.iter();
    let id = |(name, project): (&ProjectName, &ServerProject)| {
        Some((name.clone(), project.id.or_else(|| learnt.get(name).copied())?))
    };
    Ok(projects.filter_map(id).collect())
}

/// As the server's file calls a project. A job calls it what GitHub calls it now.
pub(crate) fn configured_name(service: &Service, name: ProjectName) -> ProjectName {
    if service.settings.server.projects.contains_key(&name) {
        return name;
    }
    service.github.project_called(&name).unwrap_or(name)
}
