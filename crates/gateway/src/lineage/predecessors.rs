//! The gateways that this one has followed and that still have something under way: what they say, and what they are told.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, oneshot, watch};

use super::{Order, Report, UnderWay, Whereabouts, wire};

/// One that takes longer to do as it is told is not waited for any more. It may come again.
const PATIENCE: Duration = Duration::from_secs(2);
/// So long after the handover those are waited for of whom is known.
const COMING: Duration = Duration::from_secs(5);

/// All of them, by a number of ours.
#[derive(Debug, Default)]
pub(crate) struct Predecessors {
    reports: watch::Sender<BTreeMap<u64, Report>>,
    orders: Mutex<BTreeMap<u64, mpsc::UnboundedSender<Given>>>,
    /// How many of whom is known have not come yet.
    awaited: watch::Sender<usize>,
    visits: AtomicU64,
    ordered: AtomicU64,
}

/// An order, and where to say how many requests it has cut.
#[derive(Debug)]
struct Given {
    order: Order,
    obeyed: oneshot::Sender<u64>,
}

/// One that has come. Dropped, nothing is known of it any more.
#[derive(Debug)]
pub(crate) struct Visit<'a> {
    predecessors: &'a Predecessors,
    number: u64,
    orders: mpsc::UnboundedReceiver<Given>,
}

impl Predecessors {
    /// So many will come.
    pub(crate) fn expect(&self, count: usize) {
        self.awaited.send_replace(count);
    }

    /// Waits until all have come that were expected, or should have.
    pub(crate) async fn settle(&self) {
        if tokio::time::timeout(COMING, self.settled()).await.is_err() {
            tracing::warn!("a gateway that was followed has not come back: what it has under way is not waited for");
            self.expect(0);
        }
    }

    /// Waits until everything is known that is under way.
    pub(crate) async fn settled(&self) {
        // The sender is our own.
        let _ = self.awaited.subscribe().wait_for(|awaited| *awaited == 0).await;
    }

    /// Those that have come and those that will.
    pub(crate) fn count(&self) -> usize {
        self.reports.borrow().len() + *self.awaited.borrow()
    }

    /// Requests to the target that others have under way.
    pub(crate) fn under_way(&self, target: &Whereabouts) -> u64 {
        requests(&self.reports.borrow(), target)
    }

    /// Waits until nobody else has a request under way to the target.
    pub(crate) async fn ended(&self, target: &Whereabouts) {
        self.settled().await;
        let _ = self.reports.subscribe().wait_for(|reports| requests(reports, target) == 0).await;
    }

    /// They do as this one does from now on.
    pub(crate) async fn tell(&self, change: Order) {
        self.order(change).await;
    }

    /// Has them close what they have under way to the target, and says how many requests that were.
    pub(crate) async fn cut(&self, target: &Whereabouts) -> u64 {
        if self.under_way(target) == 0 {
            return 0;
        }
        self.order(Order { cut: Some(target.clone()), ..Order::default() }).await
    }

    async fn order(&self, order: Order) -> u64 {
        let number = self.ordered.fetch_add(1, Ordering::Relaxed) + 1;
        let order = Order { number, ..order };
        let given =
            self.orders().iter().map(|(visit, orders)| (*visit, give(orders, order.clone()))).collect::<Vec<_>>();
        let obeyed = given.into_iter().map(|(visit, obeyed)| async move {
            match tokio::time::timeout(PATIENCE, obeyed).await {
                Ok(cut) => cut.unwrap_or_default(),
                Err(_) => {
                    tracing::warn!("a gateway that was followed does not do as it is told");
                    self.orders().remove(&visit);
                    0
                }
            }
        });
        join_all(obeyed).await.into_iter().sum()
    }

    /// One comes, and first is told how everything stands.
    pub(crate) fn welcome(&self, report: Report, everything: Order) -> Visit<'_> {
        let number = self.visits.fetch_add(1, Ordering::Relaxed);
        let (sender, orders) = mpsc::unbounded_channel();
        let first = self.ordered.fetch_add(1, Ordering::Relaxed) + 1;
        give(&sender, Order { number: first, ..everything });
        self.orders().insert(number, sender);
        self.reports.send_modify(|reports| {
            reports.insert(number, report);
        });
        self.awaited.send_modify(|awaited| *awaited = awaited.saturating_sub(1));
        Visit { predecessors: self, number, orders }
    }

    fn orders(&self) -> MutexGuard<'_, BTreeMap<u64, mpsc::UnboundedSender<Given>>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Visit<'_> {
    /// Until it has nothing under way any more, or is away for another reason.
    pub(crate) async fn last(mut self, stream: UnixStream) {
        let (mut reading, mut writing) = stream.into_split();
        let (number, reports) = (self.number, &self.predecessors.reports);
        let waiting = Mutex::new(VecDeque::new());
        let waiting = || waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let hear = async {
            loop {
                let report: Report = wire::receive(&mut reading).await?;
                let (obeyed, cut) = (report.obeyed, report.cut);
                reports.send_modify(|reports| {
                    reports.insert(number, report);
                });
                while let Some((_, waits)) = waiting().pop_front_if(|(order, _)| *order <= obeyed) {
                    // Who waited too long has gone.
                    let _ = oneshot::Sender::send(waits, cut);
                }
            }
        };
        let tell = async {
            while let Some(Given { order, obeyed }) = self.orders.recv().await {
                waiting().push_back((order.number, obeyed));
                wire::send(&mut writing, &order).await?;
            }
            std::io::Result::Ok(())
        };
        let end: std::io::Result<()> = tokio::select! {
            end = hear => end,
            end = tell => end,
        };
        tracing::debug!(?end, "a gateway that was followed is away");
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.predecessors.orders().remove(&self.number);
        self.predecessors.reports.send_modify(|reports| {
            reports.remove(&self.number);
        });
    }
}

fn give(orders: &mpsc::UnboundedSender<Given>, order: Order) -> oneshot::Receiver<u64> {
    let (obeyed, is_obeyed) = oneshot::channel();
    // Whoever is away cuts nothing.
    let _ = orders.send(Given { order, obeyed });
    is_obeyed
}

fn requests(reports: &BTreeMap<u64, Report>, wanted: &Whereabouts) -> u64 {
    let under_way = reports.values().flat_map(|report| &report.under_way);
    under_way.filter(|UnderWay { target, .. }| target == wanted).map(|it| it.requests).sum()
}
