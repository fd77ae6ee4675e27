//! Durations (`10s`) and amounts of memory (`512m`) as both configuration files write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};

use crate::schema;

/// A length of time, written `250ms`, `10s`, `5m`, `2h` or `3d`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Duration(pub std::time::Duration);

/// Why a quantity was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a {kind}: expected {expected}")]
pub struct InvalidQuantity {
    kind: &'static str,
    value: String,
    expected: &'static str,
}

const DURATION_UNITS: [(&str, u64); 5] = [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

impl Duration {
    /// So many seconds.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Self(std::time::Duration::from_secs(seconds))
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn from_millis(milliseconds: u64) -> Self {
        Self(std::time::Duration::from_millis(milliseconds))
    }
}

impl FromStr for Duration {
    type Err = InvalidQuantity;

    fn from_str(value: &str) -> Result<Self, InvalidQuantity> {
        let refuse = || InvalidQuantity {
            kind: "duration",
            value: value.to_owned(),
            expected: "a whole number and a unit, such as 250ms, 10s, 5m, 2h or 3d",
        };
        let digits = value.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = value[..digits].parse().map_err(|_| refuse())?;
        let (_, unit) = DURATION_UNITS.iter().find(|(unit, _)| *unit == &value[digits..]).ok_or_else(refuse)?;
        number.checked_mul(*unit).map(Self::from_millis).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Duration {
    type Error = InvalidQuantity;

    fn try_from(value: String) -> Result<Self, InvalidQuantity> {
        value.parse()
    }
}

impl From<Duration> for String {
    fn from(value: Duration) -> Self {
        value.to_string()
    }
}

impl utoipa::PartialSchema for Duration {
    fn schema() -> RefOr<Schema> {
        schema::word("a whole number and a unit, such as 250ms, 10s, 5m, 2h or 3d", "^[0-9]+(ms|s|m|h|d)$")
    }
}

impl utoipa::ToSchema for Duration {}

impl fmt::Display for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let (unit, size) = DURATION_UNITS
            .iter()
            .rev()
            .find(|(_, size)| milliseconds != 0 && milliseconds.is_multiple_of(*size))
            .unwrap_or(&("s", 1_000));
        write!(formatter, "{}{unit}", milliseconds / size)
    }
}

impl fmt::Debug for Duration {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Between two times, in seconds to a tenth: `1.5`. Two clocks may not agree on which came first, and then it is none.
#[must_use]
pub fn tenths(from: jiff::Timestamp, to: jiff::Timestamp) -> String {
    let length = std::time::Duration::try_from(to.duration_since(from)).unwrap_or_default();
    format!("{:.1}", length.as_secs_f64())
}

/// An amount of memory in bytes, written `512m` or `1g` (powers of 1024, as Docker has them).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Memory(pub u64);

const MEMORY_UNITS: [(&str, u64); 4] = [("b", 1), ("k", 1 << 10), ("m", 1 << 20), ("g", 1 << 30)];

impl FromStr for Memory {
    type Err = InvalidQuantity;

    fn from_str(value: &str) -> Result<Self, InvalidQuantity> {
        let refuse = || InvalidQuantity {
            kind: "memory size",
            value: value.to_owned(),
            expected: "a whole number and a unit, such as 64k, 512m or 1g",
        };
        let digits = value.find(|c: char| !c.is_ascii_digit()).ok_or_else(refuse)?;
        let number: u64 = value[..digits].parse().map_err(|_| refuse())?;
        let unit = value[digits..].to_ascii_lowercase();
        let (_, size) = MEMORY_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(refuse)?;
        number.checked_mul(*size).filter(|bytes| *bytes > 0).map(Self).ok_or_else(refuse)
    }
}

impl TryFrom<String> for Memory {
    type Error = InvalidQuantity;

    fn try_from(value: String) -> Result<Self, InvalidQuantity> {
        value.parse()
    }
}

impl From<Memory> for String {
    fn from(value: Memory) -> Self {
        value.to_string()
    }
}

impl utoipa::PartialSchema for Memory {
    fn schema() -> RefOr<Schema> {
        schema::word("a whole number and a unit, such as 64k, 512m or 1g", "^[0-9]+[bkmg]$")
    }
}

impl utoipa::ToSchema for Memory {}

impl fmt::Display for Memory {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (unit, size) =
            MEMORY_UNITS.iter().rev().find(|(_, size)| self.0.is_multiple_of(*size)).unwrap_or(&MEMORY_UNITS[0]);
        write!(formatter, "{}{unit}", self.0 / size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write_the_same() {
        for text in ["250ms", "10s", "90s", "5m", "2h", "3d", "0s"] {
            assert_eq!(text.parse::<Duration>().unwrap().to_string(), text);
        }
        for wrong in ["", "10", "s", "1.5s", "-1s", "10 s", "10sec", "99999999999999999999s", "18446744073709551615d"] {
            assert!(wrong.parse::<Duration>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_ended_before_it_began_took_no_time() {
        let at = |millisecond| jiff::Timestamp::from_millisecond(millisecond).unwrap();
        for (from, to, said) in [(0, 1_540, "1.5"), (0, 0, "0.0"), (40, 0, "0.0"), (90_000, 0, "0.0")] {
            assert_eq!(tenths(at(from), at(to)), said);
        }
    }

    #[test]
    fn memory_reads_as_docker_does() {
        assert_eq!("512m".parse::<Memory>().unwrap().0, 512 * 1024 * 1024);
        assert_eq!("1G".parse::<Memory>().unwrap().to_string(), "1g");
        for wrong in ["", "512", "0m", "1.5g", "m", "5t"] {
            assert!(wrong.parse::<Memory>().is_err(), "{wrong}");
        }
    }
}
