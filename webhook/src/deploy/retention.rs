//! Takes images from the hosts that no release which may run again needs: by count, never by age, never by force, and
//! nothing that the store does not know as a release's. Networks of stages that are gone go too.

mod choice;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use windlass_core::names::HostName;
use windlass_engine::{EngineError, Host, Removal};

use crate::at_work::Piece;
use crate::deploy::hosts;
use crate::intake::projects;
use crate::service::Service;
use crate::sight::LONG_PATIENCE;
use crate::store::StoreError;
use crate::store::images::ReleaseKey;
use crate::work::BackgroundTask;
use choice::{Kept, Superfluous, superfluous};

pub(crate) struct Retention {
    service: Arc<Service>,
    /// What was looked for on a host and not found, so that an old release costs nothing every hour.
    gone: Mutex<BTreeSet<(HostName, String)>>,
}

impl Retention {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, gone: Mutex::default() }
    }
}

impl BackgroundTask for Retention {
    const NAME: &'static str = "retention";
    const PERIOD: Duration = Duration::from_secs(60 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let choice = self.choose().await?;
        let references: BTreeSet<String> = choice.iter().map(|it| it.image.reference()).collect();
        self.gone().retain(|(_, reference)| references.contains(reference));
        let looks = self.service.hosts.iter().map(|(name, host)| self.look_through(name, host, &choice));
        join_all(looks).await.into_iter().collect::<Result<(), StoreError>>()?;
        self.remove_networks().await?;
        Ok(None)
    }
}

/// What came of an image on a host.
enum Looked {
    Done,
    /// The host does not answer: nothing more is asked of it for now.
    Silent,
}

impl Retention {
    /// Each host by itself: one that does not answer keeps no image on the others.
    async fn look_through(&self, name: &HostName, host: &Host, choice: &[Superfluous]) -> Result<(), StoreError> {
        for old in choice {
            let is_there = hosts::hosts_of(&self.service, &old.stage).iter().any(|(has, _)| *has == name);
            if is_there && matches!(self.remove(name, host, old).await?, Looked::Silent) {
                break;
            }
        }
        Ok(())
    }

    async fn remove(&self, name: &HostName, host: &Host, old: &Superfluous) -> Result<Looked, StoreError> {
        let reference = old.image.reference();
        let place = (name.clone(), reference.clone());
        if self.gone().contains(&place) {
            return Ok(Looked::Done);
        }
        match tokio::time::timeout(LONG_PATIENCE, host.engine.inspect_image(&reference)).await {
            Ok(Ok(Some(_))) => {}
            Ok(Ok(None)) => {
                self.gone().insert(place);
                return Ok(Looked::Done);
            }
            Ok(Err(error)) => {
                tracing::debug!(stage.name = %old.stage, host = %name, %error, "cannot look for old images");
                return Ok(if matches!(error, EngineError::Unreachable { .. }) {
                    Looked::Silent
                } else {
                    Looked::Done
                });
            }
            Err(_) => return Ok(Looked::Silent),
        }
        // Nobody begins to deploy it meanwhile, on whichever stage.
        let claims: Vec<_> =
            old.shared_by.iter().map(|stage| self.service.at_work.claim(Piece::Stage(stage.clone()))).collect();
        if claims.iter().all(Option::is_some) && self.choose().await?.contains(old) {
            match host.engine.remove_unused_image(&reference).await {
                Ok(Removal::Removed) => {
                    tracing::info!(stage.name = %old.stage, host = %name, image = reference, "old image removed");
                }
                Ok(Removal::NotThere | Removal::InUse) => {}
                Err(error) => {
                    tracing::warn!(stage.name = %old.stage, host = %name, %error, "old image could not be removed");
                }
            }
        }
        if claims.into_iter().flatten().any(|claim| claim.give_up().is_err()) {
            self.service.wake.stages.notify_one();
        }
        Ok(Looked::Done)
    }

    /// Those of stages that are not in the server's file any more, once nothing of them is left.
    async fn remove_networks(&self) -> Result<(), StoreError> {
        let ids = projects::repository_ids(&self.service).await?;
        if ids.len() < self.service.settings.server.projects.len() {
            // Whose networks there are is not known yet.
            return Ok(());
        }
        let stages = self
            .service
            .settings
            .server
            .stages()
            .into_iter()
            .filter_map(|key| Some((*ids.get(&key.project)?, key.name)));
        let stages: BTreeSet<_> = stages.collect();
        let stages = &stages;
        let looks = self.service.hosts.iter().map(|(name, host)| async move {
            match host.engine.remove_networks_but(stages).await {
                Ok(removed) => {
                    removed.iter().for_each(|network| tracing::info!(host = %name, network, "network removed"));
                }
                Err(error) => tracing::debug!(host = %name, %error, "cannot look for old networks"),
            }
        });
        join_all(looks).await;
        Ok(())
    }

    async fn choose(&self) -> Result<Vec<Superfluous>, StoreError> {
        let store = &self.service.store;
        let mut needed: BTreeSet<ReleaseKey> = store.needed_releases().await?.into_iter().collect();
        for task in store.open_tasks().await? {
            let labels = task.spec.labels;
            needed.insert(ReleaseKey { stage: task.stage, app: labels.app, number: labels.release });
        }
        let mut keep = BTreeMap::new();
        for stage in self.service.settings.server.stages() {
            // Where a rollback goes to.
            let back = store.way_back(&stage).await?;
            for app in store.apps(&stage).await? {
                if let Some(number) = back.of_app(&app) {
                    needed.insert(ReleaseKey { stage: stage.clone(), app, number });
                }
            }
            if let Some(policy) = self.service.settings.server.policy(&stage) {
                keep.insert(stage, usize::try_from(policy.keep).unwrap_or(usize::MAX));
            }
        }
        Ok(superfluous(&store.images().await?, &Kept { newest: keep, needed }))
    }

    fn gone(&self) -> std::sync::MutexGuard<'_, BTreeSet<(HostName, String)>> {
        self.gone.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
