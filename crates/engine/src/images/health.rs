//! How long an image's own HEALTHCHECK takes to say something.

use std::time::Duration as Time;

use bollard::models::HealthConfig;
use windlass_core::quantity::Duration;

/// Its times, with what Docker takes for those that are left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HealthTimes {
    start_period: Time,
    interval: Time,
    timeout: Time,
    retries: u32,
}

impl HealthTimes {
    /// `None` for an image that has none, or has switched it off.
    pub(crate) fn of(config: &HealthConfig) -> Option<Self> {
        config.test.as_ref()?.first().filter(|kind| *kind != "NONE")?;
        let time = |nanoseconds: Option<i64>| {
            nanoseconds.and_then(|it| u64::try_from(it).ok()).filter(|it| *it > 0).map(Time::from_nanos)
        };
        let unsaid = Time::from_secs(30);
        Some(Self {
            start_period: time(config.start_period).unwrap_or_default(),
            interval: time(config.interval).unwrap_or(unsaid),
            timeout: time(config.timeout).unwrap_or(unsaid),
            retries: config.retries.and_then(|it| u32::try_from(it).ok()).filter(|it| *it > 0).unwrap_or(3),
        })
    }

    /// Docker waits so long before it asks for the first time.
    pub(crate) fn first(&self) -> Duration {
        Duration(self.interval)
    }

    /// After so long it has called an app unhealthy that never was well.
    fn longest(&self) -> Duration {
        let tries = (self.interval.saturating_add(self.timeout)).saturating_mul(self.retries);
        Duration(self.start_period.saturating_add(tries))
    }

    /// What is to be said where a task gets no longer than this.
    pub(crate) fn too_long_for(&self, deadline: Duration) -> Option<String> {
        let first = self.first();
        if deadline.0 <= first.0 {
            return Some(format!(
                "its HEALTHCHECK is asked for the first time after {first}, its interval, and `deadline` is {deadline}: it \
                 will not become healthy; raise `deadline` or give the HEALTHCHECK a shorter `--interval`"
            ));
        }
        (deadline.0 < self.longest().0).then(|| {
            let start = if self.start_period.is_zero() {
                String::new()
            } else {
                format!("a start period of {} and ", Duration(self.start_period))
            };
            format!(
                "its HEALTHCHECK can need {} ({start}{} tries, each after {} and for up to {}), and `deadline` is {deadline}",
                self.longest(),
                self.retries,
                Duration(self.interval),
                Duration(self.timeout)
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(seconds: [i64; 4], retries: i64) -> Option<HealthTimes> {
        let [start, interval, timeout, _] = seconds.map(|it| Some(it * 1_000_000_000));
        let test = Some(vec!["CMD".to_owned(), "/app".to_owned()]);
        let config =
            HealthConfig { test, interval, timeout, retries: Some(retries), start_period: start, start_interval: None };
        HealthTimes::of(&config)
    }

    fn said(times: HealthTimes, deadline: u64) -> String {
        times.too_long_for(Duration::from_secs(deadline)).unwrap_or_default()
    }

    #[test]
    fn a_deadline_before_the_first_check_or_before_the_last_is_said() {
        let own = times([0, 0, 0, 0], 0).unwrap();
        assert!(said(own, 30).contains("for the first time after 30s"), "{}", said(own, 30));
        assert!(said(own, 60).contains("can need 3m (3 tries, each after 30s and for up to 30s)"), "{}", said(own, 60));
        assert_eq!(said(own, 180), "");
        let slow = times([40, 5, 2, 0], 2).unwrap();
        assert!(said(slow, 53).contains("can need 54s (a start period of 40s and 2 tries"), "{}", said(slow, 53));
        assert_eq!(said(slow, 54), "");
    }

    #[test]
    fn an_image_without_one_has_no_times() {
        assert_eq!(HealthTimes::of(&HealthConfig::default()), None);
        let off = HealthConfig { test: Some(vec!["NONE".to_owned()]), ..HealthConfig::default() };
        assert_eq!(HealthTimes::of(&off), None);
    }
}
