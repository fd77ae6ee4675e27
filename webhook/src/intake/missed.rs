//! Finds the deliveries that GitHub could not make while we were away, and asks for them again.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::SignedDuration;
use url::Url;
use windlass_core::names::ProjectName;

use crate::github::{FailedDelivery, GitHubError, Hook};
use crate::service::Service;
use crate::store::StoreError;
use crate::work::BackgroundTask;

/// So long GitHub keeps deliveries; for what is older there is the branch's head.
const WINDOW: SignedDuration = SignedDuration::from_hours(72);
/// The same delivery is asked for no more often than this.
const ASK_AGAIN: SignedDuration = SignedDuration::from_hours(1);
/// Requests that change something come at this pace: well below GitHub's limit of 180 a minute.
const PACE: Duration = Duration::from_millis(500);
/// When to look again after GitHub did not answer.
const SOON: Duration = Duration::from_secs(60);

pub(crate) struct Missed {
    service: Arc<Service>,
    /// What was said already of what we may not see.
    said: Mutex<BTreeSet<String>>,
}

/// Why not all that was missed was asked for.
#[derive(Debug, thiserror::Error)]
enum MissedError {
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Missed {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, said: Mutex::default() }
    }
}

impl BackgroundTask for Missed {
    const NAME: &'static str = "missed";
    const PERIOD: Duration = Duration::from_secs(10 * 60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let address = self.address()?;
        let mut again = None;
        let mut looked_at: Vec<Hook> = Vec::new();
        for project in self.service.settings.server.projects.keys() {
            match self.look(project, &address, &mut looked_at).await {
                Ok(()) => {}
                Err(MissedError::Store(error)) => return Err(error.into()),
                Err(MissedError::GitHub(error)) if error.is_temporary() => {
                    again = Some(error.retry_after().unwrap_or(SOON).max(again.unwrap_or_default()));
                    tracing::warn!(project.name = %project, %error, "missed deliveries cannot be looked for yet");
                }
                Err(MissedError::GitHub(error)) => self.say_once(project, &error),
            }
        }
        Ok(again)
    }
}

impl Missed {
    /// Where GitHub delivers to.
    fn address(&self) -> anyhow::Result<Url> {
        let public = self.service.settings.server.public_url.as_str().trim_end_matches('/');
        Ok(format!("{public}/webhooks/github").parse()?)
    }

    async fn look(&self, project: &ProjectName, address: &Url, looked_at: &mut Vec<Hook>) -> Result<(), MissedError> {
        let service = &*self.service;
        let Some(hook) = service.github.hook(project, address).await? else { return Ok(()) };
        if looked_at.contains(&hook) {
            return Ok(());
        }
        looked_at.push(hook.clone());
        let since = service.clock.now().saturating_sub(WINDOW).unwrap_or_default();
        let failed = service.github.failed_deliveries(&hook, since).await?;
        let mut pace = tokio::time::interval(PACE);
        for delivery in failed {
            if self.is_to_be_asked_for(&delivery).await? {
                pace.tick().await;
                // Before it is asked for: a delivery that brings us down is not asked for in a circle.
                service.store.redelivery_asked(&delivery.guid, service.clock.now()).await?;
                match service.github.deliver_again(&hook, &delivery).await {
                    Ok(()) => tracing::info!(delivery.guid, missed = %delivery.at, "GitHub is asked to deliver again"),
                    // The others may be luckier.
                    Err(error @ (GitHubError::Refused { .. } | GitHubError::NotFound { .. }))
                        if !error.is_temporary() =>
                    {
                        tracing::warn!(delivery.guid, %error, "GitHub does not deliver again");
                    }
                    Err(error) => return Err(error.into()),
                }
            }
        }
        Ok(())
    }

    async fn is_to_be_asked_for(&self, delivery: &FailedDelivery) -> Result<bool, StoreError> {
        let known = self.service.store.missed_delivery(&delivery.guid).await?;
        let now = self.service.clock.now();
        Ok(!known.stored && known.asked_at.is_none_or(|asked| now.duration_since(asked) >= ASK_AGAIN))
    }

    /// A permission that is missing is no failure: the branches' heads are read all the same.
    fn say_once(&self, project: &ProjectName, error: &GitHubError) {
        let why = error.to_string();
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(why.clone()) {
            let hint =
                "a token needs the permission Webhooks: read and write; the branches' heads are read in any case";
            tracing::warn!(project.name = %project, why, hint, "missed deliveries are not looked for");
        }
    }
}
