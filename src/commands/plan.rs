//! `windlass plan`

use clap::Args;
use windlass_core::api::NewDeployment;
use windlass_core::plan::DeploymentKind;

use super::deploy::chosen;
use crate::arguments::{ReleaseChoice, Where};
use crate::error::{CommandError, Status};
use crate::output::{self, theirs};

/// Show what a deployment would do, without doing it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plan
  windlass plan --release 12 --json
  windlass plan --rollback        what `windlass rollback` would do")]
pub(crate) struct Plan {
    /// Which: a number, or APP=NUMBER, once per app [default: the newest of every app]
    #[arg(short, long, value_name = "N")]
    release: Vec<ReleaseChoice>,
    /// Of a rollback [default: to where it would lead]
    #[arg(long)]
    rollback: bool,
    #[command(flatten)]
    place: Where,
}

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
