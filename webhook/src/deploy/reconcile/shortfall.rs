//! What a host is short of: what it should run and does not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use windlass_core::gateway::{GatewayStatus, ServiceStatus, SetMaintenance, Target, TargetState, TargetStatus};
use windlass_core::names::HostName;
use windlass_core::plan::HostService;
use windlass_core::task::{TaskSpec, TaskStatus};
use windlass_engine::{FoundContainer, Host};

use super::pauses::Pauses;
use super::should_run::ShouldRun;

/// How long a host may take to show what it runs.
pub(super) const LOOK: Duration = Duration::from_secs(10);

/// What is not as it should be on a host.
#[derive(Debug, Default)]
pub(super) struct Shortfall<'a> {
    /// There is no such container.
    pub(super) missing: Vec<&'a TaskSpec>,
    /// It is there and does not run.
    pub(super) ended: Vec<&'a TaskSpec>,
    /// It runs, but Docker would not start it again.
    pub(super) loose: Vec<&'a TaskSpec>,
    /// What the gateway should know.
    pub(super) routes: Vec<Misrouted<'a>>,
    /// What the gateway has not heard of apps that are kept from their clients.
    pub(super) unheard: Vec<Unheard<'a>>,
    /// Who did not answer, and why.
    silent: Vec<(String, String)>,
}

/// A word about an app's maintenance that a host's gateway has not heard.
#[derive(Debug)]
pub(super) struct Unheard<'a> {
    host: &'a HostName,
    pub(super) said: &'a SetMaintenance,
}

/// A service that a gateway does not have as it should.
#[derive(Debug)]
pub(super) struct Misrouted<'a> {
    pub(super) service: &'a HostService,
    /// Where it should be sent.
    pub(super) targets: Vec<Target>,
    pub(super) how: Mistake,
}

/// How wrong it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mistake {
    /// It sends to where a task was that does not run there any more: whoever may have that address now gets nothing.
    NobodyIsThere,
    /// Somebody healthy has the traffic, the right one or not: it moves once the right ones are healthy.
    SomebodyServes,
    /// Nobody healthy has it: it cannot become worse.
    NobodyServes,
}

/// Looks at a host. Whoever does not answer lacks nothing as far as is known.
pub(super) async fn look<'a>(
    name: &HostName,
    host: &Host,
    should_run: &'a ShouldRun,
    patience: Duration,
) -> Shortfall<'a> {
    let silent =
        |who: &str, why: String| Shortfall { silent: vec![(format!("{who} {name}"), why)], ..Shortfall::default() };
    let found = match tokio::time::timeout(patience, find(host, should_run)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return silent("engine", error.to_string()),
        Err(_) => return silent("engine", format!("the engine gave no answer within {}s", patience.as_secs())),
    };
    let Some(gateway) = host.gateway.as_ref().filter(|_| !should_run.services.is_empty()) else {
        return shortfall(should_run, &found, None);
    };
    let no_word =
        |why: String| Shortfall { silent: silent("gateway", why).silent, ..shortfall(should_run, &found, None) };
    match tokio::time::timeout(patience, gateway.status()).await {
        Ok(Ok(status)) => shortfall(should_run, &found, Some(&status)),
        Ok(Err(error)) => no_word(error.to_string()),
        Err(_) => no_word(format!("the gateway gave no answer within {}s", patience.as_secs())),
    }
}

async fn find<'a>(
    host: &Host,
    should_run: &'a ShouldRun,
) -> Result<BTreeMap<&'a str, FoundContainer>, windlass_engine::EngineError> {
    let mut found = BTreeMap::new();
    for task in &should_run.tasks {
        if let Some(container) = host.engine.find_task(&task.name).await? {
            found.insert(task.name.as_str(), container);
        }
    }
    Ok(found)
}

