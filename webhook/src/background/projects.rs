//! Learns GitHub's ids of the projects whose id the server's file does not name.

use std::sync::Arc;
use std::time::Duration;

use super::BackgroundTask;
use crate::app::App;

pub(crate) struct Projects(pub(crate) Arc<App>);

impl BackgroundTask for Projects {
    const NAME: &'static str = "projects";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let app = &*self.0;
        let known = app.repository_ids().await?;
        for name in app.settings.server.projects.keys().filter(|name| !known.contains_key(*name)) {
            match app.github.repository(name).await {
                Ok(repository) => {
                    app.store.remember_project(name, repository.id, app.now()).await?;
                    app.wake.stages.notify_one();
                }
                Err(error) => {
                    let error = format!("{:#}", anyhow::Error::new(error));
                    tracing::warn!(project.name = %name, error, "GitHub's id of the project cannot be learnt yet");
                }
            }
        }
        Ok(None)
    }
}
