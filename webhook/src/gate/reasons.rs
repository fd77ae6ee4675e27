//! What people are told of a gate that does not open: what is true, and what to do about it.

use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::hint::Hint;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_core::quantity::Duration;
use windlass_core::verdict::{UNREAD_WORKFLOW_RUNS, Verdict, VerdictKind};

use super::Gate;
use crate::github::GitHubError;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;

/// The gate's time is over, and CI has not said its last word or could not be asked.
pub(super) fn timed_out(verdict: &Verdict, timeout: Duration) -> Failure {
    let summary = verdict.summary();
    let (summary, hint) = match verdict.verdict {
        VerdictKind::Unavailable => (
            format!("the gate did not open within {timeout}: {}", summary.trim_start_matches("unavailable: ")),
            "deploy it by hand when GitHub can be read: `windlass deploy`; where that cannot wait, somebody with the scope \
             admin deploys it with `--override-gate`",
        ),
        VerdictKind::Green | VerdictKind::Waiting | VerdictKind::Blocked => (
            format!("CI said no last word within {timeout}: {summary}"),
            "deploy it by hand when its checks are green: `windlass deploy`",
        ),
    };
    Failure::new(FailureCode::GateTimeout, summary).hint(hint)
}

impl Gate {
    /// What to do about a red verdict.
    pub(super) async fn hint_of(&self, deployment: &StoredDeployment, verdict: &Verdict) -> Result<String, StoreError> {
        if verdict.lacks_ci() {
            let hint = "have a workflow report a check on each commit, or let commits without any pass, with \
                        `no-ci = { then = \"allow\" }` on the stage in the server's file; then deploy it again";
            return Ok(hint.to_owned());
        }
        let wanted = self.service.store.wanted_commit(&deployment.stage).await?;
        let by_itself = deployment.source.is_automatic()
            && deployment.distinct_commits().len() == 1
            && wanted.is_some_and(|wanted| wanted.commit == deployment.commit);
        let hint = if by_itself {
            "when the check is green after a new run, the commit is deployed by itself"
        } else {
            "when the check is green after a new run, deploy it again: `windlass deploy`"
        };
        let unread = verdict.items.iter().find(|item| item.name == UNREAD_WORKFLOW_RUNS);
        Ok(unread.map_or_else(|| hint.to_owned(), |item| format!("{hint}; {} {}", item.name, item.why)))
    }

    /// Why GitHub could not be read about a commit, and what to do about it. That something is not there is said as what
    /// it is: the commit, or the repository.
    pub(super) async fn unreadable(&self, project: &ProjectName, commit: &CommitSha, error: GitHubError) -> String {
        let error = match error {
            GitHubError::NotFound { .. } | GitHubError::CommitUnknown { .. } => {
                match self.service.github.repository(project).await {
                    Ok(_) => return format!("commit {} is not on GitHub: was it pushed?", commit.short()),
                    Err(GitHubError::NotFound { .. }) => {
                        return format!(
                            "GitHub shows us no repository {project}: correct its name in the server's file, or let the \
                             App or token see it"
                        );
                    }
                    Err(error) => error,
                }
            }
            error => error,
        };
        error.hint().map_or_else(|| error.to_string(), |hint| format!("{error}: {hint}"))
    }
}
