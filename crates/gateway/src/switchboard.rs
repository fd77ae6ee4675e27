//! What the gateway knows, and the only place that changes it: the table that the workers read, the snapshot and the
//! targets' probers and drains move together or not at all.

mod certificates;
mod maintenance;
mod succession;

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwap;
use futures_util::future::select_all;
use jiff::Timestamp;
use tokio::sync::{Mutex, Notify, watch};
use windlass_core::gateway::{
    AwaitAiling, AwaitDrained, Discard, Drained, GatewayStatus, MaintenanceStatus, Prepare, Prepared, Remove, Route,
    ServiceKey, ServiceSpec, ServiceStatus, SetMaintenance, Switch, Switched, TargetStatus,
};

use crate::certificates::Certificates;
use crate::drain::Drain;
use crate::entry::{Active, Admission, Entry, Member};
use crate::lineage::{Order, Predecessors, Whereabouts};
use crate::meters::Meters;
use crate::refusal::{self, Refusal};
use crate::router::Table;
use crate::service::Service;
use crate::snapshot::{Lost, Removed, Snapshot, SnapshotFile};
use crate::spec;
use crate::target::Target;

/// One per gateway.
#[derive(Debug)]
pub(crate) struct Switchboard {
    table: Arc<ArcSwap<Table>>,
    /// `None`: somebody else ends TLS.
    certificates: Option<Arc<Certificates>>,
    snapshot: SnapshotFile,
    entries: Mutex<BTreeMap<ServiceKey, Entry>>,
    meters: Option<Arc<Meters>>,
    changes: watch::Sender<Changes>,
    pub(crate) predecessors: Arc<Predecessors>,
    /// A target that was left to a successor has nothing under way any more.
    one_ended: Arc<Notify>,
    this: Weak<Self>,
}

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Changes {
    /// At once.
    Made,
    /// A successor reads the snapshot, and may fail yet: changes wait for what becomes of it.
    Wait,
    /// Not any more: a successor has read the snapshot, or is about to.
    Refused,
}

impl Switchboard {
    /// Serves what the snapshot knows. Nobody can say how its targets are before they were asked: they get requests.
    pub(crate) fn restore(
        table: Arc<ArcSwap<Table>>,
        certificates: Option<Arc<Certificates>>,
        file: SnapshotFile,
        stored: Snapshot,
        meters: Option<Arc<Meters>>,
    ) -> Arc<Self> {
        let mut entries: BTreeMap<ServiceKey, Entry> = BTreeMap::new();
        for said in stored.maintenance {
            let key = said.key.clone();
            entries.entry(key).or_default().maintenance = Some(said);
        }
        for spec in stored.services {
            let entry = entries.entry(spec.key.clone()).or_default();
            entry.generation = Some(spec.generation);
            entry.release = Some(spec.release);
            let members = entry.gather(&spec);
            entry.active = Some(activate(spec, members, entry, meters.as_deref()));
        }
        for Lost { key, generation } in stored.lost {
            let entry = entries.entry(key).or_default();
            (entry.lost, entry.generation) = (true, generation);
        }
        for Removed { key, generation, at } in stored.removed {
            let entry = entries.entry(key).or_default();
            entry.generation = Some(generation);
            entry.removed_at = at.or_else(|| Some(Timestamp::now()));
        }
        forget_long_gone(&mut entries);
        if let Some(certificates) = &certificates {
            certificates.serve(routes_of(&entries));
        }
        table.store(Arc::new(table_of(&entries)));
        Arc::new_cyclic(|this| Self {
            table,
            certificates,
            snapshot: file,
            entries: Mutex::new(entries),
            meters,
            changes: watch::Sender::new(Changes::Made),
            predecessors: Arc::default(),
            one_ended: Arc::default(),
            this: this.clone(),
        })
    }

    pub(crate) async fn prepare(&self, request: Prepare) -> Result<Prepared, Refusal> {
        let spec = spec::checked(request.service)?;
        let candidates = {
            let mut entries = self.entries.lock().await;
            let entry = entries.entry(spec.key.clone()).or_default();
            entry.admit(&spec)?;
            entry.prepare(&spec)?
        };
        candidates.healthy_within(request.deadline.0).await.map_err(|refusal| self.or_stopping(refusal))?;
        Ok(Prepared { targets: candidates.targets.iter().map(|target| target.status()).collect() })
    }

