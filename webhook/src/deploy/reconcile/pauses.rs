//! Pauses between tries, which grow as long as it takes more of them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::back_off::BackOff;

const AGAIN: BackOff = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// What has not been tried for so long is tried as if for the first time.
const FORGET: Duration = Duration::from_secs(300);

/// When each thing may be tried again.
#[derive(Debug, Default)]
pub(super) struct Pauses(Mutex<HashMap<String, Tries>>);

#[derive(Debug, Clone, Copy)]
struct Tries {
    number: u32,
    last: Instant,
}

impl Tries {
    fn pause(self) -> Duration {
        AGAIN.pause(self.number.into())
    }
}

impl Pauses {
    /// It is being tried. Returns how many tries that makes.
    pub(super) fn tried(&self, what: &str, now: Instant) -> u32 {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, tries| now.duration_since(tries.last) < FORGET);
        let tries = all.entry(what.to_owned()).or_insert(Tries { number: 0, last: now });
        *tries = Tries { number: tries.number + 1, last: now };
        tries.number
    }

    /// Whether it was tried not long ago.
    pub(super) fn has(&self, what: &str) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).contains_key(what)
    }

    /// Why it could not be done is out of the way.
    pub(super) fn forget(&self, what: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(what);
    }

    /// How long to wait before it may be tried.
    pub(super) fn left(&self, what: &str, now: Instant) -> Duration {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = all.get(what).map(|tries| (tries.last + tries.pause()).saturating_duration_since(now));
        left.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute_and_are_forgotten_after_a_while() {
        let (pauses, mut now) = (Pauses::default(), Instant::now());
        assert_eq!(pauses.left("task", now), Duration::ZERO);
        let mut seconds = Vec::new();
        for _ in 0..8 {
            pauses.tried("task", now);
            let pause = pauses.left("task", now);
            seconds.push(pause.as_secs());
            now += pause;
        }
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pauses.left("another", now), Duration::ZERO);
        pauses.forget("task");
        assert_eq!(pauses.left("task", now), Duration::ZERO);
        pauses.tried("task", now);
        assert_eq!(pauses.tried("task", now + FORGET), 1);
    }
}
