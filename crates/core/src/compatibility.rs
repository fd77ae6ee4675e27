//! Which versions of Windlass understand each other.

/// The header in which a client says its version.
pub const VERSION_HEADER: &str = "windlass-version";

/// Whether a service and a client of these versions do: they may be one minor version apart, either way. What is no
/// version of ours does not fit.
#[must_use]
pub fn fits(one: &str, other: &str) -> bool {
    match (parse(one), parse(other)) {
        (Some((major, minor)), Some((other_major, other_minor))) => {
            major == other_major && minor.abs_diff(other_minor) <= 1
        }
        _ => false,
    }
}

/// Whether this is a version at all.
#[must_use]
pub fn is_version(text: &str) -> bool {
    parse(text).is_some()
}

/// Whether `one` is the older of two versions that do not fit.
#[must_use]
pub fn is_older(one: &str, other: &str) -> bool {
    parse(one) < parse(other)
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::{fits, is_older};

    #[test]
    fn one_version_before_and_after_is_understood() {
        for (one, other) in [("0.4.0", "0.4.9"), ("0.4.0", "0.5.0"), ("0.4.0", "0.3.7"), ("1.0.0", "1.1.0-rc.1")] {
            assert!(fits(one, other), "{one} {other}");
        }
        for (one, other) in [("0.4.0", "0.6.0"), ("0.4.0", "0.2.0"), ("0.4.0", "1.4.0")] {
            assert!(!fits(one, other), "{one} {other}");
        }
        assert!(!fits("0.4.0", "nightly"));
    }

    #[test]
    fn the_older_of_two_is_told_by_numbers() {
        assert!(is_older("0.2.9", "0.10.0"));
        assert!(!is_older("1.0.0", "0.9.0"));
    }
}
