//! The gate: may this deployment run now? CI read fresh from GitHub, a person's lock, a rollback's hold, the order of
//! commits. Decides nothing about how; that is the plan's.

use jiff::{SignedDuration, Timestamp};
use windlass_core::config::StagePolicy;
use windlass_core::deployment::{Failure, FailureCode, Outcome, Wait};
use windlass_core::names::{AppName, CommitSha};
use windlass_core::plan::DeploymentKind;
use windlass_core::verdict::{GatePolicy, Item, Verdict, VerdictKind, verdict};

use crate::app::{App, Look};
use crate::github::Ancestry;
use crate::stage::StageKey;
use crate::store::StoreError;
use crate::store::deployments::{Source, StoredDeployment};
use crate::store::locks::StoredLock;
use crate::store::stages::ActiveRelease;

/// The gate's decision on a deployment.
#[derive(Debug)]
pub(crate) enum Decision {
    /// It may run.
    Go,
    /// Not now.
    Wait { on: Wait, why: String, items: Vec<Item> },
    /// Never.
    End { outcome: Outcome, failure: Failure },
    /// Nothing has changed since the last look, which said wait.
    Unchanged,
}

/// How long a look at GitHub is good for when nothing is heard: the safety net behind its webhooks.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);

impl App {
    /// Decides on a deployment that waits.
    pub(crate) async fn decide(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        let stage = &deployment.stage;
        let Some(policy) = self.policy(stage) else {
            let failure =
                Failure::new(FailureCode::PolicyRefused, format!("{stage} is not in the server's file any more"));
            return Ok(Decision::End { outcome: Outcome::Refused, failure });
        };
        if let Some(held) = self.held(deployment).await? {
            return Ok(held);
        }
        let decision = match deployment.kind {
            DeploymentKind::Rollback | DeploymentKind::Redeploy if self.has_served(deployment).await? => Decision::Go,
            DeploymentKind::Deploy | DeploymentKind::Rollback | DeploymentKind::Redeploy => {
                self.decide_by_github(deployment, policy).await?
            }
        };
        // GitHub took its time: somebody may have locked the stage meanwhile.
        match decision {
            Decision::Go => Ok(self.held(deployment).await?.unwrap_or(Decision::Go)),
            decision => Ok(decision),
        }
    }

    /// What people hold against it.
    async fn held(&self, deployment: &StoredDeployment) -> Result<Option<Decision>, StoreError> {
        let stage = &deployment.stage;
        if let Some(StoredLock { lock, .. }) = self.store.lock(stage).await? {
            return Ok(Some(wait(Wait::Lock, format!("{} locked {stage}: {}", lock.by, lock.reason))));
        }
        if deployment.source.is_automatic()
            && let Some(hold) = self.store.hold(stage).await?
        {
            let why = format!("rollback {} holds {stage} until somebody lifts it", hold.deployment);
            return Ok(Some(wait(Wait::Hold, why)));
        }
        Ok(None)
    }

    /// The verdict on a commit, read fresh. The grace for CI to appear counts from when the commit was first heard of, or
    /// from `asked` if that was later: a commit may have lain on another branch for days.
    pub(crate) async fn verdict(
        &self,
        stage: &StageKey,
        commit: &CommitSha,
        asked: Option<Timestamp>,
    ) -> Result<Verdict, StoreError> {
        let Some(policy) = self.policy(stage) else { return Ok(Verdict::unavailable("the stage is unknown")) };
        let now = self.now();
        let heard = self.store.commit_times(&stage.project, commit).await?.map(|times| times.first_seen);
        let first_seen = heard.max(asked).unwrap_or(now);
        let gate = GatePolicy { checks: &policy.checks, ignore: &policy.ignore_checks, no_ci: &policy.no_ci };
        Ok(match self.github.commit_facts(&stage.project, commit, &policy.branch, first_seen).await {
            Ok(mut facts) => {
                // Last: a job that asks meanwhile is not waited for.
                facts.waiting_jobs = self.store.waiting_jobs(stage, commit).await?;
                verdict(&facts, &gate, now)
            }
            Err(error) => Verdict::unavailable(format!("{:#}", anyhow::Error::new(error))),
        })
    }

    async fn decide_by_github(
        &self,
        deployment: &StoredDeployment,
        policy: &StagePolicy,
    ) -> Result<Decision, StoreError> {
        let now = self.now();
        let waited = now.duration_since(deployment.created_at);
        let timeout = SignedDuration::try_from(policy.gate_timeout.0).unwrap_or(SignedDuration::MAX);
        if waited < timeout && !self.look_is_due(deployment, now).await? {
            return Ok(Decision::Unchanged);
        }
        let verdict = self.verdict(&deployment.stage, &deployment.commit, Some(deployment.created_at)).await?;
        let next = now.checked_add(LOOK_AGAIN).unwrap_or(now);
        self.remember_look(deployment, Look { at: now, next });
        let summary = verdict.summary();
        match verdict.verdict {
            VerdictKind::Green => self.decide_by_order(deployment).await,
            VerdictKind::Blocked => Ok(Decision::End {
                outcome: Outcome::Refused,
                failure: Failure::new(FailureCode::GateBlocked, summary)
                    .hint("when the check is green after a new run, the commit is deployed by itself"),
            }),
            VerdictKind::Waiting | VerdictKind::Unavailable if waited >= timeout => Ok(Decision::End {
                outcome: Outcome::Cancelled,
                failure: Failure::new(
                    FailureCode::GateTimeout,
                    format!("CI said no last word within {}: {summary}", policy.gate_timeout),
                ),
            }),
            VerdictKind::Waiting | VerdictKind::Unavailable => {
                Ok(Decision::Wait { on: Wait::Gate, why: summary, items: verdict.items })
            }
        }
    }

