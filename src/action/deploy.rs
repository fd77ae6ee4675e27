//! `command: deploy`, `rollback` and `status`: ask for a deployment and wait for its last word.

use std::collections::BTreeMap;

use windlass_core::Timestamp;
use windlass_core::api::{DeploymentView, MessageBody, NewDeployment};
use windlass_core::deployment::{DeploymentState, Event};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;

use super::inputs::ActionCommand;
use super::log::Log;
use super::outputs::Output;
use super::sign_in::{Service, sign_in};
use super::{Failed, JobStep, summary};
use crate::error::{CommandError, Status};
use crate::follow::{Audience, follow, why};
use crate::output;

pub(super) async fn run(step: &JobStep<'_>) -> Result<(), Failed> {
    let kind = match step.inputs.command {
        ActionCommand::Rollback => DeploymentKind::Rollback,
        ActionCommand::Deploy | ActionCommand::Release | ActionCommand::Status => DeploymentKind::Deploy,
    };
    let stage = step.stage()?;
    let releases = chosen(step, &stage)?;
    let service = sign_in(&step.inputs, step.runner, &stage, step.log).await?;
    deploy(step, &service, kind, releases).await
}

/// A bare number is of the app that is meant anyway.
fn chosen(
    step: &JobStep<'_>,
    stage: &windlass_core::names::StageName,
) -> Result<BTreeMap<AppName, ReleaseNumber>, CommandError> {
    let only = || match (&step.inputs.app, &step.file) {
        (Some(app), _) => Ok(app.clone()),
        (None, None) => Ok(AppName::unnamed()),
        (None, Some(file)) => {
            let apps: Vec<AppName> = file.resolve(stage).apps.into_keys().collect();
            <[AppName; 1]>::try_from(apps).map(|[only]| only).map_err(|apps| {
                let names: Vec<&str> = apps.iter().map(AppName::as_str).collect();
                CommandError::misused(format!("windlass.toml has several apps: {}", names.join(", ")))
                    .coded("input_invalid")
                    .hint("say which the release is of, such as `release: api=12`")
            })
        }
    };
    let choices = step.inputs.release.iter();
    choices.map(|choice| Ok((choice.app.clone().map_or_else(only, Ok)?, choice.number))).collect()
}

/// Asks for a deployment and, where the step waits, follows it to its end.
pub(super) async fn deploy(
    step: &JobStep<'_>,
    service: &Service,
    kind: DeploymentKind,
    releases: BTreeMap<AppName, ReleaseNumber>,
) -> Result<(), Failed> {
    let app = step.inputs.app.clone();
    let new = NewDeployment { releases, app, kind, reason: step.inputs.reason.clone(), override_gate: false };
    step.under_way.asking();
    let deployment = service.client.deploy(&service.stage, &new).await?;
    step.under_way.begins(&service.client, &deployment.id);
    tell(step, &deployment)?;
    step.log.line(&format!("{} on {}", report::title(deployment.kind, &deployment.releases), service.stage.spoken()));
    step.log.line(&deployment.url);
    if let Some(kept) = report::migrations_kept(&deployment.migrations_kept) {
        step.log.line(&format!("warning: {kept}"));
    }
    if !step.inputs.wait {
        step.under_way.ended();
        return Ok(step.summarize(&summary::deployment(&deployment))?);
    }
    let deployment = wait(step, service, &deployment).await?;
    step.under_way.ended();
    tell(step, &deployment)?;
    let status = Status::from(deployment.state);
    if status == Status::Done {
        step.log.line(&format!("{} is active on {}", report::releases(&deployment.releases), service.stage.spoken()));
        return Ok(step.summarize(&summary::deployment(&deployment))?);
    }
    Err(Failed { error: why(&deployment).with_status(status), story: summary::deployment(&deployment) })
}

async fn wait(
    step: &JobStep<'_>,
    service: &Service,
    deployment: &DeploymentView,
) -> Result<DeploymentView, CommandError> {
    let mut audience = Reader { log: step.log, begun: deployment.created_at };
    let following = follow(&service.client, deployment, &mut audience);
    let ended = match step.inputs.timeout {
        None => following.await,
        Some(timeout) => tokio::time::timeout(timeout.0, following).await.map_err(|_| {
            step.under_way.ended();
            CommandError::failed(format!("the deployment has not ended within {timeout}"))
                .coded("wait_timeout")
                .because("it goes on without this job")
                .hint(format!("its page says how it ends: {}", deployment.url))
        })?,
    };
    step.log.end_group();
    ended.map_err(|error| {
        let advice = format!("the deployment goes on without this job: {}", deployment.url);
        CommandError::from(error).details([advice])
    })
}

