//! `windlass cancel`

use clap::Args;
use windlass_core::names::DeploymentId;
use windlass_core::report;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output;

/// End a deployment: what it did is undone; while it is watched, the old release gets its traffic back
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass cancel                      the one that runs or waits on the stage
  windlass cancel 0123456789abcdef")]
pub(crate) struct Cancel {
    /// Which [default: the one that runs or waits on the stage]
    id: Option<DeploymentId>,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: Cancel) -> Result<Status, CommandError> {
    let Cancel { id, place } = arguments;
    let (client, id) = match id {
        Some(id) => (place.client()?, id),
        None => {
            let target = place.target()?;
            let open = target.client.stage(&target.stage).await?.deployment.ok_or_else(|| {
                CommandError::failed(format!("no deployment runs or waits on {}", target.stage.spoken()))
                    .hint("`windlass status` shows what is under way")
            })?;
            (target.client, open.id)
        }
    };
    let deployment = client.cancel(&id).await?;
    if place.json {
        output::json(&deployment)?;
    } else {
        let title = report::title(deployment.kind, &deployment.releases);
        output::result(&format!("asked to cancel deployment {id} ({title})\n{}", deployment.url))?;
    }
    Ok(Status::Done)
}