/// Without a gateway's word its routes are left as they are.
pub(super) fn shortfall<'a>(
    should_run: &'a ShouldRun,
    found: &BTreeMap<&str, FoundContainer>,
    gateway: Option<&GatewayStatus>,
) -> Shortfall<'a> {
    let mut shortfall = Shortfall::default();
    for task in &should_run.tasks {
        match found.get(task.name.as_str()) {
            None => shortfall.missing.push(task),
            Some(FoundContainer { task: container, kept }) => match container.status {
                TaskStatus::Pending | TaskStatus::Stopped => shortfall.ended.push(task),
                TaskStatus::Provisioning | TaskStatus::Activating | TaskStatus::Running if !kept => {
                    shortfall.loose.push(task);
                }
                // Docker is at it: an event tells what becomes of it.
                _ => {}
            },
        }
    }
    if let Some(status) = gateway {
        shortfall.unheard = unheard(should_run, status).collect();
        shortfall.routes = should_run.services.iter().filter_map(|service| misrouted(service, found, status)).collect();
    }
    shortfall
}

/// That nothing is kept is nothing to tell one that never knew of it.
fn unheard<'a>(should_run: &'a ShouldRun, status: &GatewayStatus) -> impl Iterator<Item = Unheard<'a>> {
    should_run.maintenance.iter().filter_map(|said| {
        let known = status.maintenance.get(&said.key);
        let is_unheard = known.map_or(said.maintenance.is_some(), |known| known.number < said.number);
        let service = should_run.services.iter().find(|service| is_unheard && service.key == said.key)?;
        Some(Unheard { host: &service.host, said })
    })
}

fn misrouted<'a>(
    service: &'a HostService,
    found: &BTreeMap<&str, FoundContainer>,
    status: &GatewayStatus,
) -> Option<Misrouted<'a>> {
    let address = |name: &String| found.get(name.as_str()).and_then(|found| found.task.address);
    let target = |name: &String| Some(Target { name: name.clone(), address: (address(name)?, service.port).into() });
    let targets: Vec<Target> = service.targets.iter().filter_map(target).collect();
    let wanted: BTreeSet<_> = targets.iter().map(|target| (target.name.as_str(), target.address)).collect();
    let known = status.services.iter().find(|known| known.key == service.key);
    if let Some(left) = known.and_then(|known| without_the_dead(known, service, &targets)) {
        return Some(Misrouted { service, targets: left, how: Mistake::NobodyIsThere });
    }
    // Nobody to send to is nothing to tell.
    if wanted.is_empty() {
        return None;
    }
    let Some(known) = known else {
        return Some(Misrouted { service, targets, how: Mistake::NobodyServes });
    };
    let serving: BTreeSet<_> = known
        .targets
        .iter()
        .filter(|target| matches!(target.state, TargetState::Healthy | TargetState::Unhealthy))
        .map(|target| (target.name.as_str(), target.address))
        .collect();
    if serving == wanted && is_same_release(known, service) {
        return None;
    }
    let healthy = known.targets.iter().any(|target| target.state == TargetState::Healthy);
    let how = if healthy { Mistake::SomebodyServes } else { Mistake::NobodyServes };
    Some(Misrouted { service, targets, how })
}

/// The targets that are left when those go that the engine does not have there: `None` when all are there. Their
/// addresses may be anybody's by now, a container's that listens on the same port among them.
fn without_the_dead(known: &ServiceStatus, service: &HostService, alive: &[Target]) -> Option<Vec<Target>> {
    if known.release != service.release {
        return None;
    }
    let serving = || {
        let states = [TargetState::Healthy, TargetState::Unhealthy];
        known.targets.iter().filter(move |target| states.contains(&target.state))
    };
    let is_alive = |target: &TargetStatus| {
        !service.targets.contains(&target.name)
            || alive.iter().any(|alive| alive.name == target.name && alive.address == target.address)
    };
    if serving().all(is_alive) {
        return None;
    }
    let left = serving().filter(|target| is_alive(target));
    Some(left.map(|target| Target { name: target.name.clone(), address: target.address }).collect())
}

