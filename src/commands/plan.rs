//! `windlass plan`

use windlass_core::api::NewDeployment;
use windlass_core::plan::DeploymentKind;

use super::deploy::chosen;
use crate::cli::Plan;
use crate::error::{CommandError, Status};
use crate::output::{self, theirs};

pub(crate) async fn run(arguments: Plan) -> Result<Status, CommandError> {
    let Plan { release, rollback, place } = arguments;
    let target = place.target()?;
    let app = target.named_app().cloned();
    let kind = if rollback { DeploymentKind::Rollback } else { DeploymentKind::Deploy };
    let new = NewDeployment { releases: chosen(&target, &release)?, app, kind, reason: None, override_gate: false };
    let plan = target.client.plan(&target.stage, &new).await?;
    if place.json {
        output::json(&plan)?;
        return Ok(Status::Done);
    }
    for (app, change) in &plan.plan.apps {
        let from = change.previous.map_or_else(|| "nothing".to_owned(), |number| format!("release {number}"));
        output::result(&format!("{app}: {from} → release {} ({})", change.release, change.commit.short()))?;
    }
    for (index, line) in plan.lines.iter().enumerate() {
        output::result(&format!("{:>3}. {}", index + 1, theirs(line)))?;
    }
    for warning in &plan.warnings {
        output::note(&format!("warning: {warning}"));
    }
    Ok(Status::Done)
}
