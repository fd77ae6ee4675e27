//! Tells gateways which apps are kept from their clients. Whoever does not hear it now is told by `reconcile`.

use futures_util::future::join_all;
use windlass_core::gateway::{Maintenance, ServiceKey, SetMaintenance};
use windlass_core::names::{AppName, RepositoryId};
use windlass_core::stage::Stage;
use windlass_engine::GatewayError;

use super::hosts::hosts_of;
use crate::intake::projects;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::maintenance::{NUMBERS, StoredMaintenance};

/// What gateways are told of an app.
pub(crate) fn said(stage: &Stage, project: RepositoryId, stored: StoredMaintenance) -> SetMaintenance {
    let StoredMaintenance { app, number, on } = stored;
    let maintenance = on.map(|view| Maintenance { message: view.message });
    SetMaintenance { key: ServiceKey::new(project, &stage.name, &app), number, maintenance }
}

/// Tells the gateways of the stage's hosts what is stored of an app. Says which of them did not hear it.
pub(crate) async fn tell(service: &Service, stage: &Stage, app: &AppName) -> Result<Vec<String>, StoreError> {
    let Some(project) = projects::repository_ids(service).await?.get(&stage.project).copied() else {
        return Ok(Vec::new());
    };
    let Some(stored) = service.store.maintenance(stage).await?.into_iter().find(|stored| stored.app == *app) else {
        return Ok(Vec::new());
    };
    let request = said(stage, project, stored);
    let hosts = hosts_of(service, stage);
    let told = hosts.iter().filter_map(|(name, host)| Some((name, host.gateway.as_ref()?)));
    let told = told.map(|(name, gateway)| async { (*name, gateway.maintain(&request).await) });
    let mut warnings = Vec::new();
    for (host, told) in join_all(told).await {
        match told {
            // Somebody has said something newer meanwhile, and tells it himself.
            Ok(()) => {}
            Err(GatewayError::Refused(problem)) if problem.code == "older_maintenance" => {
                tracing::debug!(stage.name = %stage, %host, problem.detail, "a newer word was there");
            }
            Err(error) => {
                warnings.push(format!("the gateway of host {host} does not know it yet: {error}"));
                service.wake.reconcile.notify_one();
            }
        }
    }
    Ok(warnings)
}

/// A store that was restored from a backup gives larger numbers than those that a gateway knows.
pub(super) async fn catch_up(service: &Service, newest: u64) -> Result<(), StoreError> {
    service.store.raise(NUMBERS, newest).await.map(drop)
}
