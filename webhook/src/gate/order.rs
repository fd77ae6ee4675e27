//! The order of commits: who is older, and what is no longer part of its branch. Older is decided by ancestry, where there is
//! none by the releases' numbers, and never by a clock.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use windlass_core::config::StagePolicy;
use windlass_core::deployment::{Failure, FailureCode, Outcome, Wait};
use windlass_core::names::{CommitSha, ProjectName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;

use super::Gate;
use super::{Decision, wait};
use crate::github::{Ancestry, GitHubError};
use crate::store::StoreError;
use crate::store::deployments::{Source, StoredDeployment};

/// For so long GitHub may say that a branch is where it was before the push that we were told of.
const SETTLES: SignedDuration = SignedDuration::from_secs(30);
/// For so long whoever asks for a deployment waits for GitHub to say which of its commits is the newest.
const SOON: Duration = Duration::from_secs(5);

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

impl Gate {
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
        let settled = now.duration_since(deployment.created_at) >= SETTLES;
        self.on_branch(&deployment.stage.project, deployment.distinct_commits(), branch, settled).await
    }

    /// Whether commits are part of a branch, all of them. `settled`: GitHub has had its time to see the last push to it.
    pub(super) async fn on_branch(
        &self,
        project: &ProjectName,
        commits: BTreeSet<&CommitSha>,
        branch: &str,
        settled: bool,
    ) -> Result<Reach, GitHubError> {
        let Some(head) = self.service.github.branch_head(project, branch).await? else {
            let which: Vec<&str> = commits.iter().map(|commit| commit.short()).collect();
            let gone = format!("the branch {branch} is gone, and {} with it", which.join(", "));
            return Ok(if settled { Reach::Gone(gone) } else { Reach::OnBranch });
        };
        let mut reach = Reach::OnBranch;
        for commit in commits {
            match self.reachable_from(project, commit, (branch, &head), settled).await? {
                gone @ Reach::Gone(_) => return Ok(gone),
                unsettled @ Reach::Unsettled(_) => reach = unsettled,
                Reach::OnBranch => {}
            }
        }
        Ok(reach)
    }

    async fn reachable_from(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        (branch, head): (&str, &CommitSha),
        settled: bool,
    ) -> Result<Reach, GitHubError> {
        if head == commit {
            return Ok(Reach::OnBranch);
        }
        let short = commit.short();
        let gone = || Reach::Gone(format!("{short} is not part of {branch} any more: the branch was moved"));
        let stands = match self.service.github.compare(project, commit, head).await {
            // A commit that no branch has any more is forgotten in the end.
            Err(GitHubError::NotFound { .. }) if settled => {
                let gone =
                    format!("{short} is not on GitHub, or not any more, and so is no part of {branch}: was it pushed?");
                return Ok(Reach::Gone(gone));
            }
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

    /// An older commit that turns green late never replaces a newer one, of no app. A person may, whose commit the gate has
    /// looked at.
    pub(super) async fn decide_by_order(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        let automatic = deployment.source.is_automatic();
        if !automatic && deployment.gate_override.is_none() {
            return Ok(Decision::Go);
        }
        let stage = &deployment.stage;
        let active = self.service.store.active_releases(stage).await?;
        let mut orders = Orders::of(self, &stage.project);
        let mut the_same = None;
        let mut newer = deployment.releases.keys().any(|app| active.iter().all(|it| it.app != *app));
        for active in active {
            let Some(release) = deployment.releases.get(&active.app) else { continue };
            let Some(serves) = self.commit_of(stage, &active).await? else { continue };
            let commit = deployment.commit_of(&active.app);
            let asked = orders.of_release((commit, *release), (&serves, active.release));
            let stands = if automatic {
                asked.await
            } else {
                // Who overrides the gate does not wait for GitHub.
                let by_number = || Ok(release.cmp(&active.release));
                tokio::time::timeout(SOON, asked).await.unwrap_or_else(|_| by_number()).or_else(|_| by_number())
            };
            let stands = match stands {
                Ok(stands) => stands,
                Err(error) => {
                    let why = format!("GitHub does not say how it stands to what is active: {error}");
                    return Ok(wait(Wait::Gate, why));
                }
            };
            let not_newer = || {
                let of_app = if deployment.releases.len() > 1 { format!(" of {}", active.app) } else { String::new() };
                format!(
                    "{}{of_app} is not newer than {}, which is active as release {}",
                    commit.short(),
                    serves.short(),
                    active.release
                )
            };
            match stands {
                Ordering::Less if automatic => return Ok(superseded(not_newer())),
                Ordering::Less => {
                    let failure = Failure::new(FailureCode::NotNewer, not_newer())
                        .hint("overriding the gate is for what is newer; `windlass rollback` goes back");
                    return Ok(Decision::End { outcome: Outcome::Refused, failure });
                }
                Ordering::Equal => the_same = the_same.or_else(|| Some(not_newer())),
                Ordering::Greater => newer = true,
            }
        }
        Ok(the_same.filter(|_| automatic && !newer).map_or(Decision::Go, superseded))
    }

    /// Of the automatic deployments that wait, the one that makes another needless: all of its apps are at least as new
    /// there, and one of them is newer.
    pub(crate) async fn replacement<'a>(
        &self,
        deployment: &StoredDeployment,
        others: &'a [StoredDeployment],
    ) -> Option<&'a StoredDeployment> {
        let mut orders = Orders::of(self, &deployment.stage.project);
        for other in others.iter().filter(|other| other.id != deployment.id && may_replace(other, deployment)) {
            // Where GitHub does not say it, the next look asks again, and neither runs before it is known how it stands to
            // what is active.
            if orders.replaces(other, deployment).await.unwrap_or(false) {
                return Some(other);
            }
        }
        None
    }

    /// The newest of some commits, of which the one that was heard of last comes last: it is taken for the newest where
    /// GitHub does not say soon how they stand.
    pub(crate) async fn newest(&self, project: &ProjectName, commits: &[CommitSha]) -> Option<CommitSha> {
        let (last, others) = commits.split_last()?;
        let mut newest = last;
        let deadline = tokio::time::Instant::now() + SOON;
        for other in others.iter().rev() {
            let order = tokio::time::timeout_at(deadline, self.order(project, other, newest)).await;
            if matches!(order, Ok(Ok(Order::Newer))) {
                newest = other;
            }
        }
        Some(newest.clone())
    }

    /// How `commit` stands to another one.
    async fn order(&self, project: &ProjectName, commit: &CommitSha, other: &CommitSha) -> Result<Order, GitHubError> {
        if commit == other {
            return Ok(Order::Same);
        }
        match self.service.github.compare(project, other, commit).await {
            Ok(Ancestry::Behind) => Ok(Order::Older),
            Ok(Ancestry::Identical) => Ok(Order::Same),
            Ok(Ancestry::Ahead) => Ok(Order::Newer),
            Ok(Ancestry::Diverged) | Err(GitHubError::NotFound { .. }) => Ok(Order::Unrelated),
            Err(error) => Err(error),
        }
    }
}

