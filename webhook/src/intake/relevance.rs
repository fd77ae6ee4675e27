//! Which deliveries can mean something to this server. Told from the server's file alone, so that one that means nothing is
//! done as soon as it is stored.

use windlass_core::config::{StagePolicy, TriggerKind};
use windlass_core::names::ProjectName;
use windlass_core::stage::Stage;

use crate::github::event::GitHubEvent;
use crate::service::Service;

/// What came of an event that means nothing here; `None`: it takes work to tell.
pub(crate) fn means_nothing(service: &Service, event: &GitHubEvent) -> Option<String> {
    match event {
        GitHubEvent::PullRequestMerged { base_branch, .. } => nobody_deploys(service, base_branch, TriggerKind::Merge),
        GitHubEvent::BranchPushed { branch, .. } => nobody_deploys(service, branch, TriggerKind::Push),
        GitHubEvent::ChecksChanged { .. } | GitHubEvent::RepositoryRenamed { .. } => None,
        GitHubEvent::Pinged => Some("pong".to_owned()),
        GitHubEvent::Ignored { why } => Some(format!("ignored: {why}")),
    }
}

/// The project's stages that deploy this branch on this.
pub(crate) fn stages_deploying(
    service: &Service,
    project: &ProjectName,
    branch: &str,
    trigger: TriggerKind,
) -> Vec<Stage> {
    let stages = service.settings.server.projects.get(project).map(|project| &project.stages).into_iter().flatten();
    let deploying = stages.filter(|(_, policy)| deploys(policy, branch, trigger));
    deploying.map(|(stage, _)| Stage { project: project.clone(), name: stage.clone() }).collect()
}

fn nobody_deploys(service: &Service, branch: &str, trigger: TriggerKind) -> Option<String> {
    let mut policies = service.settings.server.projects.values().flat_map(|project| project.stages.values());
    (!policies.any(|policy| deploys(policy, branch, trigger))).then(|| format!("no stage deploys {branch} on this"))
}

fn deploys(policy: &StagePolicy, branch: &str, trigger: TriggerKind) -> bool {
    policy.branch == branch && policy.deploy_on.contains(&trigger)
}
