//! Puts deliveries on disk before they are answered: all that wait at a moment in one transaction, so that they share one
//! flush of the disk. However many come, each is stored; whoever finds no room waits for it.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::intake::spool::Spool;
use crate::store::Store;
use crate::store::deliveries::{NewDelivery, Stored};

/// The most that one transaction stores.
const AT_ONCE: usize = 64;

/// A body up to here is a small one.
const SMALL: usize = 1024 * 1024;
/// So many bytes of small bodies that GitHub has signed may be in memory at a time,
const ROOM_FOR_SMALL: usize = 64 * 1024 * 1024;
/// and so many of large ones, which do not keep the small ones waiting.
const ROOM_FOR_LARGE: usize = 100 * 1024 * 1024;
/// So many bytes of bodies of which nobody knows yet who sent them; more go to disk.
const ROOM_FOR_UNKNOWN: usize = 64 * 1024 * 1024;
/// The unit in which room is given away.
const BLOCK: usize = 1024;

/// The way onto the disk.
#[derive(Debug)]
pub(crate) struct Intake {
    queue: mpsc::Sender<Waiting>,
    room_for_small: Arc<Semaphore>,
    room_for_large: Arc<Semaphore>,
    room_for_unknown: Arc<Semaphore>,
    /// Where bodies are that have no room in memory.
    pub(crate) spool: Spool,
}

/// A delivery could not be stored; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotStored;

/// Room for a body, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    permit: Option<OwnedSemaphorePermit>,
}

/// A delivery whose sender waits for its answer.
struct Waiting {
    delivery: NewDelivery,
    answer: oneshot::Sender<Result<Stored, NotStored>>,
}

impl Intake {
    /// Begins to store what comes. It ends when nobody can bring anything any more.
    pub(crate) fn start(store: Store, wake: Arc<Notify>, folder: &Path) -> Self {
        let (queue, waiting) = mpsc::channel(AT_ONCE);
        tokio::spawn(write(store, wake, waiting));
        let room = |bytes: usize| Arc::new(Semaphore::new(bytes / BLOCK));
        Self {
            queue,
            room_for_small: room(ROOM_FOR_SMALL),
            room_for_large: room(ROOM_FOR_LARGE),
            room_for_unknown: room(ROOM_FOR_UNKNOWN),
            spool: Spool::new(folder),
        }
    }

    /// Waits until there is room for a body of so many bytes that GitHub has signed: nobody else makes it wait.
    pub(crate) async fn room(&self, bytes: usize) -> Room {
        let room = if bytes <= SMALL { &self.room_for_small } else { &self.room_for_large };
        // They are never closed.
        Room { permit: Arc::clone(room).acquire_many_owned(blocks(bytes)).await.ok() }
    }

    /// Room for so many more bytes of a body that has come, if there is some.
    pub(crate) fn grow(&self, room: &mut Room, bytes: usize) -> bool {
        let Ok(more) = Arc::clone(&self.room_for_unknown).try_acquire_many_owned(blocks(bytes)) else { return false };
        match &mut room.permit {
            Some(permit) => permit.merge(more),
            None => room.permit = Some(more),
        }
        true
    }

    /// Stores a delivery; it is on disk when this returns.
    pub(crate) async fn store(&self, delivery: NewDelivery) -> Result<Stored, NotStored> {
        let (answer, stored) = oneshot::channel();
        self.queue.send(Waiting { delivery, answer }).await.map_err(|_| NotStored)?;
        stored.await.unwrap_or(Err(NotStored))
    }
}

impl Room {
    /// For nothing yet.
    pub(crate) const fn none() -> Self {
        Self { permit: None }
    }
}

fn blocks(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(BLOCK)).unwrap_or(u32::MAX)
}

/// Where not all have room together, a small one still may.
async fn put(store: &Store, deliveries: &[NewDelivery]) -> Vec<Result<Stored, NotStored>> {
    let error = match store.store_deliveries(deliveries, Timestamp::now()).await {
        Ok(stored) => return stored.into_iter().map(Ok).collect(),
        Err(error) => format!("{:#}", anyhow::Error::new(error)),
    };
    tracing::error!(error, deliveries = deliveries.len(), "deliveries cannot be stored");
    if deliveries.len() == 1 {
        return vec![Err(NotStored)];
    }
    let mut each = Vec::with_capacity(deliveries.len());
    for delivery in deliveries {
        let stored = store.store_deliveries(std::slice::from_ref(delivery), Timestamp::now()).await;
        each.push(stored.ok().and_then(|stored| stored.into_iter().next()).ok_or(NotStored));
    }
    each
}

async fn write(store: Store, wake: Arc<Notify>, mut waiting: mpsc::Receiver<Waiting>) {
    let mut batch = Vec::with_capacity(AT_ONCE);
    while waiting.recv_many(&mut batch, AT_ONCE).await > 0 {
        let (deliveries, answers): (Vec<_>, Vec<_>) = batch.drain(..).map(|it| (it.delivery, it.answer)).unzip();
        let stored = put(&store, &deliveries).await;
        let to_do =
            |(delivery, stored): (&NewDelivery, &_)| delivery.outcome.is_none() && *stored == Ok(Stored::Accepted);
        if deliveries.iter().zip(&stored).any(to_do) {
            wake.notify_one();
        }
        for (answer, stored) in answers.into_iter().zip(stored) {
            // Whoever sent it may have given up; it is stored all the same.
            let _ = answer.send(stored);
        }
    }
}
