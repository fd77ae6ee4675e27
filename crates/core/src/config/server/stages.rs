//! What the file says of stages.

use super::{ServerConfig, ServerProject, StagePolicy};
use crate::names::{DeploymentId, ProjectName, StageName};
use crate::stage::Stage;

impl ServerConfig {
    /// A stage's settings, where the file has it.
    #[must_use]
    pub fn policy(&self, stage: &Stage) -> Option<&StagePolicy> {
        self.projects.get(&stage.project)?.stages.get(&stage.name)
    }

    /// Every stage of every project.
    #[must_use]
    pub fn stages(&self) -> Vec<Stage> {
        let of_project = |(project, settings): (&ProjectName, &ServerProject)| {
            let stage = |name: &StageName| Stage { project: project.clone(), name: name.clone() };
            settings.stages.keys().map(stage).collect::<Vec<_>>()
        };
        self.projects.iter().flat_map(of_project).collect()
    }

    /// A page's address, as GitHub and people are given it.
    #[must_use]
    pub fn deployment_url(&self, id: &DeploymentId) -> String {
        format!("{}/deployments/{id}", self.public_url.as_str().trim_end_matches('/'))
    }
}
