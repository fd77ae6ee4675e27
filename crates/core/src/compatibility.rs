//! Which versions of Windlass understand each other.

/// Whether a service and a client of these versions do: they may be one minor version apart, either way. What is no
/// version of ours is let through; it is told what is wrong by the first answer that it does not understand.
#[must_use]
pub fn fits(one: &str, other: &str) -> bool {
    match (parse(one), parse(other)) {
        (Some((major, minor)), Some((other_major, other_minor))) => {
            major == other_major && minor.abs_diff(other_minor) <= 1
        }
        _ => true,
    }
}

fn parse(version: &str) -> Option<(u64, u64)> {
    let mut parts = version.trim().split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn one_version_before_and_after_is_understood() {
        for (one, other) in [("0.4.0", "0.4.9"), ("0.4.0", "0.5.0"), ("0.4.0", "0.3.7"), ("1.0.0", "1.1.0-rc.1")] {
            assert!(fits(one, other), "{one} {other}");
        }
        for (one, other) in [("0.4.0", "0.6.0"), ("0.4.0", "0.2.0"), ("0.4.0", "1.4.0")] {
            assert!(!fits(one, other), "{one} {other}");
        }
        assert!(fits("0.4.0", "unreleased"));
    }
}
