//! The runner: takes a deployment from its open gate to its last word, one step at a time. Whatever happens is on
//! record before the next thing happens; after a crash it reads the record and goes on.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use jiff::SignedDuration;
use tokio::sync::mpsc;
use windlass_core::deployment::{Event, Failure, FailureCode, Outcome, Phase, Wait};
use windlass_core::names::{AppName, Generation};
use windlass_core::plan::{Plan, Step};
use windlass_core::secrets::Secrets;
use windlass_engine::{ServicePages, StepContext};

use crate::back_off::BackOff;
use crate::deploy::planning::{self, Intent, PlanningError};
use crate::deploy::{catch_up, certificates, host_names, maintenance, pages, step_log};
use crate::gate::Gate;
use crate::service::Service;
use crate::store::StoreError;
use crate::store::deployments::StoredDeployment;
use crate::store::journal::Effect;

/// How long a claim on a stage lasts without being prolonged.
const LEASE: SignedDuration = SignedDuration::from_secs(30);
/// How often it is prolonged.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// Before a way back that is blocked is tried again.
const REVERT_AGAIN: BackOff = BackOff { first: Duration::from_secs(1), longest: Duration::from_secs(60) };
/// So many lines wait between the steps and the store; whoever writes more waits with them.
const LINES_UNDER_WAY: usize = 1024;

/// Runs a deployment to its last word, or as far as this process lives.
pub(crate) async fn run(service: &Arc<Service>, gate: &Gate, deployment: &StoredDeployment) -> anyhow::Result<()> {
    if !hold_lease(service, deployment).await? {
        anyhow::bail!("the lease of {} is held by somebody else", deployment.stage);
    }
    let result = tokio::select! {
        result = journey(service, gate, deployment) => result,
        result = keep_lease(service, deployment) => result,
        () = service.shutdown.cancelled() => Ok(()),
    };
    // It is this deployment's and this process's, which take it up again; anybody else waits until it has expired.
    if let Err(error) = service.store.release_lease(&deployment.stage, &service.holder).await {
        tracing::warn!(deployment.id = %deployment.id, %error, "the lease could not be given back");
    }
    result
}

/// How far the old tasks are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retired {
    /// They are gone.
    Done,
    /// They are not, and why is on record.
    NotYet,
}

/// Drains and stops what a success left behind. Its failure is no failure of the deployment: it is tried again.
pub(crate) async fn retire(service: &Arc<Service>, deployment: &StoredDeployment) -> anyhow::Result<Retired> {
    let plan = service.store.plan(&deployment.id).await?.context("it has no plan")?;
    let index = plan.retire_index();
    let Some(step) = plan.steps.get(index) else { return Ok(Retired::Done) };
    if matches!(service.store.standing(&deployment.id).await?.phase(), Phase::Ended { retired: true, .. }) {
        return Ok(Retired::Done);
    }
    service.store.append_if_new(deployment, &Event::StepStarted { step: index }, service.clock.now()).await?;
    let step = still_latest(service, deployment, step).await?;
    match execute(service, deployment, &plan, &step).await {
        Ok(note) => {
            record(service, deployment, &Event::StepFinished { step: index, note }, &Effect::None).await?;
            Ok(Retired::Done)
        }
        Err(failure) => {
            let told = service.store.events(&deployment.id).await?;
            let event = Event::StepFailed { step: index, failure };
            if !told.iter().any(|(_, earlier)| *earlier == event) {
                record(service, deployment, &event, &Effect::None).await?;
            }
            Ok(Retired::NotYet)
        }
    }
}

/// The step without its tags, where something else has become active since: they are that one's by now.
async fn still_latest(service: &Service, deployment: &StoredDeployment, step: &Step) -> Result<Step, StoreError> {
    let mut step = step.clone();
    let active = service.store.active_releases(&deployment.stage).await?;
    let is_active = |name: &AppName| active.iter().any(|it| it.app == *name && it.deployment == deployment.id);
    if let Step::Retire { latest, .. } = &mut step
        && !deployment.releases.keys().all(is_active)
    {
        latest.clear();
    }
    Ok(step)
}

async fn hold_lease(service: &Service, deployment: &StoredDeployment) -> anyhow::Result<bool> {
    let now = service.clock.now();
    let expires_at = now.checked_add(LEASE)?;
    Ok(service.store.take_lease(&deployment.stage, &service.holder, &deployment.id, expires_at, now).await?)
}

/// Ends only when the lease is lost.
async fn keep_lease(service: &Service, deployment: &StoredDeployment) -> anyhow::Result<()> {
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match hold_lease(service, deployment).await {
            Ok(true) => {}
            Ok(false) => anyhow::bail!("the lease of {} was lost", deployment.stage),
            // Nobody else could write it either.
            Err(error) => tracing::warn!(deployment.id = %deployment.id, "the lease cannot be prolonged: {error:#}"),
        }
    }
}

