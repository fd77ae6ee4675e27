//! How a switchboard passes from one process to the next: what it leaves, what it inherits, and what it does on its
//! successor's word.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UnixStream;
use tokio::sync::MutexGuard;
use tokio::time::Instant;
use windlass_core::gateway::{Challenge, ServiceKey, ServiceSpec, TargetState};
use windlass_core::quantity;

use super::{Changes, Switchboard, activate, table_of};
use crate::drain::Drain;
use crate::entry::Entry;
use crate::lineage::{CutBefore, DrainLeft, Ill, Offer, Order, Report, UnderWay, Whereabouts};
use crate::refusal::{self, Refusal};
use crate::target::Target;

/// For what is under way to targets of which nothing else is known.
const STRAY: Duration = Duration::from_secs(10);

impl Switchboard {
    /// Nothing is changed until it is known who goes on: the snapshot is what the successor begins with. Waits for the
    /// change that is being made.
    pub(crate) async fn pause(&self) {
        self.changes.send_if_modified(|changes| {
            let is_open = *changes == Changes::Made;
            if is_open {
                *changes = Changes::Wait;
            }
            is_open
        });
        let _entries = self.entries.lock().await;
    }

    /// Changes nothing any more. Waits for the change that is being made.
    pub(crate) async fn close(&self) {
        self.changes.send_replace(Changes::Refused);
        let _entries = self.entries.lock().await;
    }

