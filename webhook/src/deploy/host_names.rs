//! Host names of several projects on one gateway: what a deployment would serve must not be another project's.

use std::collections::{BTreeMap, BTreeSet};

use windlass_core::config::{AskedHosts, Claim, Refusal};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::names::ProjectName;

use crate::deploy::planning::{Intent, PlanningError};
use crate::release_config::stored_config;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::claims::{Serving, StoredClaim};

/// Whose host names are, at one moment.
#[derive(Debug)]
pub(crate) struct Ownership {
    /// Written down, and still true.
    stays: Vec<StoredClaim>,
    /// Written down, and served by nobody any more.
    gone: Vec<StoredClaim>,
    /// Served since before it was written down.
    missing: Vec<(ProjectName, Claim)>,
}

/// Compares what is written down with what is served.
async fn ownership(service: &Service) -> Result<Ownership, StoreError> {
    // In this order: what is claimed meanwhile is served by then.
    let written = service.store.host_claims().await?;
    let mut served: BTreeSet<(ProjectName, Claim)> = BTreeSet::new();
    let (mut in_order, mut unreadable) = (Vec::new(), BTreeSet::new());
    for Serving { stage, app, release } in service.store.serving().await? {
        let Some(project) = service.settings.server.projects.get(&stage.project) else { continue };
        let Some(release) = service.store.release(&stage, &app, release).await? else { continue };
        let Ok(config) = stored_config(&stage, &release.config).await else {
            // An older version could read it, and it is served all the same.
            unreadable.insert(stage.project);
            continue;
        };
        for claim in config.apps.get(&app).into_iter().flat_map(|app| project.limits.claims(app)) {
            let one = (stage.project.clone(), claim);
            if served.insert(one.clone()) {
                in_order.push(one);
            }
        }
    }
    let known: BTreeSet<&Claim> = written.iter().map(|it| &it.claim).collect();
    let missing = in_order.into_iter().filter(|(_, claim)| !known.contains(claim)).collect();
    let (stays, gone) = written
        .into_iter()
        .partition(|it| unreadable.contains(&it.project) || served.contains(&(it.project.clone(), it.claim.clone())));
    Ok(Ownership { stays, gone, missing })
}

/// Brings what is written down to what is served.
pub(crate) async fn settle_claims(service: &Service) -> Result<(), StoreError> {
    let Ownership { gone, missing, .. } = ownership(service).await?;
    service.store.settle_claims(&gone, &missing, service.clock.now()).await
}

/// What a deployment would serve, and what the server's file gives to others.
pub(crate) async fn asked_hosts(service: &Service, intent: &Intent<'_>) -> Result<AskedHosts, PlanningError> {
    let stage = intent.stage;
    let limits =
        service.settings.server.projects.get(&stage.project).map(|project| project.limits.clone()).unwrap_or_default();
    let mut apps = BTreeMap::new();
    for (name, number) in intent.releases {
        let Some(release) = service.store.release(stage, name, *number).await? else { continue };
        let config = stored_config(stage, &release.config).await?.apps.remove(name);
        apps.extend(config.map(|config| (name.clone(), config)));
    }
    let projects = service.settings.server.projects.iter();
    let others = projects.filter(|(name, _)| **name != stage.project);
    let allowed = others.flat_map(|(_, project)| project.limits.entries()).collect();
    Ok(AskedHosts { project: stage.project.clone(), limits, apps, allowed })
}

/// The same question as when a plan is stored, for whoever only looks.
pub(crate) async fn check_hosts(service: &Service, intent: &Intent<'_>) -> Result<(), PlanningError> {
    let asked = asked_hosts(service, intent).await?;
    let Ownership { stays, missing, .. } = ownership(service).await?;
    let had = stays.into_iter().map(|it| (it.project, it.claim)).chain(missing);
    asked.refusal(had).map_or(Ok(()), |refusal| Err(taken(refusal).into()))
}

/// What is another project's, as people are told.
pub(crate) fn taken(refusal: Refusal) -> Failure {
    Failure::new(FailureCode::PolicyRefused, refusal.to_string()).hint(refusal.remedy)
}
