//! The order of commits: who is older, and what is no longer part of its branch. Older is decided by ancestry, where there is
//! none by the releases' numbers, and never by a clock.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use windlass_core::config::StagePolicy;
use windlass_core::deployment::{Failure, FailureCode, Outcome, Wait};
use windlass_core::names::{AppName, CommitSha, ProjectName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;

use super::{Decision, wait};
use crate::app::App;
use crate::github::{Ancestry, GitHubError};
use crate::store::StoreError;
use crate::store::deployments::{Source, StoredDeployment};

/// For so long GitHub may say that a branch is where it was before the push that we were told of.
const SETTLES: SignedDuration = SignedDuration::from_secs(30);

/// Whether a commit is still part of its branch.
#[derive(Debug)]
pub(super) enum Reach {
    OnBranch,
    /// Not any more, in a sentence.
    Gone(String),
    /// It does not look so, and GitHub may not have seen the push yet that we were told of.
    Unsettled(String),
}

/// How one commit stands to another, when GitHub is asked for their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Older,
    Same,
    Newer,
    /// Neither comes of the other, or GitHub does not know one of them.
    Unrelated,
}

impl App {
    /// Whether an automatic deployment's commit is part of the stage's branch. Another branch's is nobody's mistake where
    /// jobs of other branches may deploy.
    pub(super) async fn reachable(
        &self,
        deployment: &StoredDeployment,
        policy: &StagePolicy,
        now: Timestamp,
    ) -> Result<Reach, GitHubError> {
        let branch = &policy.branch;
        let of_branch = match deployment.source {
            Source::Merge | Source::Push => true,
            Source::Job => policy.oidc.refs == [format!("refs/heads/{branch}")],
            Source::Person => false,
        };
        if !of_branch || deployment.kind != DeploymentKind::Deploy {
            return Ok(Reach::OnBranch);
        }
        let (project, commit) = (&deployment.stage.project, &deployment.commit);
        let settled = now.duration_since(deployment.created_at) >= SETTLES;
        let Some(head) = self.github.branch_head(project, branch).await? else {
            let gone = format!("the branch {branch} is gone, and {} with it", commit.short());
            return Ok(if settled { Reach::Gone(gone) } else { Reach::OnBranch });
        };
        if head == *commit {
            return Ok(Reach::OnBranch);
        }
        let gone = || Reach::Gone(format!("{} is not part of {branch} any more: the branch was moved", commit.short()));
        let stands = match self.github.compare(project, commit, &head).await {
            // A commit that no branch has any more is forgotten in the end.
            Err(GitHubError::NotFound { .. }) if settled => return Ok(gone()),
            stands => stands?,
        };
        Ok(match stands {
            Ancestry::Identical | Ancestry::Ahead => Reach::OnBranch,
            Ancestry::Diverged if settled => gone(),
            Ancestry::Diverged => Reach::Unsettled(format!("GitHub does not have {} on {branch} yet", commit.short())),
            // So it looks as well where GitHub has not seen its own push yet.
            Ancestry::Behind => {
                if settled {
                    gone()
                } else {
                    Reach::OnBranch
                }
            }
        })
    }

    /// An older commit that turns green late never replaces a newer one. A person may.
    pub(super) async fn decide_by_order(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        if !deployment.source.is_automatic() {
            return Ok(Decision::Go);
        }
        let stage = &deployment.stage;
        for active in self.store.active_releases(stage).await? {
            let Some(release) = deployment.releases.get(&active.app) else { continue };
            let Some(commit) = self.commit_of(stage, &active).await? else { continue };
            let newer = match self.order(&stage.project, &deployment.commit, &commit).await {
                Ok(Order::Newer) => true,
                Ok(Order::Older) => false,
                // Of the same commit the higher number is the newer: it was built again, or of another app.
                Ok(Order::Same) => self.is_rebuilt(deployment).await?,
                Ok(Order::Unrelated) => *release > active.release,
                Err(error) => {
                    let why = format!("GitHub does not say how it stands to what is active: {error}");
                    return Ok(wait(Wait::Gate, why));
                }
            };
            if !newer {
                let why = format!(
                    "{} is not newer than {}, which is active as release {}",
                    deployment.commit.short(),
                    commit.short(),
                    active.release
                );
                let failure = Failure::new(FailureCode::NotNewer, why);
                return Ok(Decision::End { outcome: Outcome::Superseded, failure });
            }
        }
        Ok(Decision::Go)
    }

    async fn is_rebuilt(&self, deployment: &StoredDeployment) -> Result<bool, StoreError> {
        let active = self.store.active_releases(&deployment.stage).await?;
        let serves = |app: &AppName| active.iter().find(|it| it.app == *app).map(|it| it.release);
        Ok(deployment.releases.iter().any(|(app, release)| serves(app) < Some(*release)))
    }

    /// Of the automatic deployments that wait, the one that makes another needless: of a newer commit, and of all its apps.
    pub(crate) async fn replacement<'a>(
        &self,
        deployment: &StoredDeployment,
        others: &'a [StoredDeployment],
    ) -> Option<&'a StoredDeployment> {
        for other in others.iter().filter(|other| other.id != deployment.id && may_replace(other, deployment)) {
            let order = self.order(&deployment.stage.project, &deployment.commit, &other.commit).await;
            let older = match order {
                Ok(Order::Older) => true,
                Ok(Order::Newer) => false,
                Ok(Order::Same | Order::Unrelated) => {
                    (numbers(&deployment.releases, &other.releases), deployment.number)
                        < (numbers(&other.releases, &deployment.releases), other.number)
                }
                // The next look asks again, and neither runs before it is known how it stands to what is active.
                Err(_) => false,
            };
            if older {
                return Some(other);
            }
        }
        None
    }

    /// How `commit` stands to another one.
    async fn order(&self, project: &ProjectName, commit: &CommitSha, other: &CommitSha) -> Result<Order, GitHubError> {
        if commit == other {
            return Ok(Order::Same);
        }
        match self.github.compare(project, other, commit).await {
            Ok(Ancestry::Behind) => Ok(Order::Older),
            Ok(Ancestry::Identical) => Ok(Order::Same),
            Ok(Ancestry::Ahead) => Ok(Order::Newer),
            Ok(Ancestry::Diverged) | Err(GitHubError::NotFound { .. }) => Ok(Order::Unrelated),
            Err(error) => Err(error),
        }
    }
}

/// A merge means all of a stage's apps; a job may mean some of them.
fn may_replace(newer: &StoredDeployment, older: &StoredDeployment) -> bool {
    let all_of_it = || older.releases.keys().all(|app| newer.releases.contains_key(app));
    newer.source.is_automatic() && older.source.is_automatic() && (newer.source != Source::Job || all_of_it())
}

/// The releases' numbers of the apps that two deployments share.
fn numbers(
    of: &BTreeMap<AppName, ReleaseNumber>,
    shared_with: &BTreeMap<AppName, ReleaseNumber>,
) -> Vec<ReleaseNumber> {
    of.iter().filter(|(app, _)| shared_with.contains_key(*app)).map(|(_, release)| *release).collect()
}
