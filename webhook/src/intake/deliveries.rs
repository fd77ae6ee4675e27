//! Turns stored deliveries into what the stages' branches want, each once. What can be told without GitHub is told at once;
//! what needs GitHub is worked on beside it, and stands in nobody's way however long GitHub takes.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::Semaphore;
use windlass_core::config::TriggerKind;
use windlass_core::names::{CommitSha, ProjectName, RepositoryId};

use crate::at_work::Piece;
use crate::back_off::BackOff;
use crate::github::event::{GitHubEvent, RepositoryRef};
use crate::github::{GitHubError, payload};
use crate::intake::projects;
use crate::intake::relevance;
use crate::intake::wanting;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::deliveries::{DeliveryProgress, DueDelivery};
use crate::store::deployments::Source;
use crate::store::stages::WantedCommit;
use crate::work::BackgroundTask;

/// How many are looked at before what came of them is written down.
const AT_ONCE: u32 = 100;
/// For how many GitHub is asked at the same time.
const ASKING: usize = 8;
/// One that was taken and of which nothing was heard is taken again after this long: we may have been killed meanwhile.
const TAKEN: Duration = Duration::from_secs(10);
/// Between two attempts,
const AGAIN: BackOff = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(300) };
/// and how long there are attempts: as long as GitHub could be asked to deliver it again.
const GIVE_UP: SignedDuration = SignedDuration::from_hours(72);

pub(crate) struct Deliveries {
    service: Arc<Service>,
    asking: Arc<Semaphore>,
}

impl Deliveries {
    pub(crate) fn new(service: Arc<Service>) -> Self {
        Self { service, asking: Arc::new(Semaphore::new(ASKING)) }
    }
}

impl BackgroundTask for Deliveries {
    const NAME: &'static str = "deliveries";
    const PERIOD: Duration = Duration::from_secs(60);

    async fn activate(&self) -> anyhow::Result<Option<Duration>> {
        let service = &self.service;
        loop {
            let due = service.store.due_deliveries(service.clock.now(), AT_ONCE).await?;
            if due.is_empty() {
                let next = service.store.next_due_delivery().await?;
                return Ok(
                    next.map(|at| Duration::try_from(at.duration_since(service.clock.now())).unwrap_or(Duration::ZERO))
                );
            }
            self.work_on(due).await?;
        }
    }
}

impl Deliveries {
    async fn work_on(&self, due: Vec<DueDelivery>) -> anyhow::Result<()> {
        let service = &self.service;
        let mut went = Vec::new();
        let mut to_ask = Vec::new();
        let mut told = Outcomes::new();
        for delivery in due {
            let body = service.store.delivery_body(&delivery.guid).await?;
            let progress = match payload::parse(&delivery.event, body.as_bytes()) {
                Ok(event) => match without_github(service, &event, &mut told).await? {
                    Some(outcome) => DeliveryProgress::Done(outcome),
                    None => {
                        to_ask.push((delivery.clone(), event));
                        DeliveryProgress::Taken { until: later(service.clock.now(), TAKEN) }
                    }
                },
                Err(error) => DeliveryProgress::Failed(error.to_string()),
            };
            log(&delivery, &progress);
            went.push((delivery.guid, progress));
        }
        service.store.deliveries_went(&went, service.clock.now()).await?;
        service.wake.stages.notify_one();
        for (delivery, event) in to_ask {
            service.tracker.spawn(with_github(Arc::clone(service), delivery, event, Arc::clone(&self.asking)));
        }
        Ok(())
    }
}

/// Deliveries that tell the same come in swarms: what was told of one in a round is told of the next.
type Outcomes = Vec<(What, Option<String>)>;

/// What a delivery tells, whoever did it: a commit of a repository, and for a push or a merge on which branch.
type What = (RepositoryId, CommitSha, Option<(TriggerKind, String)>);

/// What came of an event, where that can be told without GitHub.
async fn without_github(
    service: &Service,
    event: &GitHubEvent,
    told: &mut Outcomes,
) -> Result<Option<String>, StoreError> {
    if let Some(outcome) = relevance::means_nothing(service, event) {
        return Ok(Some(outcome));
    }
    let (repository, commit, on) = match event {
        GitHubEvent::PullRequestMerged { repository, commit, base_branch, .. } => {
            (repository, commit, Some((TriggerKind::Merge, base_branch)))
        }
        GitHubEvent::BranchPushed { repository, commit, branch, .. } => {
            (repository, commit, Some((TriggerKind::Push, branch)))
        }
        GitHubEvent::ChecksChanged { repository, commit } => (repository, commit, None),
        GitHubEvent::RepositoryRenamed { .. } | GitHubEvent::Pinged | GitHubEvent::Ignored { .. } => return Ok(None),
    };
    let what = (repository.id, commit.clone(), on.map(|(trigger, branch)| (trigger, branch.clone())));
    if let Some((_, outcome)) = told.iter().find(|(before, _)| *before == what) {
        return Ok(outcome.clone());
    }
    let outcome = match project(service, repository).await? {
        None => Some(unknown(repository)),
        Some(project) => match on {
            None => {
                service.store.saw_commit(&project, commit, true, service.clock.now()).await?;
                Some(format!("checks of {} changed", commit.short()))
            }
            Some((trigger, branch)) => wanted_already(service, &project, commit, (trigger, branch)).await?,
        },
    };
    told.push((what, outcome.clone()));
    Ok(outcome)
}

