//! What the switchboard knows of one service: what serves, what is prepared and what drains.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio_util::sync::{CancellationToken, DropGuard};
use windlass_core::gateway::{
    ServiceKey, ServiceSpec, ServiceStatus, SetMaintenance, Target as TargetSpec, TargetState,
};
use windlass_core::names::{Generation, ReleaseNumber};

use crate::drain::Drain;
use crate::health::{ProbePlan, Prober};
use crate::hold::Hold;
use crate::refusal::{self, Refusal};
use crate::service::Service;
use crate::target::Target;

/// So long it is known of a service that it was taken away, and with which generation.
const REMOVED_IS_KNOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// Everything under one service's key.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    pub(crate) hold: Arc<Hold>,
    /// The newest write that was taken; outlives a removal, so that an older one is refused after it too.
    pub(crate) generation: Option<Generation>,
    /// When it was taken away.
    pub(crate) removed_at: Option<Timestamp>,
    /// The snapshot had it, and it could not be read: its newest write is waited for again.
    pub(crate) lost: bool,
    pub(crate) release: Option<ReleaseNumber>,
    pub(crate) active: Option<Active>,
    pub(crate) prepared: Option<PreparedSet>,
    pub(crate) draining: Vec<Drain>,
    /// The newest word on whether it is kept from its clients; outlives a removal too.
    pub(crate) maintenance: Option<SetMaintenance>,
    /// Requests that the last drains have cut, by target, for whoever asks late.
    pub(crate) cut: BTreeMap<String, u64>,
}

/// What gets the traffic.
#[derive(Debug)]
pub(crate) struct Active {
    pub(crate) service: Arc<Service>,
    pub(crate) members: Vec<Member>,
}

/// What may get it next. Dropping it sends away those who wait for it.
#[derive(Debug)]
pub(crate) struct PreparedSet {
    pub(crate) spec: ServiceSpec,
    members: Vec<Member>,
    replaced: CancellationToken,
    _guard: DropGuard,
}

/// A target that is asked for its health.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) target: Arc<Target>,
    prober: Prober,
}

/// Whether a write has anything to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It is newer than what is there.
    Next,
    /// It is what is there.
    Done,
}

/// Targets to wait for.
#[derive(Debug)]
pub(crate) struct Candidates {
    pub(crate) targets: Vec<Arc<Target>>,
    replaced: CancellationToken,
}

impl Active {
    pub(crate) fn spec(&self) -> &ServiceSpec {
        &self.service.spec
    }

    pub(crate) fn has(&self, target: &Arc<Target>) -> bool {
        self.members.iter().any(|member| member.target.id == target.id)
    }
}

impl Entry {
    /// Refuses what is older than what was taken, or pretends to be the same.
    pub(crate) fn admit(&self, spec: &ServiceSpec) -> Result<Admission, Refusal> {
        match self.generation {
            Some(newest) if newest > spec.generation => Err(refusal::older(&spec.key, spec.generation, newest)),
            Some(newest) if newest == spec.generation => match &self.active {
                Some(active) if active.spec() == spec => Ok(Admission::Done),
                None if self.lost => Ok(Admission::Next),
                Some(_) | None => Err(refusal::conflict(&spec.key, newest)),
            },
            Some(_) | None => Ok(Admission::Next),
        }
    }

    /// Starts asking the targets for their health, unless that goes on already.
    pub(crate) fn prepare(&mut self, spec: &ServiceSpec) -> Result<Candidates, Refusal> {
        if let Some(active) = self.active.as_ref().filter(|active| active.spec() == spec) {
            return Ok(Candidates::new(&active.members, CancellationToken::new()));
        }
        if let Some(prepared) = &self.prepared {
            if prepared.spec.generation > spec.generation {
                return Err(refusal::older(&spec.key, spec.generation, prepared.spec.generation));
            }
            if prepared.spec == *spec {
                return Ok(Candidates::new(&prepared.members, prepared.replaced.clone()));
            }
        }
        let plan = ProbePlan::new(spec);
        let members: Vec<Member> = spec
            .targets
            .iter()
            .map(|wanted| match self.known(wanted) {
                Some(member) => member,
                None => Member::new(Arc::new(Target::new(wanted.name.clone(), wanted.address)), &self.hold, &plan),
            })
            .collect();
        let replaced = CancellationToken::new();
        let candidates = Candidates::new(&members, replaced.clone());
        let guard = replaced.clone().drop_guard();
        self.prepared = Some(PreparedSet { spec: spec.clone(), members, replaced, _guard: guard });
        Ok(candidates)
    }

