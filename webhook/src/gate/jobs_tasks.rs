//! One-off tasks that jobs start: they run with the stage's secrets, so the gate is asked as for a deployment.

use std::collections::BTreeSet;

use windlass_core::names::CommitSha;
use windlass_core::stage::Stage;
use windlass_core::verdict::VerdictKind;

use super::Gate;
use super::order::Reach;
use crate::store::StoreError;
use crate::store::sessions::Session;

impl Gate {
    /// Why a job may not run a task of a release of this commit at this moment; `None`: it may.
    pub(crate) async fn keeps_job_from(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        job: &Session,
    ) -> Result<Option<String>, StoreError> {
        if let Some(why) = self.held_against(stage, job).await? {
            return Ok(Some(why));
        }
        if let Some(why) = self.is_elsewhere(stage, commit).await {
            return Ok(Some(why));
        }
        let judged = Box::pin(self.judge_for(stage, commit, None, job.check_run_id)).await?;
        if judged.verdict.verdict != VerdictKind::Green {
            return Ok(Some(judged.verdict.summary()));
        }
        // GitHub took its time: somebody may have locked the stage meanwhile.
        self.held_against(stage, job).await
    }

    /// What people hold against it. What the job's own run has locked it has locked for this.
    async fn held_against(&self, stage: &Stage, job: &Session) -> Result<Option<String>, StoreError> {
        if let Some(lock) = self.service.store.lock(stage).await?
            && !lock.is_of(&job.holder())
        {
            return Ok(Some(format!("{} locked {stage}: {}", lock.lock.by, lock.lock.reason)));
        }
        let hold = if job.is_by_hand() { None } else { self.service.store.hold(stage).await? };
        Ok(hold.map(|hold| format!("rollback {} holds {stage} until somebody lifts it", hold.deployment)))
    }

    /// A commit that a force-push took away is deployed by nobody in particular, and neither is it run so.
    async fn is_elsewhere(&self, stage: &Stage, commit: &CommitSha) -> Option<String> {
        let policy = self.service.settings.server.policy(stage)?;
        if policy.oidc.refs != [format!("refs/heads/{}", policy.branch)] {
            return None;
        }
        match self.on_branch(&stage.project, BTreeSet::from([commit]), &policy.branch, true).await {
            Ok(Reach::OnBranch) => None,
            Ok(Reach::Gone(why) | Reach::Unsettled(why)) => Some(why),
            Err(error) => Some(format!("unavailable: {:#}", anyhow::Error::new(error))),
        }
    }
}
