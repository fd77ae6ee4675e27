//! Which deliveries can mean something to this server. Told from the server's file alone, so that one that means nothing is
//! done as soon as it is stored.

use windlass_core::config::{StagePolicy, TriggerKind};
use windlass_core::names::ProjectName;
use windlass_core::stage::Stage;

use crate::github::event::GitHubEvent;
use crate::service::App;

impl App {
    /// What came of an event that means nothing here; `None`: it takes work to tell.
    pub(crate) fn means_nothing(&self, event: &GitHubEvent) -> Option<String> {
        match event {
            GitHubEvent::PullRequestMerged { base_branch, .. } => self.nobody_deploys(base_branch, TriggerKind::Merge),
            GitHubEvent::BranchPushed { branch, .. } => self.nobody_deploys(branch, TriggerKind::Push),
            GitHubEvent::ChecksChanged { .. } | GitHubEvent::RepositoryRenamed { .. } => None,
            GitHubEvent::Pinged => Some("pong".to_owned()),
            GitHubEvent::Ignored { why } => Some(format!("ignored: {why}")),
        }
    }

    /// The project's stages that deploy this branch on this.
    pub(crate) fn stages_deploying(&self, project: &ProjectName, branch: &str, trigger: TriggerKind) -> Vec<Stage> {
        let stages = self.project(project).map(|project| &project.stages).into_iter().flatten();
        let deploying = stages.filter(|(_, policy)| deploys(policy, branch, trigger));
        deploying.map(|(stage, _)| Stage { project: project.clone(), name: stage.clone() }).collect()
    }

    fn nobody_deploys(&self, branch: &str, trigger: TriggerKind) -> Option<String> {
        let mut policies = self.settings.server.projects.values().flat_map(|project| project.stages.values());
        (!policies.any(|policy| deploys(policy, branch, trigger))).then(|| format!("no stage deploys {branch} on this"))
    }
}

fn deploys(policy: &StagePolicy, branch: &str, trigger: TriggerKind) -> bool {
    policy.branch == branch && policy.deploy_on.contains(&trigger)
}
