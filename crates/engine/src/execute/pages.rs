//! Apps' own pages, which gateways show where they answer in the app's place.

use std::collections::BTreeMap;

use windlass_core::gateway::{ServiceKey, ServiceSpec, Target};
use windlass_core::names::ReleaseNumber;
use windlass_core::plan::HostService;

use super::StepContext;

/// By service and release.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServicePages(BTreeMap<(ServiceKey, ReleaseNumber), BTreeMap<u16, String>>);

impl ServicePages {
    /// Whether those of a release are known, should it have none too.
    #[must_use]
    pub fn has(&self, key: &ServiceKey, release: ReleaseNumber) -> bool {
        self.0.contains_key(&(key.clone(), release))
    }

    /// Those of a release, by status.
    pub fn add(&mut self, key: ServiceKey, release: ReleaseNumber, pages: BTreeMap<u16, String>) {
        self.0.insert((key, release), pages);
    }
}

impl StepContext {
    /// With these pages.
    #[must_use]
    pub fn with_pages(self, pages: ServicePages) -> Self {
        Self { pages, ..self }
    }

    /// What a service's gateway is told.
    pub(super) fn spec(&self, service: &HostService, targets: Vec<Target>) -> ServiceSpec {
        let pages = self.pages.0.get(&(service.key.clone(), service.release)).cloned().unwrap_or_default();
        ServiceSpec { pages, ..service.spec(service.generation, targets) }
    }
}
