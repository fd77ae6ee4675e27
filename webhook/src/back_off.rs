//! How long to wait before something that went wrong is tried again.

use std::time::Duration;

/// Pauses that double, up to the longest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BackOff {
    pub(crate) first: Duration,
    pub(crate) longest: Duration,
}

impl BackOff {
    /// The pause before the next try, after so many that went wrong: none is the same as one.
    pub(crate) fn pause(self, tries: u64) -> Duration {
        let doublings = u32::try_from(tries.saturating_sub(1)).unwrap_or(u32::MAX).min(30);
        self.first.saturating_mul(1 << doublings).min(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let back_off = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
        let pauses: Vec<u64> = (0..12).map(|tries| back_off.pause(tries).as_secs()).collect();
        assert_eq!(pauses, [1, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(back_off.pause(u64::MAX), back_off.longest);
    }
}
