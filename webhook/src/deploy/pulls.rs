//! Fetches the images of deployments that wait at their gate, so that they are there when it opens. What fails here is
//! tried again, and told, by the deployment's own first step.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use windlass_core::deployment::{DeploymentState, Event};
use windlass_core::names::{DeploymentId, HostName};
use windlass_core::secrets::Masker;
use windlass_core::task::Image;
use windlass_engine::Prepared;

use crate::deploy::hosts;
use crate::service::Service;
use crate::work::BackgroundTask;

pub(crate) struct Pulls {
    service: Arc<Service>,
    begun: Begun,
}

impl Pulls {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, begun: Begun::default() }
    }
}

impl BackgroundTask for Pulls {
    const NAME: &'static str = "pulls";
    const PERIOD: Duration = Duration::from_secs(10);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &self.service;
        let open = service.store.open_deployments().await?;
        self.begun.keep_only(|pull| open.iter().any(|deployment| deployment.id == pull.deployment));
        for deployment in open.iter().filter(|it| it.state == DeploymentState::Waiting) {
            // One whose gate has not been looked at may run in this moment.
            let events = service.store.events(&deployment.id).await?;
            if !matches!(events.last(), Some((_, Event::Waiting { .. }))) {
                continue;
            }
            for (name, number) in &deployment.releases {
                let Some(release) = service.store.release(&deployment.stage, name, *number).await? else { continue };
                // What was built on a host is there, or nowhere.
                if release.image.is_none() {
                    continue;
                }
                let image = Image { name: release.image, digest: release.digest };
                for (host, _) in hosts::hosts_of(service, &deployment.stage) {
                    let pull =
                        EarlyPull { deployment: deployment.id.clone(), host: host.clone(), image: image.clone() };
                    if self.begun.is_first(&pull) {
                        service.tracker.spawn(run(Arc::clone(service), pull));
                    }
                }
            }
        }
        Ok(None)
    }
}

/// An image that a host will need.
#[derive(Debug, Clone, PartialEq, Eq)]
struct EarlyPull {
    deployment: DeploymentId,
    host: HostName,
    image: Image,
}

/// What was begun for the deployments that are open: each once.
#[derive(Debug, Default)]
struct Begun(Mutex<Vec<EarlyPull>>);

impl Begun {
    fn is_first(&self, pull: &EarlyPull) -> bool {
        let mut begun = self.lock();
        let first = !begun.contains(pull);
        if first {
            begun.push(pull.clone());
        }
        first
    }

    fn keep_only(&self, is_open: impl FnMut(&EarlyPull) -> bool) {
        self.lock().retain(is_open);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<EarlyPull>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn run(service: Arc<Service>, pull: EarlyPull) {
    let EarlyPull { deployment, host: name, image } = &pull;
    let Some(host) = service.hosts.get(name) else { return };
    let registries = service.settings.registries();
    let registry = image.name.as_ref().and_then(|name| registries.get(name.registry()));
    // The engine lets one at a time pull an image: the deployment's own step waits for this one.
    let prepared = tokio::select! {
        prepared = host.engine.prepare(image, registry) => prepared,
        () = service.shutdown.cancelled() => return,
    };
    match prepared {
        Ok(Prepared::Present) => {}
        Ok(Prepared::Pulled) => {
            let image = image.reference();
            tracing::info!(deployment.id = %deployment, host = %name, image, "pulled while its deployment waits");
        }
        Err(failure) => {
            let masker = Masker::new(registries.values().map(|registry| &registry.password));
            let error = masker.mask(&failure.summary).into_owned();
            tracing::warn!(deployment.id = %deployment, host = %name, error, "not pulled early");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pull(deployment: u8, host: &str) -> EarlyPull {
        let digest = format!("sha256:{}", "1".repeat(64)).parse().unwrap();
        EarlyPull {
            deployment: DeploymentId::from_random([deployment; 16]),
            host: host.parse().unwrap(),
            image: Image { name: Some("ghcr.io/acme/shop".parse().unwrap()), digest },
        }
    }

    #[test]
    fn an_image_is_fetched_once_per_deployment_and_host() {
        let pulls = Begun::default();
        assert!(pulls.is_first(&pull(1, "a")) && pulls.is_first(&pull(1, "b")) && pulls.is_first(&pull(2, "a")));
        assert!(!pulls.is_first(&pull(1, "a")));
        pulls.keep_only(|pull| pull.deployment == DeploymentId::from_random([2; 16]));
        assert!(!pulls.is_first(&pull(2, "a")));
        assert_eq!(pulls.lock().len(), 1, "what has ended is forgotten");
    }
}
