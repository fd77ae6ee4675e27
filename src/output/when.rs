//! Times as people say them.

use jiff::Timestamp;
use std::time::Duration;

/// How long ago it was: `3 minutes ago`.
pub(crate) fn ago(then: Timestamp, now: Timestamp) -> String {
    match spoken(now.as_second() - then.as_second()) {
        Some(length) => format!("{length} ago"),
        None => "just now".to_owned(),
    }
}

/// How long it still takes: `in 3 minutes`.
pub(crate) fn until(then: Timestamp, now: Timestamp) -> String {
    match spoken(then.as_second() - now.as_second()) {
        Some(length) => format!("in {length}"),
        None => "now".to_owned(),
    }
}

/// Between a beginning and now, to a tenth of a second: `12.3s`, `4m 05s`.
pub(crate) fn elapsed(length: Duration) -> String {
    let seconds = length.as_secs();
    match seconds / 60 {
        0 => format!("{:.1}s", length.as_secs_f64()),
        minutes => format!("{minutes}m {:02}s", seconds % 60),
    }
}

/// `None`: too short to say.
fn spoken(seconds: i64) -> Option<String> {
    const UNITS: [(i64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let (size, unit) = UNITS.into_iter().find(|(size, _)| seconds >= *size)?;
    let number = seconds / size;
    Some(if number == 1 { format!("1 {unit}") } else { format!("{number} {unit}s") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_said_in_their_largest_unit() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let now = at(1_000_000);
        for (seconds, said) in [
            (0, "just now"),
            (1, "1 second ago"),
            (59, "59 seconds ago"),
            (60, "1 minute ago"),
            (3_599, "59 minutes ago"),
            (86_399, "23 hours ago"),
            (172_800, "2 days ago"),
            (-5, "just now"),
        ] {
            assert_eq!(ago(at(1_000_000 - seconds), now), said);
        }
        assert_eq!(until(at(1_000_090), now), "in 1 minute");
    }

    #[test]
    fn elapsed_time_is_exact_where_it_is_short() {
        assert_eq!(elapsed(Duration::from_millis(12_340)), "12.3s");
        assert_eq!(elapsed(Duration::from_secs(245)), "4m 05s");
    }
}