async fn journey(service: &Arc<Service>, gate: &Gate, deployment: &StoredDeployment) -> anyhow::Result<()> {
    let Some(plan) = stored_plan(service, gate, deployment).await? else { return Ok(()) };
    loop {
        let standing = service.store.standing(&deployment.id).await?;
        match standing.phase() {
            Phase::Waiting => anyhow::bail!("it has a plan but never began"),
            Phase::Ended { .. } => return Ok(()),
            Phase::Running { next, .. } => match standing.cancelled_by() {
                Some(by) => {
                    let failure = Failure::new(FailureCode::Cancelled, format!("{by} cancelled it"));
                    record(service, deployment, &Event::RevertStarted { failure }, &Effect::None).await?;
                }
                None if *next == plan.retire_index() => succeed(service, deployment).await?,
                None => take_step(service, deployment, &plan, *next).await?,
            },
            Phase::Failing { failure, .. } => {
                let event = Event::RevertStarted { failure: failure.clone() };
                record(service, deployment, &event, &Effect::None).await?;
            }
            Phase::Reverting { reached, failure, .. } => {
                let turned = Turned { reached: *reached, switched: standing.has_begun_switch() };
                go_back(service, deployment, &plan, turned, failure).await?;
            }
        }
    }
}

/// The plan, made and stored now if there is none yet. `None`: there can be none, and that was its last word.
async fn stored_plan(service: &Service, gate: &Gate, deployment: &StoredDeployment) -> anyhow::Result<Option<Plan>> {
    if let Some(plan) = service.store.plan(&deployment.id).await? {
        return Ok(Some(plan));
    }
    catch_up::catch_up(service).await?;
    let generation = service.store.next_generation(&deployment.stage).await?;
    let intent = Intent {
        deployment: deployment.id.clone(),
        kind: deployment.kind,
        stage: &deployment.stage,
        releases: &deployment.releases,
    };
    match planned(service, deployment, &intent, generation).await {
        Ok(plan) => {
            service.wake.outbox.notify_one();
            // Whoever waits for its turn is told whose it is.
            service.wake.stages.notify_one();
            Ok(Some(plan))
        }
        // Nothing was touched yet, and a host comes back: it waits.
        Err(PlanningError::Refused(failure))
            if matches!(failure.code, FailureCode::HostUnreachable | FailureCode::Internal) =>
        {
            let why = failure.summary.clone();
            let event = Event::Waiting { on: Wait::Host, why, items: Vec::new() };
            service.store.append_if_new(deployment, &event, service.clock.now()).await?;
            gate.look_later(deployment).await?;
            Err(failure.into())
        }
        Err(PlanningError::Refused(failure)) => {
            let outcome = match failure.code {
                FailureCode::PolicyRefused | FailureCode::SecretMissing => Outcome::Refused,
                _ => Outcome::Failed,
            };
            record(service, deployment, &Event::Ended { outcome, failure: Some(failure) }, &Effect::None).await?;
            Ok(None)
        }
        Err(PlanningError::Store(error)) => Err(error.into()),
    }
}

/// A plan that is stored. What other projects have is looked at last: it is theirs until then.
async fn planned(
    service: &Service,
    deployment: &StoredDeployment,
    intent: &Intent<'_>,
    generation: Generation,
) -> Result<Plan, PlanningError> {
    let plan = planning::plan(service, intent, generation).await?;
    host_names::settle_claims(service).await?;
    let hosts = host_names::asked_hosts(service, intent).await?;
    service.store.append_plan(deployment, &plan, &hosts, service.clock.now()).await?.map_err(host_names::taken)?;
    Ok(plan)
}

async fn take_step(
    service: &Arc<Service>,
    deployment: &StoredDeployment,
    plan: &Plan,
    index: usize,
) -> anyhow::Result<()> {
    let step = plan.steps.get(index).context("the plan has no such step")?;
    let begun =
        service.store.append(deployment, &Event::StepStarted { step: index }, &Effect::None, service.clock.now()).await;
    match begun {
        // Somebody cancelled between the last look and the switch; the next look sees it.
        Err(StoreError::IllegalTransition(_)) if index == plan.switch_index() => return Ok(()),
        begun => begun?,
    };
    // A switch is told to all gateways or undone, and not left half-way.
    let interruptible = index != plan.switch_index();
    let result = tokio::select! {
        result = execute(service, deployment, plan, step) => result,
        // What was begun is undone by the way back, which the next look at the record leads to.
        () = asked_to_cancel(service, deployment), if interruptible => return Ok(()),
    };
    match result {
        Ok(note) => {
            let effect = match step {
                Step::Migrate { app, task, .. } => Effect::Migrated(app.clone(), task.labels.release),
                Step::Switch { .. } => Effect::Activated,
                _ => Effect::None,
            };
            record(service, deployment, &Event::StepFinished { step: index, note }, &effect).await
        }
        Err(failure) => record(service, deployment, &Event::StepFailed { step: index, failure }, &Effect::None).await,
    }
}

async fn asked_to_cancel(service: &Service, deployment: &StoredDeployment) {
    loop {
        let notified = service.cancelled.notified();
        if let Ok(standing) = service.store.standing(&deployment.id).await
            && standing.cancelled_by().is_some()
        {
            return;
        }
        notified.await;
    }
}