fn is_same_release(known: &ServiceStatus, service: &HostService) -> bool {
    let routes = |routes: &[windlass_core::gateway::Route]| routes.iter().cloned().collect::<BTreeSet<_>>();
    known.release == service.release && routes(&known.routes) == routes(&service.routes)
}

impl Shortfall<'_> {
    /// Whether something can be done now.
    pub(super) fn is_due(&self, pauses: &Pauses, now: Instant) -> bool {
        self.tries().any(|what| pauses.left(&what, now).is_zero())
    }

    /// How long until something can be done, if anything is to be done.
    pub(super) fn pause(&self, pauses: &Pauses, now: Instant) -> Option<Duration> {
        self.tries().chain(self.silent().map(|(who, _)| who)).map(|what| pauses.left(&what, now)).min()
    }

    pub(super) fn silent(&self) -> impl Iterator<Item = (String, String)> {
        self.silent.iter().cloned()
    }

    fn tries(&self) -> impl Iterator<Item = String> {
        let tasks = self.missing.iter().chain(&self.ended).chain(&self.loose).map(|task| try_of_task(task));
        let unheard = self.unheard.iter().map(try_of_maintenance);
        tasks.chain(self.routes.iter().map(try_of_route)).chain(unheard)
    }
}

/// Under which an engine's silence is kept.
pub(super) fn who_is_silent(name: &HostName) -> String {
    format!("engine {name}")
}

/// Under which its pauses are kept.
pub(super) fn try_of_task(task: &TaskSpec) -> String {
    format!("task {}/{}", task.host, task.name)
}

/// Under which its pauses are kept.
pub(super) fn try_of_route(route: &Misrouted<'_>) -> String {
    let what = if route.how == Mistake::NobodyIsThere { "dead targets" } else { "route" };
    format!("{what} {}/{}", route.service.host, route.service.key)
}

/// Under which its pauses are kept.
pub(super) fn try_of_maintenance(unheard: &Unheard<'_>) -> String {
    let Unheard { host, said } = unheard;
    format!("maintenance {host}/{} {}", said.key, said.number)
}

#[cfg(test)]
mod tests {
    use windlass_core::gateway::{AppProtocol, Hold, Probe, Route, ServiceKey, TargetStatus};
    use windlass_core::names::{Generation, ReleaseNumber};
    use windlass_core::quantity;
    use windlass_core::task::{ObservedTask, TaskHealth};

    use super::*;
    use crate::scene::task;

    fn route() -> Route {
        Route::new("shop.example.com", "/")
    }

    /// Two tasks that are routed to.
    fn should_run() -> ShouldRun {
        let second = quantity::Duration::from_secs(1);
        let service = HostService {
            host: "a".parse().unwrap(),
            key: ServiceKey("7/production/default".to_owned()),
            generation: Generation(4),
            release: ReleaseNumber(3),
            routes: vec![route()],
            targets: vec!["one".to_owned(), "two".to_owned()],
            port: 3000,
            probe: Probe { path: None, interval: second, timeout: second },
            deadline: second,
            drain: second,
            hold: Hold { requests: 1, time: second },
            https: false,
            protocol: AppProtocol::Http1,
            hsts: None,
        };
        ShouldRun { tasks: vec![task("one"), task("two")], services: vec![service], maintenance: Vec::new() }
    }

    fn found(name: &str, status: TaskStatus, address: u8) -> FoundContainer {
        let spec = task(name);
        let task = ObservedTask {
            host: spec.host,
            container: String::new(),
            name: spec.name,
            labels: spec.labels,
            status,
            health: TaskHealth::Unknown,
            address: status.is_alive().then(|| [10, 0, 0, address].into()),
            started: None,
            stopped: None,
            exit: None,
        };
        FoundContainer { task, kept: true }
    }

