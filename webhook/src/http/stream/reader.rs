//! One client that follows: it reads what is there already by itself, and then hears what the reading of all hears.

use std::sync::Arc;

use axum::response::sse::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::reading::{Batch, Followed, Reading, Readings, StoreReader};
use crate::service::Service;
use crate::store::StoreError;

pub(super) struct Follow {
    service: Arc<Service>,
    readings: Arc<Readings>,
    followed: Followed,
    /// How far it has come.
    after: u64,
    state: State,
}

enum State {
    /// It has just come.
    New,
    /// It reads by itself until there is nothing more to read.
    Behind(Box<StoreReader>, Joined),
    /// It hears what comes.
    Listening(Joined),
    Ended,
}

struct Joined {
    batches: Receiver<Arc<Batch>>,
    /// Which ends with the last who has it.
    _reading: Arc<Reading>,
}

impl Follow {
    pub(super) fn new(service: Arc<Service>, readings: Arc<Readings>, followed: Followed, after: u64) -> Self {
        Self { service, readings, followed, after, state: State::New }
    }

    /// What comes next; `None` after the last word.
    pub(super) async fn next(&mut self) -> Option<Vec<Event>> {
        loop {
            match self.step().await {
                Ok(Some(events)) if events.is_empty() => {}
                Ok(events) => return events,
                Err(error) => {
                    tracing::error!(error = %error, "an event stream broke off");
                    return None;
                }
            }
        }
    }

    async fn step(&mut self) -> Result<Option<Vec<Event>>, StoreError> {
        let (state, events) = match std::mem::replace(&mut self.state, State::Ended) {
            State::New => {
                // Joined before it reads: nothing falls between the two.
                let (reading, batches) = self.readings.join(&self.service, &self.followed).await?;
                (self.behind(Joined { batches, _reading: reading }), Vec::new())
            }
            State::Behind(mut look, joined) => {
                let batch = look.after(self.after).await?;
                self.after = batch.last;
                let events: Vec<Event> = batch.events.into_iter().map(|(_, event)| event).collect();
                match (events.is_empty(), batch.ended) {
                    (false, _) => (State::Behind(look, joined), events),
                    (true, false) => (State::Listening(joined), events),
                    (true, true) => return Ok(None),
                }
            }
            State::Listening(mut joined) => match joined.batches.recv().await {
                // Something lies between.
                Ok(batch) if batch.after > self.after => (self.behind(joined), Vec::new()),
                Ok(batch) if batch.events.is_empty() && batch.ended => return Ok(None),
                Ok(batch) => {
                    let new = batch.events.iter().filter(|(seq, _)| *seq > self.after);
                    let events = new.map(|(_, event)| event.clone()).collect();
                    self.after = self.after.max(batch.last);
                    (State::Listening(joined), events)
                }
                Err(RecvError::Lagged(_)) => (self.behind(joined), Vec::new()),
                Err(RecvError::Closed) => return Ok(None),
            },
            State::Ended => return Ok(None),
        };
        self.state = state;
        Ok(Some(events))
    }

    fn behind(&self, joined: Joined) -> State {
        State::Behind(Box::new(StoreReader::new(Arc::clone(&self.service), self.followed.clone())), joined)
    }
}