    /// The members that will serve: those that serve already, those called back from their drain, those that were
    /// prepared, and new ones.
    pub(crate) fn gather(&mut self, spec: &ServiceSpec) -> Vec<Member> {
        let plan = ProbePlan::new(spec);
        let mut members = Vec::with_capacity(spec.targets.len());
        for wanted in &spec.targets {
            let revived = self.draining.iter().position(|drain| is(&drain.target, wanted));
            let revived = revived.map(|place| Arc::clone(&self.draining.swap_remove(place).target));
            let known = self.known(wanted);
            members.push(match (revived, known) {
                (None, Some(member)) if member.prober.follows(&plan) => member,
                (None, Some(member)) => Member::new(member.target, &self.hold, &plan),
                (Some(target), _) => Member::new(target, &self.hold, &plan),
                (None, None) => {
                    Member::new(Arc::new(Target::new(wanted.name.clone(), wanted.address)), &self.hold, &plan)
                }
            });
        }
        members
    }

    pub(crate) fn serves(&self, name: &str) -> bool {
        self.active.as_ref().is_some_and(|active| active.members.iter().any(|member| member.target.name == name))
    }

    /// Those of these names that serve.
    pub(crate) fn serving(&self, names: &[String]) -> Vec<Arc<Target>> {
        let targets = self.active.iter().flat_map(|active| &active.members).map(|member| &member.target);
        targets.filter(|target| names.contains(&target.name)).cloned().collect()
    }

    pub(crate) fn draining_names(&self) -> Vec<String> {
        self.draining.iter().map(|drain| drain.target.name.clone()).collect()
    }

    /// It was taken away so long ago that no write of before is under way any more.
    pub(crate) fn is_long_gone(&self, now: Timestamp) -> bool {
        let gone = self.active.is_none() && self.prepared.is_none() && self.draining.is_empty();
        gone && self.removed_at.is_some_and(|at| now.duration_since(at) > REMOVED_IS_KNOWN)
    }

    /// Nothing in it needs to be remembered.
    pub(crate) fn is_forgotten(&self) -> bool {
        let has_nothing = self.prepared.is_none() && self.draining.is_empty() && self.maintenance.is_none();
        self.generation.is_none() && !self.lost && has_nothing
    }

    /// `None` when there is nothing of it any more.
    pub(crate) fn status(&self, key: &ServiceKey) -> Option<ServiceStatus> {
        let prepared = self.prepared.as_ref();
        let active = self.active.iter().flat_map(|active| &active.members);
        let joining = prepared.into_iter().flat_map(|prepared| &prepared.members);
        let joining = joining.filter(|member| !self.active.as_ref().is_some_and(|active| active.has(&member.target)));
        let draining = self.draining.iter().map(|drain| &drain.target);
        let targets: Vec<_> =
            active.chain(joining).map(|member| &member.target).chain(draining).map(|target| target.status()).collect();
        if self.active.is_none() && targets.is_empty() {
            return None;
        }
        Some(ServiceStatus {
            key: key.clone(),
            generation: self.generation.or(prepared.map(|prepared| prepared.spec.generation))?,
            release: self.release.or(prepared.map(|prepared| prepared.spec.release))?,
            routes: self.active.as_ref().map(|active| active.spec().routes.clone()).unwrap_or_default(),
            targets,
        })
    }

    fn known(&self, wanted: &TargetSpec) -> Option<Member> {
        let active = self.active.iter().flat_map(|active| &active.members);
        let prepared = self.prepared.iter().flat_map(|prepared| &prepared.members);
        active.chain(prepared).find(|member| is(&member.target, wanted)).cloned()
    }
}

impl Member {
    fn new(target: Arc<Target>, hold: &Arc<Hold>, plan: &ProbePlan) -> Self {
        let prober = Prober::start(Arc::clone(&target), Arc::clone(hold), plan.clone());
        Self { target, prober }
    }
}

impl Candidates {
    fn new(members: &[Member], replaced: CancellationToken) -> Self {
        Self { targets: members.iter().map(|member| Arc::clone(&member.target)).collect(), replaced }
    }

    /// Waits until all are healthy at once.
    pub(crate) async fn healthy_within(&self, deadline: Duration) -> Result<(), Refusal> {
        let all_healthy = async {
            while !self.all_healthy() {
                for target in &self.targets {
                    target.healthy().await;
                }
            }
        };
        tokio::select! {
            biased;
            () = all_healthy => Ok(()),
            () = self.replaced.cancelled() => {
                // Switched to is no reason to fail.
                if self.all_healthy() { Ok(()) } else { Err(refusal::superseded()) }
            }
            () = tokio::time::sleep(deadline) => Err(refusal::unhealthy(&self.targets, deadline)),
        }
    }

    fn all_healthy(&self) -> bool {
        self.targets.iter().all(|target| target.state() == TargetState::Healthy)
    }
}

fn is(target: &Target, wanted: &TargetSpec) -> bool {
    target.name == wanted.name && target.address == wanted.address
}
