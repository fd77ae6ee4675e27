//! One app on one stage as the workers see it: what was written about it and the targets that take its requests.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use windlass_core::gateway::{Maintenance, ServiceSpec, TargetState};

use crate::hold::Hold;
use crate::meters::RouteMeter;
use crate::target::{InFlight, Target, TargetId};

/// Never changed, only replaced whole. The targets may be in its predecessor and its successor too.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) spec: ServiceSpec,
    pub(crate) targets: Vec<Arc<Target>>,
    /// Where requests wait. Lives as long as the service's key does, across its generations.
    pub(crate) hold: Arc<Hold>,
    /// The app's own pages, by status.
    pub(crate) pages: BTreeMap<u16, Bytes>,
    /// What its clients are told in its place.
    pub(crate) maintenance: Option<Maintenance>,
    /// What counts its requests, by its routes' order. Empty: nothing does.
    pub(crate) meters: Vec<Arc<RouteMeter>>,
    cursor: AtomicUsize,
}

/// Why a service has nobody for a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoTarget {
    /// The table is an old one by now: look again.
    Replaced,
    /// There is none that was not tried.
    Down,
}

impl Service {
    pub(crate) fn new(spec: ServiceSpec, targets: Vec<Arc<Target>>, hold: Arc<Hold>) -> Self {
        let pages = spec.pages.iter().map(|(status, page)| (*status, Bytes::from(page.clone()))).collect();
        Self { spec, targets, hold, pages, maintenance: None, meters: Vec::new(), cursor: AtomicUsize::new(0) }
    }

    /// Kept from its clients, where there is something to tell them.
    pub(crate) fn maintained(self, maintenance: Option<Maintenance>) -> Self {
        Self { maintenance, ..self }
    }

    /// Whose requests these count.
    pub(crate) fn counted(self, meters: Vec<Arc<RouteMeter>>) -> Self {
        Self { meters, ..self }
    }

    /// The target with the least under way, in turn among equals. One that fails its probes is asked only when no other
    /// is left: a probe may be wrong, a refused request is wrong for sure.
    pub(crate) fn pick(&self, tried: &[TargetId]) -> Result<InFlight, NoTarget> {
        let start = self.cursor.fetch_add(1, Ordering::Relaxed);
        let count = self.targets.len();
        (0..count)
            .map(|offset| &self.targets[start.wrapping_add(offset) % count])
            .filter(|target| !tried.contains(&target.id))
            .min_by_key(|target| (target.state() != TargetState::Healthy, target.in_flight()))
            .ok_or(NoTarget::Down)
            .and_then(|target| target.begin().ok_or(NoTarget::Replaced))
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use windlass_core::gateway::{AppProtocol, Hold as HoldLimits, Probe, Route, ServiceKey};
    use windlass_core::names::{Generation, ReleaseNumber};
    use windlass_core::quantity::Duration;

    use super::*;

    pub(crate) fn service(key: &str, routes: &[(&str, &str)]) -> Arc<Service> {
        service_of(key, routes.iter().map(|(host, path)| Route::new(*host, *path)).collect())
    }

    pub(crate) fn service_of(key: &str, routes: Vec<Route>) -> Arc<Service> {
        let spec = ServiceSpec {
            key: ServiceKey(key.to_owned()),
            generation: Generation(1),
            release: ReleaseNumber(1),
            routes,
            targets: Vec::new(),
            probe: Probe { path: None, interval: Duration::from_secs(1), timeout: Duration::from_secs(1) },
            drain: Duration::from_secs(1),
            hold: HoldLimits { requests: 1, time: Duration::from_secs(1) },
            https: false,
            protocol: AppProtocol::Http1,
            hsts: None,
            pages: std::collections::BTreeMap::new(),
        };
        let targets = ["a", "b", "c"]
            .map(|name| Target::new(name.to_owned(), ([127, 0, 0, 1], 1).into()))
            .into_iter()
            .map(Arc::new)
            .collect::<Vec<_>>();
        targets.iter().for_each(|target| target.admit());
        Arc::new(Service::new(spec, targets, Arc::new(Hold::default())))
    }
}

#[cfg(test)]
mod tests {
    use super::testing::service;
    use super::*;
    use crate::target::Answer;

    fn names(picked: &[InFlight]) -> Vec<&str> {
        picked.iter().map(|in_flight| in_flight.target().name.as_str()).collect()
    }

    #[test]
    fn equals_take_turns_and_the_least_busy_comes_first() {
        let service = service("shop", &[]);
        let mut busy: Vec<_> = (0..3).map(|_| service.pick(&[]).unwrap()).collect();
        let mut seen = names(&busy);
        seen.sort_unstable();
        assert_eq!(seen, ["a", "b", "c"]);
        let free = busy.remove(1);
        let name = free.target().name.clone();
        drop(free);
        assert_eq!(service.pick(&[]).unwrap().target().name, name);
    }

    #[test]
    fn an_unhealthy_target_is_asked_only_when_no_other_is_left() {
        let service = service("shop", &[]);
        for target in &service.targets[..2] {
            target.answered(&Answer::Bad("HTTP 503".to_owned()), 2);
        }
        let picked: Vec<_> = (0..5).map(|_| service.pick(&[]).unwrap()).collect();
        assert_eq!(names(&picked), ["c"; 5]);
        let healthy = service.targets[2].id;
        assert_ne!(service.pick(&[healthy]).unwrap().target().name, "c");
        let all: Vec<_> = service.targets.iter().map(|target| target.id).collect();
        assert_eq!(service.pick(&all).unwrap_err(), NoTarget::Down);
    }

    #[test]
    fn a_draining_target_takes_nothing() {
        let service = service("shop", &[]);
        service.targets.iter().for_each(|target| target.retire());
        assert_eq!(service.pick(&[]).unwrap_err(), NoTarget::Replaced);
        assert!(service.targets.iter().all(|target| target.in_flight() == 0));
    }
}
