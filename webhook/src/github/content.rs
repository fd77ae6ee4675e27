//! GitHub's limits for requests that create content: deployments, statuses, comments. They are stricter than those for
//! reading, so whoever writes asks here first, and when it is tight the urgent goes before the rest.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(60 * 60);

/// What is told first when GitHub's limits are tight. In the order of their urgency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Urgency {
    /// How a deployment ended, and all that must be told before it.
    LastWord,
    /// That a deployment waits or runs.
    Progress,
    /// That another took its place.
    Replaced,
    /// What is told beside: the comment on a pull request.
    Comment,
}

impl Urgency {
    /// How many requests a minute, and an hour, there may have been for this one to be among them. GitHub allows 80 and
    /// 500; what is less urgent leaves a part of that free.
    const fn ceilings(self) -> [(Duration, usize); 2] {
        match self {
            Self::LastWord => [(MINUTE, 80), (HOUR, 500)],
            Self::Progress => [(MINUTE, 60), (HOUR, 400)],
            Self::Replaced => [(MINUTE, 40), (HOUR, 300)],
            Self::Comment => [(MINUTE, 20), (HOUR, 200)],
        }
    }
}

/// When content was created, by account. Clones count together.
#[derive(Debug, Clone, Default)]
pub(super) struct ContentLimit(Arc<Mutex<HashMap<String, VecDeque<Instant>>>>);

impl ContentLimit {
    /// Counts so many requests that are about to be sent; or says how long they must wait, and counts nothing.
    pub(super) fn reserve(
        &self,
        account: &str,
        urgency: Urgency,
        requests: usize,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = accounts.entry(account.to_owned()).or_default();
        while sent.front().is_some_and(|at| now.duration_since(*at) >= HOUR) {
            sent.pop_front();
        }
        let waits = urgency.ceilings().into_iter().filter_map(|(window, ceiling)| {
            let within = sent.iter().filter(|at| now.duration_since(**at) < window).count();
            let too_many = (within + requests).saturating_sub(ceiling);
            // So many of the oldest in the window must have left it.
            let last_to_leave = too_many.checked_sub(1).and_then(|more| sent.get(sent.len() - within + more))?;
            Some((*last_to_leave + window).duration_since(now))
        });
        if let Some(wait) = waits.max() {
            return Err(wait);
        }
        sent.extend(std::iter::repeat_n(now, requests));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many single requests go through at this moment.
    fn taken(limit: &ContentLimit, urgency: Urgency, now: Instant) -> usize {
        std::iter::from_fn(|| limit.reserve("acme", urgency, 1, now).ok()).take(1000).count()
    }

    #[test]
    fn rule_068_never_more_than_80_writes_a_minute_and_500_an_hour() {
        let (limit, start) = (ContentLimit::default(), Instant::now());
        let mut sent: Vec<Instant> = Vec::new();
        // Two hours, looked at every seven seconds, with more to send than ever goes through.
        for second in (0..7200).step_by(7) {
            let now = start + Duration::from_secs(second);
            let new = taken(&limit, Urgency::LastWord, now);
            sent.extend(std::iter::repeat_n(now, new));
            let within = |window| sent.iter().filter(|at| now.duration_since(**at) < window).count();
            assert!(within(MINUTE) <= 80 && within(HOUR) <= 500, "after {second} s");
        }
        assert_eq!(sent.len(), 1000, "and no fewer than allowed");
    }

    #[test]
    fn rule_068_what_is_urgent_goes_through_when_the_rest_must_wait() {
        let (limit, now) = (ContentLimit::default(), Instant::now());
        assert_eq!(taken(&limit, Urgency::Comment, now), 20);
        assert_eq!(taken(&limit, Urgency::Replaced, now), 20);
        assert_eq!(taken(&limit, Urgency::Progress, now), 20);
        assert_eq!(taken(&limit, Urgency::LastWord, now), 20);
        assert_eq!(limit.reserve("other", Urgency::Comment, 1, now), Ok(()), "another account has limits of its own");
    }

    #[test]
    fn rule_068_a_wait_is_as_long_as_it_must_be() {
        let (limit, start) = (ContentLimit::default(), Instant::now());
        for second in 0..80 {
            let now = start + Duration::from_millis(second * 100);
            assert_eq!(limit.reserve("acme", Urgency::LastWord, 1, now), Ok(()));
        }
        let now = start + Duration::from_secs(10);
        assert_eq!(limit.reserve("acme", Urgency::LastWord, 1, now), Err(Duration::from_secs(50)));
        assert_eq!(limit.reserve("acme", Urgency::LastWord, 2, now), Err(Duration::from_millis(50_100)));
        assert_eq!(limit.reserve("acme", Urgency::LastWord, 2, now + Duration::from_millis(50_100)), Ok(()));
    }
}
