//! `windlass hold`

use crate::cli::{HoldCommand, HoldLift};
use crate::error::{CommandError, Status};
use crate::output;

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
