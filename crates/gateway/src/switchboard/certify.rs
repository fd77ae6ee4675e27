//! What the switchboard says of certificates: which names are wanted, and what the service gives for them.

use std::collections::BTreeMap;
use std::io;

use windlass_core::gateway::{Route, ServiceKey, SetCertificates, SetChallenges};

use super::Switchboard;
use crate::entry::Entry;
use crate::refusal::{self, Refusal};

impl Switchboard {
    /// Shows these from now on, once they are on disk.
    pub(crate) async fn certificates(&self, request: SetCertificates) -> Result<(), Refusal> {
        let Some(certificates) = self.certificates.clone() else { return Ok(()) };
        let given = tokio::task::spawn_blocking(move || certificates.give(request.certificates));
        given.await.map_err(io::Error::other).and_then(|given| given).map_err(|error| refusal::snapshot(&error))
    }

    /// Answers an authority so from now on.
    pub(crate) fn challenges(&self, request: SetChallenges) {
        if let Some(certificates) = &self.certificates {
            certificates.challenge(request.challenges);
        }
    }

    pub(super) fn certify(&self, entries: &BTreeMap<ServiceKey, Entry>) {
        if let Some(certificates) = &self.certificates {
            certificates.serve(routes_of(entries));
        }
    }
}

pub(super) fn routes_of(entries: &BTreeMap<ServiceKey, Entry>) -> impl Iterator<Item = &Route> {
    entries.values().filter_map(|entry| entry.active.as_ref()).flat_map(|active| &active.spec().routes)
}