    pub(crate) async fn switch(&self, request: Switch) -> Result<Switched, Refusal> {
        let spec = spec::checked(request.service)?;
        if !request.unchecked {
            self.wait_for_new(&spec, request.deadline.0).await?;
        }
        // A task of its own: a client that goes away does not stop it between the snapshot and the table.
        self.unstoppable(|board| async move { board.install(spec).await }).await
    }

    pub(crate) async fn remove(&self, request: Remove) -> Result<(), Refusal> {
        self.unstoppable(|board| async move { board.uninstall(request).await }).await
    }

    pub(crate) async fn discard(&self, request: Discard) {
        let mut entries = self.entries.lock().await;
        let Some(entry) = entries.get_mut(&request.key) else { return };
        entry.prepared.take_if(|prepared| prepared.spec.generation == request.generation);
        if entry.is_forgotten() {
            entries.remove(&request.key);
        }
    }

    pub(crate) async fn drained(&self, request: AwaitDrained) -> Result<Drained, Refusal> {
        let mut cut = 0;
        let mut outcomes = Vec::new();
        self.predecessors.settled().await;
        {
            let entries = self.entries.lock().await;
            let Some(entry) = entries.get(&request.key) else { return Ok(Drained { cut }) };
            for name in &request.targets {
                if entry.serves(name) {
                    return Err(refusal::in_use(name));
                }
                outcomes.extend(entry.draining.iter().filter(|drain| drain.target.name == *name).map(Drain::outcome));
                cut += entry.cut.get(name).copied().unwrap_or_default();
            }
        }
        for outcome in outcomes {
            cut += outcome.wait().await.ok_or_else(|| refusal::in_use("one of them"))?;
        }
        Ok(Drained { cut })
    }

    pub(crate) async fn ailing(&self, request: AwaitAiling) -> Result<TargetStatus, Refusal> {
        let AwaitAiling { key, targets, every } = request;
        let watched = {
            let entries = self.entries.lock().await;
            let serving = entries.get(&key).map(|entry| entry.serving(&targets)).unwrap_or_default();
            if serving.len() < targets.len() || targets.is_empty() {
                return Err(refusal::not_serving(&key));
            }
            serving
        };
        let ailing = watched.iter().map(|target| Box::pin(target.ailing(every.0)));
        let ((), place, _) = select_all(ailing).await;
        Ok(watched[place].status())
    }