/// How commits stand to each other: GitHub is asked once for each two of them.
struct Orders<'a> {
    gate: &'a Gate,
    project: &'a ProjectName,
    known: BTreeMap<(CommitSha, CommitSha), Order>,
}

impl<'a> Orders<'a> {
    const fn of(gate: &'a Gate, project: &'a ProjectName) -> Self {
        Self { gate, project, known: BTreeMap::new() }
    }

    async fn order(&mut self, commit: &CommitSha, other: &CommitSha) -> Result<Order, GitHubError> {
        let both = (commit.clone(), other.clone());
        if let Some(known) = self.known.get(&both) {
            return Ok(*known);
        }
        let order = self.gate.order(self.project, commit, other).await?;
        self.known.insert(both, order);
        Ok(order)
    }

    /// How one release of an app stands to another. Of the same commit the higher number is the newer: it was built again.
    async fn of_release(
        &mut self,
        (commit, release): (&CommitSha, ReleaseNumber),
        (other, other_release): (&CommitSha, ReleaseNumber),
    ) -> Result<Ordering, GitHubError> {
        Ok(match self.order(commit, other).await? {
            Order::Older => Ordering::Less,
            Order::Newer => Ordering::Greater,
            Order::Same | Order::Unrelated => release.cmp(&other_release),
        })
    }

    /// Whether a deployment makes another needless. Of an app that it does not have it would have its own commit.
    async fn replaces(&mut self, newer: &StoredDeployment, older: &StoredDeployment) -> Result<bool, GitHubError> {
        let mut replaces = None;
        for (app, release) in &older.releases {
            let other = newer.releases.get(app).unwrap_or(release);
            match self.of_release((older.commit_of(app), *release), (newer.commit_of(app), *other)).await? {
                Ordering::Less => replaces = Some(true),
                Ordering::Equal => {}
                Ordering::Greater => return Ok(false),
            }
        }
        Ok(replaces.unwrap_or(older.number < newer.number))
    }
}

fn superseded(why: String) -> Decision {
    let failure = Failure::new(FailureCode::NotNewer, why)
        .hint("to make it active all the same, somebody deploys it: `windlass deploy --release N`");
    Decision::End { outcome: Outcome::Superseded, failure }
}

/// A merge means all of a stage's apps; a job may mean some of them.
fn may_replace(newer: &StoredDeployment, older: &StoredDeployment) -> bool {
    let all_of_it = || older.releases.keys().all(|app| newer.releases.contains_key(app));
    newer.source.is_automatic() && older.source.is_automatic() && (newer.source != Source::Job || all_of_it())
}