    /// Order is ancestry: an older commit that turns green late never replaces a newer one. A person may.
    async fn decide_by_order(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        if !deployment.source.is_automatic() {
            return Ok(Decision::Go);
        }
        let stage = &deployment.stage;
        let mut active = self.store.active_releases(stage).await?;
        active.retain(|it| deployment.releases.contains_key(&it.app));
        // Of the same commit the higher number is the newer: it was built again, or of another app.
        let serves = |app: &AppName| active.iter().find(|it| it.app == *app).map(|it| it.release);
        let is_rebuilt = deployment.releases.iter().any(|(app, release)| serves(app) < Some(*release));
        let Some(first) = active.first() else { return Ok(Decision::Go) };
        let Some(active) = self.commit_of(stage, first).await? else { return Ok(Decision::Go) };
        match self.github.compare(&deployment.stage.project, &active, &deployment.commit).await {
            Ok(Ancestry::Identical) if is_rebuilt => Ok(Decision::Go),
            Ok(Ancestry::Identical | Ancestry::Behind) => Ok(Decision::End {
                outcome: Outcome::Superseded,
                failure: Failure::new(
                    FailureCode::NotNewer,
                    format!("{} is not newer than {}, which is active", deployment.commit.short(), active.short()),
                ),
            }),
            Ok(Ancestry::Ahead | Ancestry::Diverged) => Ok(Decision::Go),
            Err(error) => {
                let why = format!("GitHub does not say how it stands to what is active: {error}");
                Ok(wait(Wait::Gate, why))
            }
        }
    }

    /// Whether the stage serves this commit of all of these apps.
    pub(crate) async fn serves<'a>(
        &self,
        stage: &StageKey,
        commit: &CommitSha,
        apps: impl Iterator<Item = &'a AppName>,
    ) -> Result<bool, StoreError> {
        let active = self.store.active_releases(stage).await?;
        for app in apps {
            let Some(active) = active.iter().find(|it| it.app == *app) else { return Ok(false) };
            if self.commit_of(stage, active).await?.as_ref() != Some(commit) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn commit_of(&self, stage: &StageKey, active: &ActiveRelease) -> Result<Option<CommitSha>, StoreError> {
        Ok(self.store.release(stage, &active.app, active.release).await?.map(|release| release.commit))
    }

    async fn has_served(&self, deployment: &StoredDeployment) -> Result<bool, StoreError> {
        for (app, release) in &deployment.releases {
            if !self.store.has_served(&deployment.stage, app, *release).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// GitHub is asked when something was heard of the commit, and else once a minute.
    async fn look_is_due(&self, deployment: &StoredDeployment, now: Timestamp) -> Result<bool, StoreError> {
        let Some(last) = self.last_look(deployment) else { return Ok(true) };
        let times = self.store.commit_times(&deployment.stage.project, &deployment.commit).await?;
        let heard = times.and_then(|times| times.checks_changed_at).is_some_and(|heard| heard >= last.at);
        Ok(heard || now >= last.next)
    }

    fn last_look(&self, deployment: &StoredDeployment) -> Option<Look> {
        let looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looks.get(&deployment.id).copied()
    }

    fn remember_look(&self, deployment: &StoredDeployment, look: Look) {
        let mut looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looks.insert(deployment.id.clone(), look);
    }

    /// A commit whose checks were red is given another chance when GitHub says that they changed and they are green.
    pub(crate) async fn turned_green(&self, refused: &StoredDeployment) -> Result<bool, StoreError> {
        let Some(ended_at) = refused.ended_at else { return Ok(false) };
        let times = self.store.commit_times(&refused.stage.project, &refused.commit).await?;
        // What changed while the refusing look was under way was not seen by it.
        let looked = self.last_look(refused).map_or(ended_at, |look| look.at);
        if times.and_then(|times| times.checks_changed_at).is_none_or(|changed| changed <= looked) {
            return Ok(false);
        }
        let now = self.now();
        self.remember_look(refused, Look { at: now, next: now.checked_add(LOOK_AGAIN).unwrap_or(now) });
        let verdict = self.verdict(&refused.stage, &refused.commit, Some(refused.created_at)).await?;
        Ok(verdict.verdict == VerdictKind::Green)
    }
}

fn wait(on: Wait, why: String) -> Decision {
    Decision::Wait { on, why, items: Vec::new() }
}

impl Source {
    /// What asked, for people.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Merge => "merge",
            Self::Push => "push",
            Self::Job => "job",
            Self::Person => "person",
        }
    }
}