    pub(crate) async fn status(&self) -> GatewayStatus {
        let entries = self.entries.lock().await;
        let mut services: Vec<ServiceStatus> = entries.iter().filter_map(|(key, entry)| entry.status(key)).collect();
        for ServiceStatus { key, targets, .. } in &mut services {
            for target in targets {
                let (key, name, address) = (key.clone(), target.name.clone(), target.address);
                target.in_flight += self.predecessors.under_way(&Whereabouts { key, name, address });
            }
        }
        let lost = entries.iter().filter(|(_, entry)| entry.lost).map(|(key, _)| key.clone()).collect();
        let gone = entries.iter().filter(|(_, entry)| entry.active.is_none() && !entry.lost);
        let certificates = self.certificates.as_ref().map(|certificates| certificates.status()).unwrap_or_default();
        let removed = gone.filter_map(|(key, entry)| Some((key.clone(), entry.generation?))).collect();
        let said = entries.iter().filter_map(|(key, entry)| Some((key, entry.maintenance.as_ref()?)));
        let told = |said: &SetMaintenance| MaintenanceStatus { number: said.number, is_on: said.maintenance.is_some() };
        GatewayStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            services,
            removed,
            lost,
            certificates,
            maintenance: said.map(|(key, said)| (key.clone(), told(said))).collect(),
        }
    }

    /// Called by the drain itself, when all requests have ended or its time is over.
    pub(crate) async fn finish_drain(&self, key: &ServiceKey, target: &Arc<Target>) {
        let mut entries = self.entries_in_peace().await;
        let Some(entry) = entries.get_mut(key) else { return };
        let Some(place) = entry.draining.iter().position(|drain| drain.target.id == target.id) else { return };
        let elsewhere = self.predecessors.cut(&target.whereabouts(key)).await;
        let cut = entry.draining.swap_remove(place).finish(elsewhere);
        if cut > 0 {
            entry.cut.insert(target.name.clone(), cut);
            tracing::warn!(service.key = %key, target.name = target.name, requests.cut = cut, "drain's time is over");
        } else {
            tracing::info!(service.key = %key, target.name = target.name, "target drained");
        }
    }

    async fn wait_for_new(&self, spec: &ServiceSpec, deadline: Duration) -> Result<(), Refusal> {
        let candidates = {
            let mut entries = self.entries.lock().await;
            let entry = entries.entry(spec.key.clone()).or_default();
            if entry.admit(spec)? == Admission::Done {
                return Ok(());
            }
            let mut candidates = entry.prepare(spec)?;
            if let Some(active) = &entry.active {
                candidates.targets.retain(|target| !active.has(target));
            }
            candidates
        };
        candidates.healthy_within(deadline).await.map_err(|refusal| self.or_stopping(refusal))
    }

    async fn install(&self, spec: ServiceSpec) -> Result<Switched, Refusal> {
        let mut entries = self.entries_to_change().await?;
        refuse_taken_routes(&entries, &spec)?;
        forget_long_gone(&mut entries);
        let entry = entries.entry(spec.key.clone()).or_default();
        if entry.admit(&spec)? == Admission::Done {
            return Ok(Switched { draining: entry.draining_names() });
        }
        // First the disk, then the traffic: what cannot be recorded has never happened.
        self.snapshot.store(&snapshot_of(&entries, &spec.key, Some(&spec))).await.map_err(|e| refusal::snapshot(&e))?;

        let key = spec.key.clone();
        let entry = entries.entry(key.clone()).or_default();
        let drain = spec.drain.0;
        let (members, told) = (entry.gather(&spec), spec.clone());
        entry.generation = Some(spec.generation);
        entry.removed_at = None;
        entry.lost = false;
        entry.release = Some(spec.release);
        entry.cut.clear();
        tracing::info!(
            service.key = %key, service.generation = %spec.generation, service.release = %spec.release,
            targets = members.len(), "switched"
        );
        let replaced = entry.active.take();
        let active = activate(spec, members, entry, self.meters.as_deref());
        let generation = active.spec().generation;
        entry.prepared.take_if(|prepared| prepared.spec.generation <= generation);
        let kept: Vec<_> = active.members.iter().map(|member| member.target.id).collect();
        entry.active = Some(active);
        self.predecessors.tell(Order::serve(told)).await;
        // Before anybody is sent there by the table.
        self.certify(&entries);
        // The old targets stop only after the last look at the table that could lead to them.
        self.table.store(Arc::new(table_of(&entries)));
        let entry = entries.entry(key.clone()).or_default();
        entry.hold.wake();
        for member in replaced.into_iter().flat_map(|active| active.members) {
            if !kept.contains(&member.target.id) {
                entry.draining.push(self.drain(key.clone(), member.target, drain));
            }
        }
        Ok(Switched { draining: entry.draining_names() })
    }

    async fn uninstall(&self, request: Remove) -> Result<(), Refusal> {
        let Remove { key, generation } = request;
        let mut entries = self.entries_to_change().await?;
        forget_long_gone(&mut entries);
        let entry = entries.entry(key.clone()).or_default();
        if let Some(newest) = entry.generation.filter(|newest| *newest > generation) {
            return Err(refusal::older(&key, generation, newest));
        }
        let before = entry.generation.replace(generation);
        if before == Some(generation) && entry.active.is_none() {
            return Ok(());
        }
        let removed_before = entry.removed_at.replace(Timestamp::now());
        if let Err(error) = self.snapshot.store(&snapshot_of(&entries, &key, None)).await {
            let entry = entries.entry(key).or_default();
            (entry.generation, entry.removed_at) = (before, removed_before);
            return Err(refusal::snapshot(&error));
        }

        let entry = entries.entry(key.clone()).or_default();
        entry.prepared.take_if(|prepared| prepared.spec.generation <= generation);
        entry.cut.clear();
        entry.lost = false;
        let removed = entry.active.take();
        self.predecessors.tell(Order::forget(key.clone())).await;
        self.table.store(Arc::new(table_of(&entries)));
        self.certify(&entries);
        tracing::info!(service.key = %key, service.generation = %generation, "removed");
        let entry = entries.entry(key.clone()).or_default();
        entry.hold.wake();
        if let Some(active) = removed {
            let drain = active.spec().drain.0;
            for member in active.members {
                entry.draining.push(self.drain(key.clone(), member.target, drain));
            }
        }
        Ok(())
    }

    fn certify(&self, entries: &BTreeMap<ServiceKey, Entry>) {
        if let Some(certificates) = &self.certificates {
            certificates.serve(routes_of(entries));
        }
    }

    fn drain(&self, key: ServiceKey, target: Arc<Target>, time: Duration) -> Drain {
        Drain::start(self.this.clone(), Arc::clone(&self.predecessors), key, target, time)
    }

    async fn unstoppable<T: Send + 'static, F: Future<Output = Result<T, Refusal>> + Send + 'static>(
        &self,
        work: impl FnOnce(Arc<Self>) -> F,
    ) -> Result<T, Refusal> {
        let board = self.this.upgrade().ok_or_else(refusal::stopping)?;
        tokio::spawn(work(board)).await.unwrap_or_else(|_| Err(refusal::stopping()))
    }
}

