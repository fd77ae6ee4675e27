//! All connections of a process, whichever thread serves them.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::limits::Limits;
use crate::seat::Seat;
use crate::seldom::Seldom;

/// Behind the event that a seat became free, since nobody tells when somebody begins to keep us waiting.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// How often those are looked for whose time is over.
const ROUND: Duration = Duration::from_millis(500);

/// Whether an address may have all seats, since it speaks for many clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Half of them at the most, or what the limits say.
    Half,
    /// All of them: a proxy of ours.
    All,
}

/// The seats for connections.
#[derive(Debug)]
pub struct Seats {
    pub(crate) limits: Limits,
    most: usize,
    taken: Mutex<Taken>,
    left: Notify,
    full: Seldom,
}

#[derive(Debug, Default)]
struct Taken {
    next: u64,
    seats: HashMap<u64, Arc<Seat>>,
    by_address: HashMap<IpAddr, usize>,
}

/// One seat, until it is dropped.
#[derive(Debug)]
pub(crate) struct Taking {
    pub(crate) seat: Arc<Seat>,
    number: u64,
    seats: Arc<Seats>,
}

impl Seats {
    /// As many as the limits and the files that the process may open allow. On the caller's runtime it is looked after
    /// those who keep us waiting.
    #[must_use]
    pub fn new(limits: Limits, files: usize) -> Arc<Self> {
        let most = limits.connections_with(files);
        let seats = Self { limits, most, taken: Mutex::default(), left: Notify::new(), full: Seldom::default() };
        let seats = Arc::new(seats);
        tokio::spawn(look_after(Arc::downgrade(&seats)));
        seats
    }

    /// What they were made with.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// How many there are.
    #[must_use]
    pub fn most(&self) -> usize {
        self.most
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.lock().seats.len()
    }

    /// Waits until no seat is taken.
    pub async fn empty(&self) {
        loop {
            let left = self.left.notified();
            if self.taken() == 0 {
                return;
            }
            left.await;
        }
    }

    /// A seat for a connection from this address, as soon as there is one: who has kept us waiting longest gives way.
    /// `None`: the address has its share, and all of that is at work. Whoever waited for one of them would keep the others
    /// out.
    pub(crate) async fn take(self: &Arc<Self>, address: IpAddr, share: Share) -> Option<Taking> {
        let group = group(address);
        let half = self.limits.of_address.unwrap_or(self.most / 2).max(1);
        loop {
            let left = self.left.notified();
            {
                let mut taken = self.lock();
                let of_group = taken.by_address.get(&group).copied().unwrap_or_default();
                let crowded = share == Share::Half && !address.is_loopback() && of_group >= half;
                if taken.seats.len() < self.most && !crowded {
                    return Some(self.seat(&mut taken, group));
                }
                if let Some(count) = self.full.count() {
                    tracing::warn!(
                        connections = taken.seats.len(),
                        times = count,
                        client.address = %address,
                        "all connections are taken: who has kept us waiting longest is sent away"
                    );
                }
                let gives_way = taken.send_away_longest(&self.limits, |seat| !crowded || seat.address == group);
                if crowded && !gives_way {
                    return None;
                }
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, left).await;
        }
    }

    /// Sends away who has kept us waiting longest, because something ran out; waits until somebody has left.
    pub(crate) async fn make_room(&self) {
        let left = self.left.notified();
        self.lock().send_away_longest(&self.limits, |_| true);
        let _ = tokio::time::timeout(LOOK_AGAIN, left).await;
    }

    /// Sends away all who have not asked for anything: for a server that stops.
    pub fn send_away_waiting(&self) {
        let taken = self.lock();
        taken.seats.values().filter(|seat| seat.has_no_head()).for_each(|seat| seat.send_away());
    }

    fn seat(self: &Arc<Self>, taken: &mut Taken, group: IpAddr) -> Taking {
        let (number, seat) = (taken.next, Arc::new(Seat::new(group)));
        taken.next += 1;
        taken.seats.insert(number, Arc::clone(&seat));
        *taken.by_address.entry(group).or_default() += 1;
        Taking { seat, number, seats: Arc::clone(self) }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taking {
    pub(crate) fn seats(&self) -> Arc<Seats> {
        Arc::clone(&self.seats)
    }
}

impl Taken {
    /// Whether there is one of them, or one that is about to leave.
    fn send_away_longest(&self, limits: &Limits, who: impl Fn(&Seat) -> bool) -> bool {
        let (leaving, candidates): (Vec<_>, Vec<_>) =
            self.seats.values().filter(|seat| who(seat)).partition(|seat| seat.is_sent_away());
        let waits = candidates.iter().map(|seat| (seat.kept_waiting(limits), seat)).filter(|(waited, _)| *waited > 0);
        match waits.max_by_key(|(waited, _)| *waited) {
            Some((_, longest)) => {
                longest.send_away();
                true
            }
            None => !leaving.is_empty(),
        }
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.seats.remove(&self.number);
        if let Some(count) = taken.by_address.get_mut(&self.seat.address) {
            *count -= 1;
            if *count == 0 {
                taken.by_address.remove(&self.seat.address);
            }
        }
        drop(taken);
        self.seats.left.notify_waiters();
    }
}

/// Ends when nobody has the seats any more.
async fn look_after(seats: Weak<Seats>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        let Some(seats) = seats.upgrade() else { return };
        let taken = seats.lock();
        for seat in taken.seats.values().filter(|seat| !seat.is_sent_away()) {
            if let Some(what) = seat.overdue(&seats.limits) {
                tracing::debug!(client.address = %seat.address, "a client took too long with {what}");
                seat.send_away();
            } else {
                seat.lay_down();
            }
        }
    }
}

/// Whose an address is, as far as that can be told: whoever has one IPv6 address has 2⁶⁴ of them.
#[must_use]
pub fn group(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_whose_share_is_at_work_keeps_nobody_out() {
        let seats = Seats::new(Limits { connections: 8, ..Limits::service() }, usize::MAX);
        let [busy, other]: [IpAddr; 2] = ["192.0.2.1", "192.0.2.2"].map(|address| address.parse().unwrap());
        let mut taken = Vec::new();
        for _ in 0..4 {
            taken.push(seats.take(busy, Share::Half).await.unwrap());
        }
        for taking in &taken {
            taking.seat.asked(false);
        }
        assert!(seats.take(busy, Share::Half).await.is_none(), "it is not waited for");
        taken.push(seats.take(other, Share::Half).await.unwrap());
        taken.push(seats.take(busy, Share::All).await.unwrap());
    }
}