    /// For a change: refused once it is closed.
    pub(super) async fn entries_to_change(&self) -> Result<MutexGuard<'_, BTreeMap<ServiceKey, Entry>>, Refusal> {
        self.predecessors.settled().await;
        let entries = self.entries_in_peace().await;
        if *self.changes.borrow() == Changes::Refused { Err(refusal::stopping()) } else { Ok(entries) }
    }

    /// What was prepared went with the successor, who is to be asked.
    pub(super) fn or_stopping(&self, refusal: Refusal) -> Refusal {
        if *self.changes.borrow() == Changes::Refused { refusal::stopping() } else { refusal }
    }

    /// Not while a successor reads the snapshot.
    pub(super) async fn entries_in_peace(&self) -> MutexGuard<'_, BTreeMap<ServiceKey, Entry>> {
        loop {
            // The sender is our own.
            let _ = self.changes.subscribe().wait_for(|changes| *changes != Changes::Wait).await;
            let entries = self.entries.lock().await;
            if *self.changes.borrow() != Changes::Wait {
                return entries;
            }
        }
    }

    /// It is this one that goes on.
    pub(crate) fn resume(&self) {
        self.changes.send_if_modified(|changes| {
            let waits = *changes == Changes::Wait;
            if waits {
                *changes = Changes::Made;
            }
            waits
        });
    }

    /// What is not in the snapshot.
    pub(crate) async fn offer(&self, sockets: Vec<String>) -> Offer {
        let entries = self.entries.lock().await;
        let now = Instant::now();
        let mut offer = Offer::new(sockets, self.predecessors.count());
        offer.challenges = self.asked_for();
        for (key, entry) in entries.iter() {
            offer.drains.extend(entry.draining.iter().map(|drain| DrainLeft {
                target: drain.target.whereabouts(key),
                left: quantity::Duration(drain.ends.saturating_duration_since(now)),
            }));
            offer.cuts.extend(entry.cut.iter().map(|(name, requests)| CutBefore {
                key: key.clone(),
                name: name.clone(),
                requests: *requests,
            }));
            let targets = entry.active.iter().flat_map(|active| &active.members).map(|member| &member.target);
            let ill = targets.filter(|target| target.state() == TargetState::Unhealthy);
            offer.unhealthy.extend(ill.map(|target| Ill {
                target: target.whereabouts(key),
                answer: target.last_answer().unwrap_or_default(),
            }));
        }
        offer
    }

    /// From the one before, before anybody is served. Its drains go on here; of what it sends to their targets it will tell.
    pub(crate) async fn inherit(&self, offer: &Offer) {
        self.predecessors.expect(offer.predecessors + 1);
        self.answer(offer.challenges.clone());
        let mut entries = self.entries.lock().await;
        for Ill { target, answer } in &offer.unhealthy {
            if let Some(known) = entries.get(&target.key).and_then(|entry| entry.active_at(target)) {
                known.presume_ill(answer);
            }
        }
        for DrainLeft { target, left } in &offer.drains {
            self.drain_elsewhere(&mut entries, target, left.0);
        }
        for CutBefore { key, name, requests } in &offer.cuts {
            if let Some(entry) = entries.get_mut(key) {
                entry.cut.insert(name.clone(), *requests);
            }
        }
    }

    /// Its successor serves. What drains here drains there, and the end of it is that one's to say.
    pub(crate) async fn leave_to_successor(&self) {
        let mut entries = self.entries.lock().await;
        self.changes.send_replace(Changes::Refused);
        for entry in entries.values_mut() {
            entry.prepared = None;
            let draining = std::mem::take(&mut entry.draining);
            entry.draining = draining.into_iter().map(|drain| drain.left(Arc::clone(&self.one_ended))).collect();
        }
    }

    /// One that this one has followed. All it does from now on is what this one does.
    pub(crate) async fn hear_predecessor(&self, stream: UnixStream, report: Report) {
        let visit = {
            let mut entries = self.entries.lock().await;
            for UnderWay { target, .. } in &report.under_way {
                let is_known = entries.get(&target.key).is_some_and(|entry| entry.knows(target));
                if !is_known {
                    let drain = entries.get(&target.key).and_then(|entry| entry.active.as_ref());
                    let left = drain.map_or(STRAY, |active| active.spec().drain.0);
                    self.drain_elsewhere(&mut entries, target, left);
                }
            }
            let maintenance = entries.values().filter_map(|entry| entry.maintenance.clone());
            let (served, gone): (Vec<_>, Vec<_>) = entries.iter().partition(|(_, entry)| entry.active.is_some());
            let services = served.into_iter().filter_map(|(_, entry)| Some(entry.active.as_ref()?.spec().clone()));
            let gone = gone.into_iter().map(|(key, _)| key.clone()).collect();
            let (services, maintenance) = (services.collect(), maintenance.collect());
            self.predecessors.welcome(report, Order { services, gone, maintenance, ..Order::answer(self.asked_for()) })
        };
        visit.last(stream).await;
    }

    /// What this one, which was followed, still has under way.
    pub(crate) async fn report(&self, obeyed: u64, cut: u64) -> Report {
        let entries = self.entries.lock().await;
        let mut under_way = Vec::new();
        for (key, entry) in entries.iter() {
            let active = entry.active.iter().flat_map(|active| &active.members).map(|member| &member.target);
            let targets = active.chain(entry.draining.iter().map(|drain| &drain.target));
            let busy = targets.map(|target| (target, target.in_flight())).filter(|(_, requests)| *requests > 0);
            under_way.extend(busy.map(|(target, requests)| UnderWay { target: target.whereabouts(key), requests }));
        }
        Report { obeyed, cut, under_way }
    }

    /// Waits until a target that was left has nothing under way here any more.
    pub(crate) async fn one_ended(&self) {
        self.one_ended.notified().await;
    }

    /// Does as the successor does. Gives how many requests were cut.
    pub(crate) async fn obey(&self, order: Order) -> u64 {
        let mut entries = self.entries.lock().await;
        let mut replaced = Vec::new();
        if let Some(challenges) = order.challenges {
            self.answer(challenges);
        }
        for said in order.maintenance {
            let entry = entries.entry(said.key.clone()).or_default();
            if entry.maintenance.as_ref() != Some(&said) {
                entry.maintenance = Some(said);
                self.activate_again(entry);
            }
        }
        let changed = |entry: &Entry, spec: &ServiceSpec| entry.active.as_ref().is_none_or(|it| it.spec() != spec);
        for spec in order.services {
            let entry = entries.entry(spec.key.clone()).or_default();
            if changed(entry, &spec) {
                let key = spec.key.clone();
                let members = entry.gather(&spec);
                let before = entry.active.take();
                let active = activate(spec, members, entry, self.meters.as_deref());
                let members = before.into_iter().flat_map(|active| active.members).map(|member| member.target);
                replaced.extend(members.filter(|target| !active.has(target)).map(|target| (key.clone(), target)));
                entry.active = Some(active);
            }
        }
        for key in order.gone {
            let active = entries.get_mut(&key).and_then(|entry| entry.active.take());
            let members = active.into_iter().flat_map(|active| active.members);
            replaced.extend(members.map(|member| (key.clone(), member.target)));
        }
        self.table.store(Arc::new(table_of(&entries)));
        for (key, target) in replaced {
            let left = Drain::leave(target, Arc::clone(&self.one_ended));
            entries.entry(key).or_default().draining.push(left);
        }
        entries.values().for_each(|entry| entry.hold.wake());
        order.cut.map_or(0, |target| cut_off(&mut entries, &target))
    }

    fn asked_for(&self) -> Vec<Challenge> {
        self.certificates.as_ref().map(|certificates| certificates.challenges()).unwrap_or_default()
    }

    fn drain_elsewhere(&self, entries: &mut BTreeMap<ServiceKey, Entry>, target: &Whereabouts, left: Duration) {
        let stand_in = Arc::new(Target::new(target.name.clone(), target.address));
        let drain = self.drain(target.key.clone(), stand_in, left);
        entries.entry(target.key.clone()).or_default().draining.push(drain);
    }
}

fn cut_off(entries: &mut BTreeMap<ServiceKey, Entry>, target: &Whereabouts) -> u64 {
    let Some(entry) = entries.get_mut(&target.key) else { return 0 };
    let cut = entry.draining.extract_if(.., |drain| drain.target.is_at(target)).map(|drain| drain.finish(0));
    cut.sum()
}

impl Entry {
    fn active_at(&self, target: &Whereabouts) -> Option<&Arc<Target>> {
        let members = self.active.iter().flat_map(|active| &active.members);
        members.map(|member| &member.target).find(|known| known.is_at(target))
    }

    fn knows(&self, target: &Whereabouts) -> bool {
        self.active_at(target).is_some() || self.draining.iter().any(|drain| drain.target.is_at(target))
    }
}