    fn both() -> BTreeMap<&'static str, FoundContainer> {
        [("one", found("one", TaskStatus::Running, 1)), ("two", found("two", TaskStatus::Running, 2))].into()
    }

    /// A gateway that sends to these targets.
    fn gateway(targets: &[(&str, u8, TargetState)]) -> GatewayStatus {
        let targets = targets.iter().map(|(name, address, state)| TargetStatus {
            name: (*name).to_owned(),
            address: ([10, 0, 0, *address], 3000).into(),
            state: *state,
            in_flight: 0,
            last_probe: None,
        });
        let service = ServiceStatus {
            key: ServiceKey("7/production/default".to_owned()),
            generation: Generation(9),
            release: ReleaseNumber(3),
            routes: vec![route()],
            targets: targets.collect(),
        };
        GatewayStatus {
            version: String::new(),
            services: vec![service],
            removed: BTreeMap::new(),
            lost: Vec::new(),
            certificates: Vec::new(),
            maintenance: BTreeMap::new(),
        }
    }

    const BOTH: [(&str, u8, TargetState); 2] = [("one", 1, TargetState::Healthy), ("two", 2, TargetState::Unhealthy)];

    fn mistake(found: &BTreeMap<&str, FoundContainer>, status: &GatewayStatus) -> Option<Mistake> {
        let should_run = should_run();
        shortfall(&should_run, found, Some(status)).routes.first().map(|route| route.how)
    }

    #[test]
    fn nothing_is_done_when_all_is_well() {
        let should_run = should_run();
        let shortfall = shortfall(&should_run, &both(), Some(&gateway(&BOTH)));
        assert_eq!(shortfall.tries().count(), 0, "{shortfall:?}");
        assert_eq!(shortfall.pause(&Pauses::default(), Instant::now()), None);
    }

    #[test]
    fn each_task_lacks_what_it_lacks_and_what_docker_is_at_is_left_to_it() {
        let should_run = should_run();
        let mut seen = both();
        seen.remove("one");
        seen.insert("two", found("two", TaskStatus::Stopped, 2));
        let shortfalls = shortfall(&should_run, &seen, None);
        assert_eq!((shortfalls.missing.len(), shortfalls.ended.len(), shortfalls.loose.len()), (1, 1, 0));
        assert!(shortfalls.is_due(&Pauses::default(), Instant::now()));

        seen.insert("one", FoundContainer { kept: false, ..found("one", TaskStatus::Running, 1) });
        seen.insert("two", found("two", TaskStatus::Activating, 2));
        let shortfalls = shortfall(&should_run, &seen, None);
        assert_eq!((shortfalls.missing.len(), shortfalls.ended.len(), shortfalls.loose.len()), (0, 0, 1));
    }

    #[test]
    fn a_gateway_that_has_forgotten_a_service_or_has_another_release_of_it_gets_it_again() {
        let nothing = GatewayStatus {
            version: String::new(),
            services: Vec::new(),
            removed: BTreeMap::new(),
            lost: Vec::new(),
            certificates: Vec::new(),
            maintenance: BTreeMap::new(),
        };
        assert_eq!(mistake(&both(), &nothing), Some(Mistake::NobodyServes));
        let mut older = gateway(&BOTH);
        older.services[0].release = ReleaseNumber(2);
        assert_eq!(mistake(&both(), &older), Some(Mistake::SomebodyServes), "it serves until the right one can");
        let mut elsewhere = gateway(&BOTH);
        elsewhere.services[0].routes.clear();
        assert_eq!(mistake(&both(), &elsewhere), Some(Mistake::SomebodyServes));
    }

    #[test]
    fn a_gateway_that_has_not_heard_of_maintenance_is_told_and_of_what_is_over_only_one_that_knew_of_it() {
        let unheard = |known: Option<(u64, bool)>, number: u64, on: bool| {
            let mut should_run = should_run();
            let key = should_run.services[0].key.clone();
            let maintenance = on.then(windlass_core::gateway::Maintenance::default);
            let of_another = SetMaintenance { key: ServiceKey("8/x/y".to_owned()), number, maintenance: None };
            should_run.keep_from_clients(&[SetMaintenance { key: key.clone(), number, maintenance }, of_another]);
            let mut status = gateway(&BOTH);
            let known = known.map(|(number, is_on)| windlass_core::gateway::MaintenanceStatus { number, is_on });
            status.maintenance.extend(known.map(|known| (key, known)));
            let shortfall = shortfall(&should_run, &both(), Some(&status));
            assert_eq!(shortfall.unheard.len(), shortfall.tries().count());
            !shortfall.unheard.is_empty()
        };
        assert!(unheard(None, 4, true) && unheard(Some((3, false)), 4, true) && unheard(Some((3, true)), 4, false));
        assert!(!unheard(None, 4, false) && !unheard(Some((4, true)), 4, true) && !unheard(Some((5, false)), 4, true));
    }

    #[test]
    fn a_task_at_another_address_joins_when_it_is_healthy_unless_nobody_healthy_serves() {
        use TargetState::{Draining, Healthy, Joining, Unhealthy};
        let half = gateway(&[("one", 1, Healthy)]);
        assert_eq!(mistake(&both(), &half), Some(Mistake::SomebodyServes));
        let sick = gateway(&[("one", 1, Unhealthy)]);
        assert_eq!(mistake(&both(), &sick), Some(Mistake::NobodyServes));
        let joining = gateway(&[("one", 1, Healthy), ("two", 2, Joining), ("two", 9, Draining)]);
        assert_eq!(mistake(&both(), &joining), Some(Mistake::SomebodyServes));
        let none = gateway(&[("two", 9, Draining)]);
        assert_eq!(mistake(&both(), &none), Some(Mistake::NobodyServes));
    }

    #[test]
    fn rule_106_a_target_leaves_when_the_engine_says_that_its_task_is_not_there() {
        let left = |found: &BTreeMap<&str, FoundContainer>, status: &GatewayStatus| {
            let should_run = should_run();
            let shortfall = shortfall(&should_run, found, Some(status));
            let route = shortfall.routes.into_iter().find(|route| route.how == Mistake::NobodyIsThere)?;
            Some(route.targets.into_iter().map(|target| target.name).collect::<Vec<_>>())
        };
        let mut seen = both();
        assert_eq!(left(&seen, &gateway(&BOTH)), None);
        seen.insert("two", found("two", TaskStatus::Stopped, 2));
        assert_eq!(left(&seen, &gateway(&BOTH)), Some(vec!["one".to_owned()]), "it has ended");
        seen.insert("two", found("two", TaskStatus::Running, 9));
        assert_eq!(left(&seen, &gateway(&BOTH)), Some(vec!["one".to_owned()]), "it is elsewhere");
        seen.insert("two", found("two", TaskStatus::Activating, 2));
        assert_eq!(left(&seen, &gateway(&BOTH)), None, "Docker is about to start it again, and keeps its address");
        seen.remove("two");
        assert_eq!(left(&seen, &gateway(&BOTH)), Some(vec!["one".to_owned()]), "it is gone");
        seen.remove("one");
        assert_eq!(left(&seen, &gateway(&BOTH)), Some(Vec::new()), "nobody is better than anybody");
        assert_eq!(mistake(&seen, &gateway(&[])), None, "there is nobody to send to");
        let mut older = gateway(&BOTH);
        older.services[0].release = ReleaseNumber(2);
        assert_eq!(left(&seen, &older), None, "of another release nothing is known");
    }

    #[test]
    fn what_was_just_tried_waits() {
        let (should_run, pauses, now) = (should_run(), Pauses::default(), Instant::now());
        let mut seen = both();
        seen.remove("one");
        let shortfalls = shortfall(&should_run, &seen, None);
        pauses.tried(&try_of_task(&should_run.tasks[0]), now);
        assert!(!shortfalls.is_due(&pauses, now));
        assert_eq!(shortfalls.pause(&pauses, now), Some(Duration::from_secs(1)));
    }
}
