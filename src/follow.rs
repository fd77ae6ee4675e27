//! Follows a deployment to its last word, and comes back to a service that went away meanwhile.

use futures_util::StreamExt;
use windlass_core::Timestamp;
use windlass_core::api::{DeploymentMessage, DeploymentView, MessageBody};
use windlass_core::deployment::Event;
use windlass_core::report;

use crate::client::{Client, ClientError};
use crate::error::CommandError;
use crate::reconnect::Patience;

/// Who is told what happens.
pub(crate) trait Audience {
    /// Something happened to the deployment.
    fn tell(&mut self, at: Timestamp, body: &MessageBody);
    /// Something happened on the way here.
    fn aside(&mut self, text: &str);
}

/// Tells what happens to a deployment until its last word is said, and gives it as it stands then.
///
/// # Errors
///
/// When the service says that it cannot go on, or has not come back within a minute.
pub(crate) async fn follow(
    client: &Client,
    deployment: &DeploymentView,
    audience: &mut (dyn Audience + Send),
) -> Result<DeploymentView, ClientError> {
    let mut seen = None;
    let mut patience = Patience::new();
    loop {
        if let Err(error) = listen(client, deployment, audience, &mut seen, &mut patience).await {
            if patience.after(error).await? {
                audience.aside("the connection broke off; trying to come back");
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
    audience: &mut (dyn Audience + Send),
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
        audience.tell(at, &body);
        if matches!(body, MessageBody::Event { body: Event::Ended { .. }, .. }) {
            return Ok(());
        }
    }
    Ok(())
}

/// Why a deployment did not succeed.
pub(crate) fn why(deployment: &DeploymentView) -> CommandError {
    let title = report::title(deployment.kind, &deployment.releases);
    let message = format!("{title} on {} {}: {}", deployment.project, deployment.stage, deployment.state);
    let error = match deployment.failure.clone() {
        Some(failure) => CommandError::from(failure.clone()).retitled(message).because(failure.summary),
        None => CommandError::failed(message).coded(deployment.state.as_str()),
    };
    error.details([format!("the whole story: {}", deployment.url)])
}
