//! A deployment's story on a terminal.

use std::time::Duration;

use windlass_core::Timestamp;
use windlass_core::api::{DeploymentView, MessageBody};
use windlass_core::deployment::{Event, Outcome};

use super::interrupt::unless_interrupted;
use crate::client::Client;
use crate::error::CommandError;
use crate::follow::{Audience, follow};
use crate::output::{self, DIM, GREEN, Progress, RED, YELLOW, theirs};

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
    let mut narrator = Narrator { progress: Progress::new(), begun: deployment.created_at };
    let ended = unless_interrupted(follow(client, deployment, &mut narrator)).await;
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

/// One line per event.
struct Narrator {
    progress: Progress,
    begun: Timestamp,
}

impl Audience for Narrator {
    fn tell(&mut self, at: Timestamp, body: &MessageBody) {
        match body {
            MessageBody::Log { source, line } => {
                self.progress.line(&format!("{:>8}    {} | {}", "", theirs(source), theirs(line)));
            }
            MessageBody::Event { body, text } => {
                let elapsed = Duration::try_from(at.duration_since(self.begun)).unwrap_or_default();
                let (style, text) = (style_of(body), theirs(text));
                let elapsed = output::elapsed(elapsed);
                self.progress.line(&format!("{DIM}{elapsed:>8}{DIM:#}  {style}{text}{style:#}"));
                match body {
                    Event::Waiting { .. }
                    | Event::StepStarted { .. }
                    | Event::RevertStarted { .. }
                    | Event::RevertBlocked { .. } => {
                        self.progress.running(&text);
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

    fn aside(&mut self, text: &str) {
        self.progress.line(&format!("{:>8}  {DIM}{text}{DIM:#}", ""));
    }
}

const fn style_of(event: &Event) -> anstyle::Style {
    match event {
        Event::Waiting { .. } | Event::CancelRequested { .. } | Event::RevertStarted { .. } => YELLOW,
        Event::StepFailed { .. } | Event::RevertBlocked { .. } => RED,
        Event::Ended { outcome: Outcome::Succeeded, .. } => GREEN,
        Event::Ended { .. } => RED,
        Event::Planned { .. } | Event::StepStarted { .. } | Event::StepFinished { .. } => anstyle::Style::new(),
    }
}
