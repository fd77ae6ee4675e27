//! The counters that requests move: found once, when a service or its table of routes is made, and plain atomics from then
//! on.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::StatusCode;
use windlass_core::gateway::{ServiceKey, ServiceSpec};
use windlass_core::names::ReleaseNumber;

/// What a status begins with; the last is for requests that got no answer.
pub(crate) const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "none"];
/// Upper bounds, in microseconds; above the last there is one more bucket.
pub(crate) const BOUNDS: [u64; 14] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000, 10_000_000,
    60_000_000,
];
/// A route that nothing serves any more is shown so often, so that whoever collects has its last numbers.
const SHOWN_AFTER_ITS_END: u32 = 10;

/// Of all that is served.
#[derive(Debug, Default)]
pub(crate) struct Meters {
    routes: Mutex<BTreeMap<RouteKey, Metered<RouteMeter>>>,
    latencies: Mutex<BTreeMap<ServiceKey, Metered<Latency>>>,
    unrouted: Arc<RouteMeter>,
}

/// What the numbers of a route are told apart by: the route's own host and path, never a request's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RouteKey {
    pub(crate) service: ServiceKey,
    pub(crate) host: String,
    pub(crate) path: String,
    pub(crate) release: ReleaseNumber,
}

/// One route of one release.
#[derive(Debug, Default)]
pub(crate) struct RouteMeter {
    by_class: [AtomicU64; CLASSES.len()],
    sent: AtomicU64,
    latency: Arc<Latency>,
}

/// How long a service's targets took to the first byte.
#[derive(Debug, Default)]
pub(crate) struct Latency {
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// Of all, in microseconds.
    sum: AtomicU64,
}

#[derive(Debug)]
struct Metered<T> {
    meter: Arc<T>,
    shown_after_its_end: u32,
}

impl Meters {
    /// Of a service's routes, in their order. Those that count already go on.
    pub(crate) fn of(&self, spec: &ServiceSpec) -> Vec<Arc<RouteMeter>> {
        let latency = {
            let mut latencies = locked(&self.latencies);
            Arc::clone(&latencies.entry(spec.key.clone()).or_insert_with(|| Metered::new(Latency::default())).meter)
        };
        let mut routes = locked(&self.routes);
        let of_route = |route: &windlass_core::gateway::Route| {
            let key = RouteKey {
                service: spec.key.clone(),
                host: route.host.clone(),
                path: route.path.clone(),
                release: spec.release,
            };
            let new = || Metered::new(RouteMeter { latency: Arc::clone(&latency), ..RouteMeter::default() });
            Arc::clone(&routes.entry(key).or_insert_with(new).meter)
        };
        spec.routes.iter().map(of_route).collect()
    }

    /// For what no route matches.
    pub(crate) fn unrouted(&self) -> &Arc<RouteMeter> {
        &self.unrouted
    }

    pub(crate) fn routes(&self) -> Vec<(RouteKey, Arc<RouteMeter>)> {
        shown(&mut locked(&self.routes))
    }

    pub(crate) fn latencies(&self) -> Vec<(ServiceKey, Arc<Latency>)> {
        shown(&mut locked(&self.latencies))
    }
}

impl<T> Metered<T> {
    fn new(meter: T) -> Self {
        Self { meter: Arc::new(meter), shown_after_its_end: 0 }
    }
}

/// All of them; forgets what nobody has had for a while.
fn shown<K: Ord + Clone, T>(meters: &mut BTreeMap<K, Metered<T>>) -> Vec<(K, Arc<T>)> {
    meters.retain(|_, metered| {
        let is_used = Arc::strong_count(&metered.meter) > 1;
        metered.shown_after_its_end = if is_used { 0 } else { metered.shown_after_its_end + 1 };
        metered.shown_after_its_end <= SHOWN_AFTER_ITS_END
    });
    meters.iter().map(|(key, metered)| (key.clone(), Arc::clone(&metered.meter))).collect()
}

impl RouteMeter {
    /// `None`: the client has gone before there was one.
    pub(crate) fn answered(&self, status: Option<StatusCode>) {
        let last = CLASSES.len() - 1;
        let class = status.map_or(last, |status| usize::from(status.as_u16() / 100).saturating_sub(1).min(last));
        self.by_class[class].fetch_add(1, Ordering::Relaxed);
    }

    /// The app's first byte is there.
    pub(crate) fn first_byte(&self, after: Duration) {
        let micros = u64::try_from(after.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.partition_point(|bound| *bound < micros);
        self.latency.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.latency.sum.fetch_add(micros, Ordering::Relaxed);
    }

    pub(crate) fn sent(&self, bytes: u64) {
        self.sent.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn requests(&self) -> [u64; CLASSES.len()] {
        self.by_class.each_ref().map(|count| count.load(Ordering::Relaxed))
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

impl Latency {
    /// How many in each bucket, and all of their seconds together.
    pub(crate) fn read(&self) -> ([u64; BOUNDS.len() + 1], f64) {
        let buckets = self.buckets.each_ref().map(|count| count.load(Ordering::Relaxed));
        (buckets, Duration::from_micros(self.sum.load(Ordering::Relaxed)).as_secs_f64())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::service::testing::service;

    #[test]
    fn a_route_counts_on_while_its_release_serves_and_is_forgotten_a_while_after() {
        let meters = Meters::default();
        let spec = service("shop", &[("shop.test", "/"), ("shop.test", "/api")]).spec.clone();
        let first = meters.of(&spec);
        first[0].answered(Some(StatusCode::OK));
        let again = meters.of(&spec);
        assert!(Arc::ptr_eq(&first[0], &again[0]) && !Arc::ptr_eq(&first[0], &first[1]));
        drop((first, again));
        for _ in 0..SHOWN_AFTER_ITS_END {
            assert_eq!(meters.routes().len(), 2);
        }
        assert_eq!(meters.routes().len(), 0);
        assert_eq!(meters.of(&spec)[0].requests(), [0; CLASSES.len()]);
    }

    #[test]
    fn what_took_as_long_as_a_bound_is_in_its_bucket() {
        let meter = RouteMeter::default();
        for micros in [0, 500, 501, 60_000_000, 60_000_001] {
            meter.first_byte(Duration::from_micros(micros));
        }
        let (buckets, sum) = meter.latency.read();
        assert_eq!((buckets[0], buckets[1], buckets[13], buckets[14]), (2, 1, 1, 1));
        assert!((sum - 120.001_002).abs() < 1e-9, "{sum}");
    }
}