async fn succeed(service: &Service, deployment: &StoredDeployment) -> anyhow::Result<()> {
    let event = Event::Ended { outcome: Outcome::Succeeded, failure: None };
    match record(service, deployment, &event, &Effect::None).await {
        // Somebody cancelled in this moment; the next look sees it.
        Err(error) if matches!(error.downcast_ref(), Some(StoreError::IllegalTransition(_))) => Ok(()),
        recorded => recorded,
    }
}

/// Where it turned round.
#[derive(Debug, Clone, Copy)]
struct Turned {
    /// The first step that was not done.
    reached: usize,
    /// Whether the switch had begun.
    switched: bool,
}

/// Puts everything back as it was. A way back that is blocked is tried until it is free: a deployment that cannot be
/// undone never says that it was.
async fn go_back(
    service: &Arc<Service>,
    deployment: &StoredDeployment,
    plan: &Plan,
    turned: Turned,
    failure: &Failure,
) -> anyhow::Result<()> {
    for tries in 1.. {
        let pages = pages::of_plan(service, &deployment.stage, plan).await?;
        let (context, log) = step_context(service, deployment, plan, pages);
        let result = service.hosts.revert(plan, turned.reached, turned.switched, &context).await;
        drop(context);
        log.await?;
        let Err(blocked) = result else { break };
        let event = Event::RevertBlocked { why: blocked.to_string() };
        service.store.append_if_new(deployment, &event, service.clock.now()).await?;
        tokio::time::sleep(REVERT_AGAIN.pause(tries)).await;
    }
    let outcome = if failure.code == FailureCode::Cancelled { Outcome::Cancelled } else { Outcome::Failed };
    let effect = if turned.switched { Effect::Deactivated } else { Effect::None };
    record(service, deployment, &Event::Ended { outcome, failure: Some(failure.clone()) }, &effect).await
}

async fn execute(
    service: &Arc<Service>,
    deployment: &StoredDeployment,
    plan: &Plan,
    step: &Step,
) -> Result<Option<String>, Failure> {
    if matches!(step, Step::Switch { .. }) {
        keep_from_clients(service, deployment).await?;
    }
    let pages = pages::of_plan(service, &deployment.stage, plan).await?;
    let (context, log) = step_context(service, deployment, plan, pages);
    let executed = service.hosts.execute(step, &context);
    let mut result = match step {
        Step::Prepare { .. } => Box::pin(certificates::beside(executed, service, deployment, &context)).await,
        _ => executed.await,
    };
    if result.is_ok() {
        match pages::copy_out(service, deployment, step).await {
            Ok(missing) => step_log::keep(service, deployment, &missing, &HashMap::new()).await,
            Err(failure) => result = Err(failure),
        }
    }
    drop(context);
    // The log is whole before the step's end is on record.
    if let Err(error) = log.await {
        tracing::error!(deployment.id = %deployment.id, error = %error, "the log of a step was lost");
    }
    result
}

/// A gateway that was away, or is new, hears of maintenance before it sends anybody to the app.
async fn keep_from_clients(service: &Service, deployment: &StoredDeployment) -> Result<(), Failure> {
    for app in deployment.releases.keys() {
        let told = maintenance::tell(service, &deployment.stage, app).await;
        let warnings =
            told.map_err(|error| Failure::new(FailureCode::Internal, format!("maintenance is not known: {error}")))?;
        for warning in warnings {
            tracing::warn!(deployment.id = %deployment.id, app.name = %app, "{warning}");
        }
    }
    Ok(())
}

/// What a step needs, and the task that writes down what it says.
fn step_context(
    service: &Arc<Service>,
    deployment: &StoredDeployment,
    plan: &Plan,
    pages: ServicePages,
) -> (StepContext, tokio::task::JoinHandle<()>) {
    let (progress, receiver) = mpsc::channel(LINES_UNDER_WAY);
    let log = service.tracker.spawn(step_log::write(Arc::clone(service), deployment.clone(), receiver));
    let secrets = plan
        .steps
        .iter()
        .flat_map(|step| match step {
            Step::Boot { tasks, .. } => tasks.iter().collect(),
            Step::Migrate { task, .. } => vec![&**task],
            _ => Vec::new(),
        })
        .map(|task| {
            let values = service.settings.secrets_for(&deployment.stage, &task.secrets);
            (task.labels.app.clone(), values.into_iter().collect::<Secrets>())
        })
        .collect::<BTreeMap<_, _>>();
    (StepContext::new(plan, secrets, service.settings.registries(), progress).with_pages(pages), log)
}

async fn record(
    service: &Service,
    deployment: &StoredDeployment,
    event: &Event,
    effect: &Effect,
) -> anyhow::Result<()> {
    service.store.append(deployment, event, effect, service.clock.now()).await?;
    let plan = service.store.plan(&deployment.id).await?;
    let text = windlass_core::report::event(event, plan.as_ref());
    tracing::info!(deployment.id = %deployment.id, stage.name = %deployment.stage, "{text}");
    if matches!(event, Event::Ended { .. }) {
        service.wake.outbox.notify_one();
        // What succeeded has something to retire, and the next in line may have its turn.
        service.wake.stages.notify_one();
    }
    Ok(())
}
