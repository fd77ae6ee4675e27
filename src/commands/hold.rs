//! `windlass hold`

use clap::{Args, Subcommand};

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output;

/// What a rollback leaves against automatic deployments
#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    Lift(HoldLift),
}

/// Let merges deploy again after a rollback
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass hold lift")]
pub(crate) struct HoldLift {
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(command: HoldCommand) -> Result<Status, CommandError> {
    let HoldCommand::Lift(HoldLift { place }) = command;
    let target = place.target()?;
    target.client.lift_hold(&target.stage).await?;
    if place.json {
        output::json(&serde_json::json!({ "hold": null }))?;
    } else {
        output::result(&format!("the hold on {} is lifted: merges deploy again", target.stage.spoken()))?;
    }
    Ok(Status::Done)
}
