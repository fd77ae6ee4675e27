//! Commits with the same content as one that has no CI: what it was merged from, and what it was made from. A merge that was
//! made with a workflow's own token starts no workflows, and so never has checks of its own.

use jiff::Timestamp;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_core::verdict::SameTreeCommit;

use super::Gate;
use crate::github::GitHubError;

impl Gate {
    /// The commits with the same content, with what is reported on them; a pull request's before what was there before it.
    pub(super) async fn same_tree(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        first_seen: Timestamp,
    ) -> Result<Vec<SameTreeCommit>, GitHubError> {
        let own = self.service.github.tree(project, commit).await?;
        let mut others: Vec<(CommitSha, String)> = Vec::new();
        for pull_request in or_none(self.service.github.pull_requests_of(project, commit).await)? {
            others.push((pull_request.head, format!("the head of pull request #{}", pull_request.number)));
        }
        others.extend(own.parents.into_iter().map(|parent| (parent, "a parent".to_owned())));
        let mut same_tree: Vec<SameTreeCommit> = Vec::new();
        for (other, relation) in others {
            if other == *commit || same_tree.iter().any(|known| known.commit == other) {
                continue;
            }
            let same = or_none(self.service.github.tree(project, &other).await.map(|tree| vec![tree.id]))?;
            if same.contains(&own.id) {
                let facts = self.service.github.reports(project, &other, first_seen).await?;
                same_tree.push(SameTreeCommit { commit: other, relation, facts });
            }
        }
        Ok(same_tree)
    }
}

/// What we may not see, or what is gone, speaks for nobody.
fn or_none<T>(found: Result<Vec<T>, GitHubError>) -> Result<Vec<T>, GitHubError> {
    match found {
        Err(error) if error.is_temporary() || error.is_about_us() => Err(error),
        found => Ok(found.unwrap_or_default()),
    }
}
