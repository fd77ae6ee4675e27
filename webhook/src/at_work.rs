//! What this process works on, so that nothing is worked on twice at a time.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;
use windlass_core::names::{DeploymentId, HostName, ProjectName, TaskId};
use windlass_core::stage::Stage;

/// Something that one at a time may work on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Piece {
    /// Who has it starts and stops what a stage runs.
    Stage(Stage),
    /// Looks after what a stage should run.
    Upkeep(Stage),
    /// What a success left behind.
    Retiring(DeploymentId),
    /// What needs GitHub, by its GUID.
    Delivery(String),
    /// What GitHub is told of a project.
    Notices(ProjectName),
    /// What pull requests of a project are told.
    Comments(ProjectName),
    OneOff(TaskId),
    /// The containers of one-off tasks that have ended, on a host.
    EndedOneOffs(HostName),
    /// An image that a host fetches, by its reference.
    Image(HostName, String),
}

/// What this process works on. Nothing is worked on twice at a time, and whoever comes in vain is remembered.
#[derive(Debug, Default)]
pub(crate) struct AtWork(Mutex<HashMap<Piece, Work>>);

/// A piece of work that somebody is at.
#[derive(Debug, Default)]
struct Work {
    knocked: bool,
    /// Rings for whoever is at it when somebody comes.
    bell: Arc<Notify>,
}

impl AtWork {
    /// Claims a piece of work until the claim is dropped; `None` when somebody is at it, who will hear of it.
    pub(crate) fn claim(&self, what: Piece) -> Option<Claim<'_>> {
        match self.lock().entry(what.clone()) {
            Entry::Occupied(mut entry) => {
                entry.get_mut().knocked = true;
                entry.get().bell.notify_one();
                None
            }
            Entry::Vacant(entry) => {
                let bell = Arc::clone(&entry.insert(Work::default()).bell);
                Some(Claim { at_work: self, what: Some(what), bell })
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Piece, Work>> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// A piece of work that nobody else in this process does meanwhile.
#[derive(Debug)]
pub(crate) struct Claim<'a> {
    at_work: &'a AtWork,
    /// `None` once it is given up.
    what: Option<Piece>,
    bell: Arc<Notify>,
}

impl Claim<'_> {
    /// Gives the work up, unless somebody came meanwhile: then there may be more to do.
    pub(crate) fn give_up(mut self) -> Result<(), Self> {
        let Some(what) = self.what.take() else { return Ok(()) };
        let mut at_work = self.at_work.lock();
        if at_work.get(&what).is_none_or(|work| !work.knocked) {
            at_work.remove(&what);
            return Ok(());
        }
        at_work.insert(what.clone(), Work { knocked: false, bell: Arc::clone(&self.bell) });
        drop(at_work);
        self.what = Some(what);
        Err(self)
    }

    /// Waits until somebody comes in vain.
    pub(crate) async fn knocked(&self) {
        self.bell.notified().await;
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        if let Some(what) = &self.what {
            self.at_work.lock().remove(what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one() -> Piece {
        Piece::Delivery("one".to_owned())
    }

    #[test]
    fn a_piece_of_work_is_claimed_once_at_a_time() {
        let at_work = AtWork::default();
        let first = at_work.claim(one());
        assert!(first.is_some());
        assert!(at_work.claim(one()).is_none());
        assert!(at_work.claim(one()).is_none(), "a refused claim does not free the work");
        assert!(at_work.claim(Piece::Delivery("another".to_owned())).is_some());
        drop(first);
        assert!(at_work.claim(one()).is_some());
    }

    #[test]
    fn whoever_came_in_vain_is_heard_before_the_work_is_given_up() {
        let at_work = AtWork::default();
        let claim = at_work.claim(one()).unwrap();
        assert!(at_work.claim(one()).is_none());
        let claim = claim.give_up().unwrap_err();
        assert!(claim.give_up().is_ok(), "nobody came since");
        assert!(at_work.claim(one()).is_some());
    }
}
