//! Looks at GitHub: what it says of a commit now, and when it is worth asking again.

use std::time::Duration;

use futures_util::future::try_join_all;
use jiff::{SignedDuration, Timestamp};
use windlass_core::deployment::FailureCode;
use windlass_core::names::{CommitSha, ProjectName};
use windlass_core::stage::Stage;
use windlass_core::verdict::{GatePolicy, Verdict, VerdictKind, asks_for_same_tree, verdict};

use super::Gate;
use crate::back_off::BackOff;
use crate::github::GitHubError;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;

/// How long a look at GitHub is good for when nothing is heard: the safety net behind its webhooks.
const LOOK_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// After GitHub could not be read in full.
const ASK_AGAIN: BackOff = BackOff { first: Duration::from_secs(5), longest: Duration::from_secs(60) };
/// Stages are looked after this often by themselves.
const SOON: SignedDuration = SignedDuration::from_secs(10);

/// The last look at a deployment's gate.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    at: Timestamp,
    next: Timestamp,
    /// How many looks before it, in a row, found that GitHub could not be read.
    in_vain: u32,
    /// Whether it left the question open: GitHub could not be read, or a check had more to say.
    open: bool,
    /// What the stage's branch wanted then.
    wanted: Option<CommitSha>,
}

/// A verdict, and when the passing of time alone may change it.
#[derive(Debug)]
pub(super) struct Judged {
    pub(super) verdict: Verdict,
    pub(super) next_look: Option<Timestamp>,
}

impl Gate {
    pub(super) async fn unavailable(&self, project: &ProjectName, commit: &CommitSha, error: GitHubError) -> Judged {
        let why = self.unreadable(project, commit, error).await;
        Judged { verdict: Verdict::unavailable(why), next_look: None }
    }

    /// The verdict on a commit, read fresh. The grace for CI to appear counts from when the commit was first heard of, or
    /// from `asked` if that was later: a commit may have lain on another branch for days.
    pub(crate) async fn verdict(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        asked: Option<Timestamp>,
    ) -> Result<Verdict, StoreError> {
        Ok(self.judge(stage, commit, asked).await?.verdict)
    }

    pub(super) async fn judge(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        asked: Option<Timestamp>,
    ) -> Result<Judged, StoreError> {
        self.judge_for(stage, commit, asked, None).await
    }

    /// For a job that waits for the answer: its own check run has no last word before it.
    pub(super) async fn judge_for(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        asked: Option<Timestamp>,
        job: Option<u64>,
    ) -> Result<Judged, StoreError> {
        let Some(policy) = self.service.settings.server.policy(stage) else {
            return Ok(Judged { verdict: Verdict::unavailable("the stage is unknown"), next_look: None });
        };
        let now = self.service.clock.now();
        let project = &stage.project;
        let heard = self.service.store.commit_times(project, commit).await?.map(|times| times.first_seen);
        let first_seen = heard.max(asked).unwrap_or(now);
        let gate = GatePolicy { checks: &policy.checks, ignore: &policy.ignore_checks, no_ci: &policy.no_ci };
        let mut facts = match self.service.github.commit_facts(project, commit, &policy.branch, first_seen).await {
            Ok(facts) => facts,
            Err(error) => return Ok(self.unavailable(project, commit, error).await),
        };
        // Last: a job that asks meanwhile is not waited for.
        let jobs = self.service.store.deploying_jobs(stage, commit).await?;
        (facts.waiting_jobs, facts.registering_jobs, facts.deploying_runs) =
            (jobs.waiting, jobs.registering, jobs.runs);
        facts.waiting_jobs.extend(job);
        if asks_for_same_tree(&facts, &gate, now) {
            match self.same_tree(project, commit, first_seen).await {
                Ok(same_tree) => facts.same_tree = same_tree,
                Err(error) => return Ok(self.unavailable(project, commit, error).await),
            }
        }
        let verdict = verdict(&facts, &gate, now);
        let next_look = verdict.next_look(&facts, &gate, now);
        Ok(Judged { verdict, next_look })
    }

    /// The verdict on all commits of a deployment.
    pub(super) async fn judge_all(&self, deployment: &StoredDeployment) -> Result<Judged, StoreError> {
        let judge = async |commit: &CommitSha| {
            let judged = Box::pin(self.judge(&deployment.stage, commit, Some(deployment.created_at))).await?;
            Ok::<_, StoreError>((commit.clone(), judged))
        };
        let mut judged = try_join_all(deployment.distinct_commits().into_iter().map(judge)).await?;
        let next_look = judged.iter().filter_map(|(_, judged)| judged.next_look).min();
        let verdict = Verdict::of_several(judged.drain(..).map(|(commit, judged)| (commit, judged.verdict)));
        Ok(Judged { verdict, next_look })
    }

