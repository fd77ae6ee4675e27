//! Follows a deployment to its last word, and comes back to a service that went away meanwhile.

use std::time::Duration;

use futures_util::StreamExt;
use windlass_core::Timestamp;
use windlass_core::api::{DeploymentMessage, DeploymentView, MessageBody};
use windlass_core::deployment::{Event, Outcome};

use super::interrupt::unless_interrupted;
use super::reconnect::Patience;
use crate::client::{Client, ClientError};
use crate::error::CommandError;
use crate::output::{self, DIM, GREEN, Progress, RED, YELLOW};

/// How following ended.
#[derive(Debug)]
pub(super) enum Followed {
    /// With the deployment's last word.
    Ended(Box<DeploymentView>),
    /// With Ctrl-C.
    Interrupted,
}

/// Tells what happens to a deployment until its last word is said.
pub(super) async fn to_the_end(client: &Client, deployment: &DeploymentView) -> Result<Followed, CommandError> {
    let narrator = Narrator { progress: Progress::new(), begun: deployment.created_at };
    let ended = unless_interrupted(follow(client, deployment, &narrator)).await;
    drop(narrator);
    match ended {
        Some(Ok(deployment)) => Ok(Followed::Ended(Box::new(deployment))),
        Some(Err(error)) => {
            let advice = format!("the deployment goes on without this command: {}", deployment.url);
            Err(CommandError::from(error).details([advice]))
        }
        None => Ok(Followed::Interrupted),
    }
}

async fn follow(
    client: &Client,
    deployment: &DeploymentView,
    narrator: &Narrator,
) -> Result<DeploymentView, ClientError> {
    let mut seen = None;
    let mut patience = Patience::new();
    loop {
        if let Err(error) = listen(client, deployment, narrator, &mut seen, &mut patience).await {
            if patience.after(error).await? {
                narrator.aside("the connection broke off; trying to come back");
            }
            continue;
        }
        match client.deployment(&deployment.id).await {
            Ok(view) if view.state.is_final() => return Ok(view),
            Ok(_) => patience.pause().await,
            Err(error) => drop(patience.after(error).await?),
        }
    }
}

/// Until the last word, or until the stream ends.
async fn listen(
    client: &Client,
    deployment: &DeploymentView,
    narrator: &Narrator,
    seen: &mut Option<u64>,
    patience: &mut Patience,
) -> Result<(), ClientError> {
    let mut messages = client.deployment_events(&deployment.id, *seen).await?;
    patience.connected();
    while let Some(sent) = messages.next().await {
        let DeploymentMessage { seq, at, body } = sent?.message;
        patience.heard();
        // What was told before the connection broke off is not told again.
        if seen.is_some_and(|seen| seq <= seen) {
            continue;
        }
        *seen = Some(seq);
        narrator.tell(at, &body);
        if matches!(body, MessageBody::Event { body: Event::Ended { .. }, .. }) {
            return Ok(());
        }
    }
    Ok(())
}

/// One line per event.
struct Narrator {
    progress: Progress,
    begun: Timestamp,
}

impl Narrator {
    fn tell(&self, at: Timestamp, body: &MessageBody) {
        match body {
            MessageBody::Log { source, line } => self.progress.line(&format!("{:>8}    {source} | {line}", "")),
            MessageBody::Event { body, text } => {
                let elapsed = Duration::try_from(at.duration_since(self.begun)).unwrap_or_default();
                let style = style_of(body);
                let elapsed = output::elapsed(elapsed);
                self.progress.line(&format!("{DIM}{elapsed:>8}{DIM:#}  {style}{text}{style:#}"));
                match body {
                    Event::Waiting { .. } | Event::StepStarted { .. } | Event::RevertStarted { .. } => {
                        self.progress.running(text);
                    }
                    Event::Planned { .. }
                    | Event::StepFinished { .. }
                    | Event::StepFailed { .. }
                    | Event::CancelRequested { .. }
                    | Event::Ended { .. } => self.progress.idle(),
                }
            }
        }
    }

    fn aside(&self, text: &str) {
        self.progress.line(&format!("{:>8}  {DIM}{text}{DIM:#}", ""));
    }
}

const fn style_of(event: &Event) -> anstyle::Style {
    match event {
        Event::Waiting { .. } | Event::CancelRequested { .. } | Event::RevertStarted { .. } => YELLOW,
        Event::StepFailed { .. } => RED,
        Event::Ended { outcome: Outcome::Succeeded, .. } => GREEN,
        Event::Ended { .. } => RED,
        Event::Planned { .. } | Event::StepStarted { .. } | Event::StepFinished { .. } => anstyle::Style::new(),
    }
}