/// What is wanted already need not be asked for.
async fn wanted_already(
    service: &Service,
    project: &ProjectName,
    commit: &CommitSha,
    (trigger, branch): (TriggerKind, &str),
) -> Result<Option<String>, StoreError> {
    for stage in relevance::stages_deploying(service, project, branch, trigger) {
        if service.store.wanted_commit(&stage).await?.is_none_or(|wanted| wanted.commit != *commit) {
            return Ok(None);
        }
    }
    Ok(Some(format!("{} is wanted already", commit.short())))
}

/// Works on a delivery that needs GitHub until it is done, or has to wait. Whoever comes meanwhile finds it claimed.
async fn with_github(service: Arc<Service>, delivery: DueDelivery, event: GitHubEvent, asking: Arc<Semaphore>) {
    let Some(_claim) = service.at_work.claim(Piece::Delivery(delivery.guid.clone())) else { return };
    let work = async {
        // It is never closed.
        let _turn = asking.acquire().await;
        take(&service, &event).await
    };
    let taken = tokio::select! {
        taken = work => taken,
        // It can be begun again: an end does not wait for GitHub.
        () = service.shutdown.cancelled() => return,
    };
    let now = service.clock.now();
    let progress = match taken {
        Ok(outcome) => DeliveryProgress::Done(outcome),
        Err(error) if now.duration_since(delivery.received_at) > GIVE_UP => {
            DeliveryProgress::Failed(format!("{error:#}"))
        }
        Err(error) => {
            let asked = error.downcast_ref::<GitHubError>().and_then(GitHubError::retry_after);
            let until = later(now, AGAIN.pause(delivery.attempts + 1).max(asked.unwrap_or_default()));
            DeliveryProgress::Postponed { why: format!("{error:#}"), until }
        }
    };
    log(&delivery, &progress);
    if let Err(error) = service.store.deliveries_went(&[(delivery.guid, progress)], now).await {
        // It is taken again, and ends in the same place.
        tracing::error!(error = format!("{:#}", anyhow::Error::new(error)), "what came of a delivery is not on record");
    }
    service.wake.stages.notify_one();
    service.wake.deliveries.notify_one();
}

async fn take(service: &Service, event: &GitHubEvent) -> anyhow::Result<String> {
    match event {
        GitHubEvent::PullRequestMerged { repository, number, base_branch, commit, by, .. } => {
            let asked = format!("{by} merged #{number}");
            want(service, repository, base_branch, commit, (TriggerKind::Merge, Source::Merge), &asked).await
        }
        GitHubEvent::BranchPushed { repository, branch, commit, by, .. } => {
            let asked = format!("{by} pushed");
            want(service, repository, branch, commit, (TriggerKind::Push, Source::Push), &asked).await
        }
        GitHubEvent::RepositoryRenamed { repository, .. } => renamed(service, repository).await,
        GitHubEvent::ChecksChanged { .. } | GitHubEvent::Pinged | GitHubEvent::Ignored { .. } => {
            Ok("told without GitHub".to_owned())
        }
    }
}

async fn want(
    service: &Service,
    repository: &RepositoryRef,
    branch: &str,
    commit: &CommitSha,
    (trigger, source): (TriggerKind, Source),
    requested_by: &str,
) -> anyhow::Result<String> {
    let Some(project) = project(service, repository).await? else { return Ok(unknown(repository)) };
    projects::heard_of_name(service, &project, &repository.name).await?;
    service.store.saw_commit(&project, commit, false, service.clock.now()).await?;
    let mut wanting = Vec::new();
    for stage in relevance::stages_deploying(service, &project, branch, trigger) {
        let wanted = WantedCommit { commit: commit.clone(), source, requested_by: requested_by.to_owned() };
        if wanting::want(service, &stage, &wanted).await? {
            wanting.push(stage.name.to_string());
        }
    }
    Ok(match &wanting[..] {
        [] => format!("no stage deploys {branch} on this, or each wants a newer commit"),
        stages => format!("{} wants {}", stages.join(" and "), commit.short()),
    })
}

async fn renamed(service: &Service, repository: &RepositoryRef) -> anyhow::Result<String> {
    let Some(project) = project(service, repository).await? else { return Ok(unknown(repository)) };
    projects::heard_of_name(service, &project, &repository.name).await?;
    Ok(format!("{project} is called {} now", service.github.current_name(&project)))
}

/// The project is the one with this id. A project whose id is not known yet is recognised by its name, once.
async fn project(service: &Service, repository: &RepositoryRef) -> Result<Option<ProjectName>, StoreError> {
    let known = projects::repository_ids(service).await?;
    if let Some((name, _)) = known.iter().find(|(_, id)| **id == repository.id) {
        return Ok(Some(name.clone()));
    }
    if !service.settings.server.projects.contains_key(&repository.name) || known.contains_key(&repository.name) {
        return Ok(None);
    }
    service.store.remember_project(&repository.name, repository.id, service.clock.now()).await?;
    service.github.identify(&repository.name, repository.id, None);
    Ok(Some(repository.name.clone()))
}

fn unknown(repository: &RepositoryRef) -> String {
    format!("{} (id {}) is no project of this server", repository.name, repository.id)
}

fn log(delivery: &DueDelivery, progress: &DeliveryProgress) {
    let DueDelivery { guid, event, .. } = delivery;
    match progress {
        DeliveryProgress::Done(outcome) => {
            tracing::info!(delivery.guid = guid, delivery.event = event, outcome, "delivery worked on")
        }
        DeliveryProgress::Failed(why) => {
            tracing::warn!(delivery.guid = guid, delivery.event = event, why, "delivery has failed")
        }
        DeliveryProgress::Taken { .. } => {}
        DeliveryProgress::Postponed { why, until } => {
            tracing::warn!(delivery.guid = guid, delivery.event = event, why, %until, "delivery cannot be worked on yet");
        }
    }
}

fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::from_secs(300));
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}
