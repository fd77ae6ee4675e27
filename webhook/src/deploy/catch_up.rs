//! A store that was restored from a backup is behind what its hosts and gateways know: its counters begin above that, so
//! that no number is given twice, and what runs is left alone until somebody deploys.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use windlass_core::gateway::ServiceKey;
use windlass_core::names::{AppName, HostName, RepositoryId};
use windlass_core::plan::GENERATIONS_OF_A_PLAN;
use windlass_core::stage::Stage;
use windlass_core::task::ObservedTask;
use windlass_engine::Host;

use crate::deploy::maintenance;
use crate::intake::projects;
use crate::service::Service;
use crate::store::StoreError;

/// A host that takes longer is looked at the next time.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a host and its gateway know.
struct Seen {
    tasks: Vec<ObservedTask>,
    /// By service: the newest generation, and the release where one is served.
    services: Vec<(ServiceKey, u64, u64)>,
    /// The newest word on maintenance.
    maintenance: u64,
}

/// The largest numbers that were seen of an app.
#[derive(Debug, Default)]
struct Largest {
    generation: u64,
    release: u64,
}

/// Looks at each host once, as soon as it answers.
pub(crate) async fn catch_up(service: &Service) -> Result<(), StoreError> {
    let names = service.unseen.names();
    let looks = names.iter().filter_map(|name| Some((name, service.hosts.get(name)?))).map(|(name, host)| async move {
        let seen = tokio::time::timeout(PATIENCE, look(host)).await.ok().flatten()?;
        say_whose_else(service, name, host).await;
        Some((name, seen))
    });
    let seen: Vec<_> = join_all(looks).await.into_iter().flatten().collect();
    maintenance::catch_up(service, seen.iter().map(|(_, seen)| seen.maintenance).max().unwrap_or_default()).await?;
    let ids = projects::repository_ids(service).await?;
    for stage in service.settings.server.stages() {
        let Some(id) = ids.get(&stage.project) else { continue };
        let largest = largest_of(&stage, *id, seen.iter().map(|(_, seen)| seen));
        begin_above(service, &stage, &largest).await?;
    }
    // Of a project whose id is not known nobody can tell what is its.
    if ids.len() >= service.settings.server.projects.len() {
        seen.iter().for_each(|(name, _)| service.unseen.was_seen(name));
    }
    Ok(())
}

async fn begin_above(service: &Service, stage: &Stage, largest: &BTreeMap<AppName, Largest>) -> Result<(), StoreError> {
    let (counter, known) =
        (format!("generation/{stage}"), service.store.counter(&format!("generation/{stage}")).await?);
    for (app, Largest { generation, release }) in largest {
        if *generation > known {
            tracing::warn!(
                stage.name = %stage, app.name = %app, generation.seen = generation, generation.stored = known,
                "the store is behind what runs, as after a restore from a backup: what runs is left alone until the \
                 next deployment, which takes its place"
            );
            service.store.raise(&format!("behind/{stage}/{app}"), *generation).await?;
            service.store.raise(&counter, generation + GENERATIONS_OF_A_PLAN).await?;
        }
        if service.store.raise(&format!("release/{stage}/{app}"), *release).await? {
            tracing::warn!(stage.name = %stage, app.name = %app, release, "release numbers go on above what runs");
        }
    }
    Ok(())
}

/// A service that knows of no deployment may be one whose data folder is gone.
async fn say_whose_else(service: &Service, name: &HostName, host: &Host) {
    let Ok(others) = host.engine.other_installations().await else { return };
    if others.is_empty() || service.store.counter("deployment").await.unwrap_or_default() > 0 {
        return;
    }
    let others: Vec<String> = others.iter().map(|(id, count)| format!("{id} ({count})")).collect();
    tracing::warn!(
        host.name = %name, installation = %service.installation, others = others.join(", "),
        "containers of other installations are on this host: another Windlass has it too, or this one's data folder \
         was lost and nobody looks after them"
    );
}

async fn look(host: &Host) -> Option<Seen> {
    let tasks = host.engine.observe().await.ok()?;
    let (mut services, mut maintenance) = (Vec::new(), 0);
    if let Some(gateway) = &host.gateway {
        let status = gateway.status().await.ok()?;
        maintenance = status.maintenance.values().map(|said| said.number).max().unwrap_or_default();
        services.extend(status.services.into_iter().map(|it| (it.key, it.generation.0, it.release.0)));
        services.extend(status.removed.into_iter().map(|(key, generation)| (key, generation.0, 0)));
    }
    Some(Seen { tasks, services, maintenance })
}

fn largest_of<'a>(
    stage: &Stage,
    project: RepositoryId,
    seen: impl Iterator<Item = &'a Seen>,
) -> BTreeMap<AppName, Largest> {
    let mut largest: BTreeMap<AppName, Largest> = BTreeMap::new();
    let mut note = |app: AppName, generation: u64, release: u64| {
        let known = largest.entry(app).or_default();
        known.generation = known.generation.max(generation);
        known.release = known.release.max(release);
    };
    let prefix = format!("{project}/{}/", stage.name);
    for Seen { tasks, services, .. } in seen {
        for task in tasks.iter().filter(|it| it.labels.project == project && it.labels.stage == stage.name) {
            note(task.labels.app.clone(), task.labels.generation.0, task.labels.release.0);
        }
        for (key, generation, release) in services {
            if let Some(app) = key.0.strip_prefix(&prefix).and_then(|app| app.parse().ok()) {
                note(app, *generation, *release);
            }
        }
    }
    largest
}