    /// Whether something was heard of a deployment's commits since then.
    async fn heard_since(
        &self,
        deployment: &StoredDeployment,
        since: impl Fn(Timestamp) -> bool,
    ) -> Result<bool, StoreError> {
        for commit in deployment.distinct_commits() {
            let times = self.service.store.commit_times(&deployment.stage.project, commit).await?;
            if times.and_then(|times| times.checks_changed_at).is_some_and(&since) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// GitHub is asked when something was heard of the commits or the branch has moved, and else once in a while.
    pub(super) async fn look_is_due(&self, deployment: &StoredDeployment, now: Timestamp) -> Result<bool, StoreError> {
        let Some(last) = self.last_look(deployment) else { return Ok(true) };
        let heard = self.heard_since(deployment, |heard| heard >= last.at).await?;
        Ok(heard || now >= last.next || self.wanted(deployment).await? != last.wanted)
    }

    /// A commit whose checks were red is given another chance when GitHub says that they changed and they are green. What
    /// was refused for anything else would be refused again.
    pub(crate) async fn turned_green(&self, refused: &StoredDeployment) -> Result<bool, StoreError> {
        let Some(ended_at) = refused.ended_at else { return Ok(false) };
        let standing = self.service.store.standing(&refused.id).await?;
        if standing.failure().is_none_or(|failure| failure.code != FailureCode::GateBlocked) {
            return Ok(false);
        }
        let now = self.service.clock.now();
        let last = self.last_look(refused);
        // What changed while the refusing look was under way was not seen by it.
        let looked = last.as_ref().map_or(ended_at, |look| look.at);
        let changed = self.heard_since(refused, |changed| changed > looked).await?;
        if !changed && !last.is_some_and(|look| look.open && now >= look.next) {
            return Ok(false);
        }
        let Judged { verdict, next_look } = self.judge_all(refused).await?;
        self.remember_look(refused, now, [next_look, None], &verdict).await?;
        Ok(verdict.verdict == VerdictKind::Green)
    }

    fn last_look(&self, deployment: &StoredDeployment) -> Option<Look> {
        let looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looks.get(&deployment.id).cloned()
    }

    /// What keeps it is no check and no person: it is looked at again in a while.
    pub(crate) async fn look_later(&self, deployment: &StoredDeployment) -> Result<(), StoreError> {
        self.remember_look(deployment, self.service.clock.now(), [None, None], &Verdict::unavailable("a host is away"))
            .await
    }

    /// Makes the next decision on it look afresh, whatever was seen before.
    pub(crate) fn forget_look(&self, deployment: &StoredDeployment) {
        let mut looks = self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        looks.remove(&deployment.id);
    }

    /// Time may change the verdict at one of these moments; so may GitHub without our hearing of it.
    pub(super) async fn remember_look(
        &self,
        deployment: &StoredDeployment,
        at: Timestamp,
        moments: [Option<Timestamp>; 2],
        verdict: &Verdict,
    ) -> Result<(), StoreError> {
        let (pause, in_vain) = match verdict.verdict {
            VerdictKind::Unavailable => {
                let in_vain = self.last_look(deployment).map_or(0, |last| last.in_vain);
                (signed(ASK_AGAIN.pause(u64::from(in_vain) + 1)), in_vain + 1)
            }
            VerdictKind::Green | VerdictKind::Waiting | VerdictKind::Blocked => (LOOK_AGAIN, 0),
        };
        let again = at.checked_add(pause).unwrap_or(at);
        let next = moments.into_iter().flatten().fold(again, Timestamp::min);
        let open = matches!(verdict.verdict, VerdictKind::Unavailable | VerdictKind::Waiting);
        let look = Look { at, next, in_vain, open, wanted: self.wanted(deployment).await? };
        self.looks.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(deployment.id.clone(), look);
        self.wake_for_look(next.duration_since(self.service.clock.now()));
        Ok(())
    }

    async fn wanted(&self, deployment: &StoredDeployment) -> Result<Option<CommitSha>, StoreError> {
        Ok(self.service.store.wanted_commit(&deployment.stage).await?.map(|wanted| wanted.commit))
    }

    /// A moment that comes sooner than the stages are looked after anyway is an event of its own.
    fn wake_for_look(&self, pause: SignedDuration) {
        if pause >= SOON {
            return;
        }
        let pause = Duration::try_from(pause).unwrap_or_default();
        let (stages, shutdown) = (std::sync::Arc::clone(&self.service.wake.stages), self.service.shutdown.clone());
        self.service.tracker.spawn(async move {
            tokio::select! {
                () = tokio::time::sleep(pause) => stages.notify_one(),
                () = shutdown.cancelled() => {}
            }
        });
    }
}

fn signed(pause: Duration) -> SignedDuration {
    SignedDuration::try_from(pause).unwrap_or(LOOK_AGAIN)
}

#[cfg(test)]
mod tests;
