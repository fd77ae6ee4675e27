//! The gate: may this deployment run now? CI read fresh from GitHub, a person's lock, a rollback's hold, the order of
//! commits. Decides nothing about how; that is the plan's.

mod jobs_tasks;
mod look;
mod missing;
mod order;
mod reasons;
mod same_tree;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use jiff::SignedDuration;
use windlass_core::config::StagePolicy;
use windlass_core::deployment::{Failure, FailureCode, Outcome, Wait};
use windlass_core::names::{AppName, CommitSha, DeploymentId};
use windlass_core::plan::DeploymentKind;
use windlass_core::stage::Stage;
use windlass_core::verdict::{Item, Verdict, VerdictKind};

use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;
use crate::store::locks::StoredLock;
use crate::store::stages::ActiveRelease;

use look::{Judged, Look};
use order::Reach;

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

/// The source of what the gate writes into a deployment's log.
const GATE_LOG: &str = "gate";

/// Looks at GitHub and remembers when it did.
pub(crate) struct Gate {
    service: Arc<Service>,
    /// When each waiting deployment's gate was looked at.
    looks: Mutex<HashMap<DeploymentId, Look>>,
}

impl Gate {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, looks: Mutex::default() }
    }

    /// Decides on a deployment that waits.
    pub(crate) async fn decide(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        let stage = &deployment.stage;
        let Some(policy) = self.service.settings.server.policy(stage) else {
            let failure =
                Failure::new(FailureCode::PolicyRefused, format!("{stage} is not in the server's file any more"));
            return Ok(Decision::End { outcome: Outcome::Refused, failure });
        };
        if let Some(held) = self.held(deployment).await? {
            self.forget_look(deployment);
            return Ok(held);
        }
        let decision = match deployment.kind {
            _ if deployment.gate_override.is_some() => self.decide_overridden(deployment).await?,
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
        if let Some(StoredLock { lock, .. }) = self.service.store.lock(stage).await? {
            let why = format!("{} locked {stage}: {}; `windlass lock release` ends that", lock.by, lock.reason);
            return Ok(Some(wait(Wait::Lock, why)));
        }
        if deployment.source.is_automatic()
            && let Some(hold) = self.service.store.hold(stage).await?
        {
            let why =
                format!("rollback {} holds {stage} until somebody lifts it: `windlass hold lift`", hold.deployment);
            return Ok(Some(wait(Wait::Hold, why)));
        }
        Ok(None)
    }

    /// Somebody answers for it, so GitHub is not asked, which may be down; but an older commit replaces no newer one.
    async fn decide_overridden(&self, deployment: &StoredDeployment) -> Result<Decision, StoreError> {
        let decision = self.decide_by_order(deployment).await?;
        if let (Decision::Go, Some(gate_override)) = (&decision, &deployment.gate_override) {
            self.log_once(deployment, &gate_override.to_string()).await?;
        }
        Ok(decision)
    }

    async fn decide_by_github(
        &self,
        deployment: &StoredDeployment,
        policy: &StagePolicy,
    ) -> Result<Decision, StoreError> {
        let now = self.service.clock.now();
        let waited = now.duration_since(deployment.created_at);
        let timeout = SignedDuration::try_from(policy.gate_timeout.0).unwrap_or(SignedDuration::MAX);
        // Behind the time-out too: what is looked at there is green, and GitHub does not say its order.
        if !self.look_is_due(deployment, now).await? {
            return Ok(Decision::Unchanged);
        }
        let verdict = match self.reachable(deployment, policy, now).await {
            Ok(Reach::Gone(why)) => {
                let failure = Failure::new(FailureCode::Superseded, why);
                return Ok(Decision::End { outcome: Outcome::Superseded, failure });
            }
            Ok(Reach::OnBranch) => Box::pin(self.judge_all(deployment)).await?,
            Ok(Reach::Unsettled(why)) => Judged { verdict: Verdict::unavailable(why), next_look: None },
            Err(error) => self.unavailable(&deployment.stage.project, &deployment.commit, error).await,
        };
        let Judged { verdict, next_look } = verdict;
        let deadline = deployment.created_at.checked_add(timeout).ok().filter(|deadline| *deadline > now);
        let summary = verdict.summary();
        if verdict.verdict == VerdictKind::Green {
            let decision = self.decide_by_order(deployment).await?;
            match &decision {
                Decision::Go => {
                    // What keeps it now is no check: it is looked at afresh as soon as that is out of the way.
                    self.forget_look(deployment);
                    self.log_once(deployment, &summary).await?;
                }
                Decision::Wait { why, .. } => {
                    let unread = Verdict::unavailable(why.clone());
                    self.remember_look(deployment, now, [None, deadline], &unread).await?;
                }
                Decision::End { .. } | Decision::Unchanged => {}
            }
            return Ok(decision);
        }
        self.remember_look(deployment, now, [next_look, deadline], &verdict).await?;
        match verdict.verdict {
            VerdictKind::Blocked => Ok(Decision::End {
                outcome: Outcome::Refused,
                failure: Failure::new(FailureCode::GateBlocked, summary)
                    .hint(self.hint_of(deployment, &verdict).await?),
            }),
            VerdictKind::Waiting | VerdictKind::Unavailable if waited >= timeout => Ok(Decision::End {
                outcome: Outcome::Cancelled,
                failure: reasons::timed_out(&verdict, policy.gate_timeout),
            }),
            VerdictKind::Green | VerdictKind::Waiting | VerdictKind::Unavailable => {
                Ok(Decision::Wait { on: Wait::Gate, why: summary, items: verdict.items })
            }
        }
    }

    /// A policy may have let it pass, or another commit's checks: whoever asks later can read it. A host that is away
    /// brings the deployment back here.
    async fn log_once(&self, deployment: &StoredDeployment, summary: &str) -> Result<(), StoreError> {
        if self.service.store.logged_lines(&deployment.id).await?.contains_key(GATE_LOG) {
            return Ok(());
        }
        let (line, accounted) = ((GATE_LOG.to_owned(), summary.to_owned()), HashMap::from([(GATE_LOG.to_owned(), 1)]));
        self.service.store.append_log(&deployment.id, &[line], &accounted, self.service.clock.now()).await
    }

    /// Whether the stage serves this commit of all of these apps.
    pub(crate) async fn serves<'a>(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        apps: impl Iterator<Item = &'a AppName>,
    ) -> Result<bool, StoreError> {
        let active = self.service.store.active_releases(stage).await?;
        for app in apps {
            let Some(active) = active.iter().find(|it| it.app == *app) else { return Ok(false) };
            if self.commit_of(stage, active).await?.as_ref() != Some(commit) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    async fn commit_of(&self, stage: &Stage, active: &ActiveRelease) -> Result<Option<CommitSha>, StoreError> {
        Ok(self.service.store.release(stage, &active.app, active.release).await?.map(|release| release.commit))
    }

    async fn has_served(&self, deployment: &StoredDeployment) -> Result<bool, StoreError> {
        for (app, release) in &deployment.releases {
            if !self.service.store.has_served(&deployment.stage, app, *release).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn wait(on: Wait, why: String) -> Decision {
    Decision::Wait { on, why, items: Vec::new() }
}
