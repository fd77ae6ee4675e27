//! Learns GitHub's ids of the projects whose id the server's file does not name, and what all of them are called now.

use std::sync::Arc;
use std::time::Duration;

use windlass_core::names::ProjectName;

use crate::github::GitHubError;
use crate::service::App;
use crate::store::StoreError;
use crate::work::BackgroundTask;

/// When to look again after something could not be learnt.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Projects(pub(crate) Arc<App>);

impl BackgroundTask for Projects {
    const NAME: &'static str = "projects";
    const PERIOD: Duration = Duration::from_secs(10 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let app = &*self.0;
        let mut again = None;
        let known = app.repository_ids().await?;
        for project in app.settings.server.projects.keys() {
            let learnt = if known.contains_key(project) {
                app.learn_name(project, None).await
            } else {
                learn_id(app, project).await
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

async fn learn_id(app: &App, project: &ProjectName) -> anyhow::Result<()> {
    let repository = app.github.repository(project).await?;
    app.store.remember_project(project, repository.id, app.now()).await?;
    app.github.identify(project, repository.id, None);
    app.wake.stages.notify_one();
    app.learn_name(project, None).await
}

impl App {
    /// Tells the client which repository each project is, as far as that is known, before anything is asked.
    pub(crate) async fn identify_projects(&self) -> Result<(), StoreError> {
        let names = self.store.current_names().await?;
        for (project, id) in self.repository_ids().await? {
            self.github.identify(&project, id, names.get(&id).cloned());
        }
        Ok(())
    }

    /// A delivery called the project so: its name of now, a former one, or one that nobody here knows yet.
    pub(crate) async fn heard_of_name(&self, project: &ProjectName, name: &ProjectName) -> anyhow::Result<()> {
        if self.github.current_name(project) == *name {
            return Ok(());
        }
        self.learn_name(project, Some(name)).await
    }

    /// Asks GitHub what the project is called now, and remembers it.
    async fn learn_name(&self, project: &ProjectName, heard: Option<&ProjectName>) -> anyhow::Result<()> {
        let now = match self.github.check_name(project, heard).await {
            Ok(now) => now,
            // Its requests say so, and its deliveries tell its new name.
            Err(error @ GitHubError::AnotherRepository { .. }) => {
                tracing::error!(project.name = %project, %error, "the project's name is another repository's");
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let Some(id) = self.repository_ids().await?.get(project).copied() else { return Ok(()) };
        // Any request may have found the new name before us; what counts is what is on disk.
        if self.store.current_names().await?.get(&id).unwrap_or(project) != &now {
            self.store.remember_name(id, &now, self.now()).await?;
            tracing::info!(project.name = %project, name = %now, "the project has a new name on GitHub");
        }
        Ok(())
    }
}