/// The outputs that every deployment has.
fn tell(step: &JobStep<'_>, deployment: &DeploymentView) -> Result<(), CommandError> {
    let outputs = &step.runner.outputs;
    outputs.set(Output::Release, &numbers(&deployment.releases))?;
    outputs.set(Output::DeploymentId, deployment.id.as_str())?;
    outputs.set(Output::DeploymentUrl, &deployment.url)?;
    outputs.set(Output::EnvironmentUrl, deployment.environment_url.as_deref().unwrap_or_default())?;
    outputs.set(Output::Status, deployment.state.as_str())?;
    outputs.set(Output::Reason, deployment.reason.as_deref().unwrap_or_default())
}

/// `12`; `api=12 web=7` where there are several, or the only one has a name. The input `release` takes it.
pub(super) fn numbers(releases: &BTreeMap<AppName, ReleaseNumber>) -> String {
    match releases.iter().next() {
        Some((app, number)) if releases.len() == 1 && *app == AppName::unnamed() => number.to_string(),
        _ => releases.iter().map(|(app, number)| format!("{app}={number}")).collect::<Vec<_>>().join(" "),
    }
}

/// Tells the step's log, a group for each step of the deployment.
struct Reader<'a> {
    log: &'a Log,
    begun: Timestamp,
}

impl Audience for Reader<'_> {
    fn tell(&mut self, at: Timestamp, body: &MessageBody) {
        let (event, text) = match body {
            MessageBody::Log { source, line } => return self.log.line(&format!("{source} | {line}")),
            MessageBody::Event { body, text } => (body, text),
        };
        let since = std::time::Duration::try_from(at.duration_since(self.begun)).unwrap_or_default();
        let text = format!("{:>8}  {text}", output::elapsed(since));
        match event {
            Event::StepStarted { .. } | Event::RevertStarted { .. } => self.log.group(&text),
            Event::RevertBlocked { .. } => self.log.line(&text),
            Event::StepFinished { .. } | Event::StepFailed { .. } => {
                self.log.line(&text);
                self.log.end_group();
            }
            Event::Waiting { .. } | Event::Planned { .. } | Event::CancelRequested { .. } | Event::Ended { .. } => {
                self.log.end_group();
                self.log.line(&text);
            }
        }
    }

    fn aside(&mut self, text: &str) {
        self.log.line(text);
    }
}

/// What the stage serves and what is under way.
pub(super) async fn status(step: &JobStep<'_>) -> Result<(), Failed> {
    let stage = step.stage()?;
    let service = sign_in(&step.inputs, step.runner, &stage, step.log).await?;
    let view = service.client.stage(&service.stage).await?;
    let active: BTreeMap<AppName, ReleaseNumber> = view
        .apps
        .iter()
        .filter(|(name, _)| step.inputs.app.as_ref().is_none_or(|only| only == *name))
        .filter_map(|(name, app)| Some((name.clone(), app.active?)))
        .collect();
    for line in summary::stage_lines(&view) {
        step.log.line(&line);
    }
    let outputs = &step.runner.outputs;
    outputs.set(Output::Release, &numbers(&active))?;
    let url =
        view.apps.values().flat_map(|app| &app.urls).find(|url| !url.contains("://*")).cloned().unwrap_or_default();
    outputs.set(Output::EnvironmentUrl, &url)?;
    if let Some(deployment) = &view.deployment {
        outputs.set(Output::DeploymentId, deployment.id.as_str())?;
        outputs.set(Output::DeploymentUrl, &deployment.url)?;
        outputs.set(Output::Reason, deployment.reason.as_deref().unwrap_or_default())?;
    }
    let state = view.deployment.as_ref().map(|deployment| deployment.state);
    outputs.set(Output::Status, state.map_or("idle", DeploymentState::as_str))?;
    Ok(step.summarize(&summary::stage(&view))?)
}
