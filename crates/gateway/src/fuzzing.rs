//! Doors to what the gateway is told and remembers, for the targets in `fuzz/`. They exist only where cargo-fuzz builds.

use serde::Serialize;
use serde::de::DeserializeOwned;
use windlass_core::gateway::{
    AwaitAiling, AwaitDrained, Discard, Prepare, Remove, ServiceSpec, SetCertificates, SetChallenges, SetMaintenance,
    Switch,
};

use crate::{snapshot, spec};

/// Understands a message as the control socket does, by its path. `None`: it is refused.
#[must_use]
pub fn understand(path: &str, body: &[u8]) -> Option<()> {
    match path {
        "/v1/prepare" => check(again::<Prepare>(body)?.service),
        "/v1/switch" => check(again::<Switch>(body)?.service),
        "/v1/drained" => again::<AwaitDrained>(body).map(drop),
        "/v1/ailing" => again::<AwaitAiling>(body).map(drop),
        "/v1/discard" => again::<Discard>(body).map(drop),
        "/v1/remove" => again::<Remove>(body).map(drop),
        "/v1/certificates" => again::<SetCertificates>(body).map(drop),
        "/v1/challenges" => again::<SetChallenges>(body).map(drop),
        "/v1/maintenance" => again::<SetMaintenance>(body).map(drop),
        _ => None,
    }
}

/// What is understood is the same when it is said again.
fn again<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(body: &[u8]) -> Option<T> {
    let message: T = serde_json::from_slice(body).ok()?;
    let said = serde_json::to_vec(&message).expect("a message can be said");
    assert_eq!(serde_json::from_slice::<T>(&said).expect("what was said is understood"), message);
    Some(message)
}

/// What is checked is the same when it is checked again.
fn check(service: ServiceSpec) -> Option<()> {
    let checked = spec::checked(service).ok()?;
    let twice = spec::checked(checked.clone()).expect("what was checked is good");
    assert_eq!(twice, checked);
    Some(())
}

/// Reads a snapshot: how many services, and how many parts that are lost. What was read is read again without a loss.
/// `None`: it is none.
///
/// # Panics
///
/// When it is not.
#[must_use]
pub fn read_snapshot(text: &[u8]) -> Option<(usize, usize)> {
    let (read, damage) = snapshot::understood(text).ok()?;
    let stored = serde_json::to_vec(&read).expect("a snapshot can be stored");
    let (again, lost) = snapshot::understood(&stored).expect("what was stored is read");
    assert!(lost.is_empty(), "{lost:?}");
    assert_eq!(again.services, read.services);
    Some((read.services.len(), damage.len()))
}