fn activate(spec: ServiceSpec, members: Vec<Member>, entry: &Entry, meters: Option<&Meters>) -> Active {
    members.iter().for_each(|member| member.target.admit());
    let targets = members.iter().map(|member| Arc::clone(&member.target)).collect();
    let meters = meters.map(|meters| meters.of(&spec)).unwrap_or_default();
    let maintenance = entry.maintenance.as_ref().and_then(|said| said.maintenance.clone());
    let service = Service::new(spec, targets, Arc::clone(&entry.hold)).maintained(maintenance).counted(meters);
    Active { service: Arc::new(service), members }
}

fn table_of(entries: &BTreeMap<ServiceKey, Entry>) -> Table {
    Table::new(entries.values().filter_map(|entry| entry.active.as_ref()).map(|active| &active.service))
}

fn routes_of(entries: &BTreeMap<ServiceKey, Entry>) -> impl Iterator<Item = &Route> {
    entries.values().filter_map(|entry| entry.active.as_ref()).flat_map(|active| &active.spec().routes)
}

/// What was taken away long ago needs no memory: neither here nor in the snapshot.
fn forget_long_gone(entries: &mut BTreeMap<ServiceKey, Entry>) {
    let now = Timestamp::now();
    entries.retain(|_, entry| !entry.is_long_gone(now));
}

/// What is known, with one service as it is going to be.
fn snapshot_of(entries: &BTreeMap<ServiceKey, Entry>, key: &ServiceKey, next: Option<&ServiceSpec>) -> Snapshot {
    let specs = entries.iter().filter(|(other, _)| *other != key).filter_map(|(_, entry)| entry.active.as_ref());
    let services: Vec<ServiceSpec> = specs.map(Active::spec).chain(next).cloned().collect();
    let removed = entries
        .iter()
        .filter(|(other, entry)| if *other == key { next.is_none() } else { entry.active.is_none() && !entry.lost })
        .filter_map(|(key, entry)| {
            Some(Removed { key: key.clone(), generation: entry.generation?, at: entry.removed_at })
        })
        .collect();
    let maintenance = entries.values().filter_map(|entry| entry.maintenance.clone()).collect();
    Snapshot::new(services, removed, maintenance)
}

fn refuse_taken_routes(entries: &BTreeMap<ServiceKey, Entry>, spec: &ServiceSpec) -> Result<(), Refusal> {
    let others = entries.iter().filter(|(key, _)| **key != spec.key).filter_map(|(_, entry)| entry.active.as_ref());
    for other in others {
        if let Some(route) =
            spec.routes.iter().find(|route| other.spec().routes.iter().any(|it| it.place() == route.place()))
        {
            return Err(refusal::route_taken(route, &other.spec().key));
        }
    }
    Ok(())
}
