//! `windlass app maintenance`

use clap::{Args, Subcommand};
use windlass_core::api::{MaintenanceTold, NewMaintenance};
use windlass_core::names::AppName;

use crate::arguments::Where;
use crate::client::ClientError;
use crate::error::{CommandError, Status};
use crate::output;

/// Keep an app from its clients while somebody works on it
#[derive(Debug, Subcommand)]
pub(crate) enum MaintenanceCommand {
    On(MaintenanceOn),
    Off(MaintenanceOff),
}

pub(super) async fn run(command: MaintenanceCommand) -> Result<Status, CommandError> {
    match command {
        MaintenanceCommand::On(arguments) => on(arguments).await,
        MaintenanceCommand::Off(arguments) => off(arguments).await,
    }
}

/// Answer an app's clients with 503 from now on, and a page that says so
///
/// What runs goes on, deployments too, and the path of its health check leads to the app still. It stays so until
/// `windlass app maintenance off`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app maintenance on
  windlass app maintenance on --message \"Back at 9.\" -a api")]
pub(crate) struct MaintenanceOn {
    /// What clients are told; plain text
    #[arg(long, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    place: Where,
}

async fn on(arguments: MaintenanceOn) -> Result<Status, CommandError> {
    let MaintenanceOn { message, place } = arguments;
    let target = place.target()?;
    let app = target.app()?;
    let told = target.client.begin_maintenance(&target.stage, &app, &NewMaintenance { message }).await?;
    let stage = target.stage.spoken();
    say(
        &place,
        &told,
        &format!("{} is kept from its clients until `windlass app maintenance off`", named(&app, &stage)),
    )
}

/// Let an app's clients in again
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app maintenance off
  windlass app maintenance off -s staging")]
pub(crate) struct MaintenanceOff {
    #[command(flatten)]
    place: Where,
}

async fn off(arguments: MaintenanceOff) -> Result<Status, CommandError> {
    let MaintenanceOff { place } = arguments;
    let target = place.target()?;
    let app = target.app()?;
    let stage = target.stage.spoken();
    let told = target.client.end_maintenance(&target.stage, &app).await.map_err(|error| match error {
        ClientError::Problem(problem) if problem.code == "no_maintenance" => {
            CommandError::failed(format!("nothing keeps {} from its clients", named(&app, &stage)))
                .coded("no_maintenance")
        }
        other => other.into(),
    })?;
    say(&place, &told, &format!("{} answers its clients again", named(&app, &stage)))
}

/// A gateway that has not heard of it is a failure: clients there are answered as before.
fn say(place: &Where, told: &MaintenanceTold, done: &str) -> Result<Status, CommandError> {
    if place.json {
        output::json(told)?;
    } else {
        output::result(done)?;
        for warning in &told.warnings {
            output::note(&format!("warning: {warning}"));
        }
    }
    Ok(if told.warnings.is_empty() { Status::Done } else { Status::Failed })
}

fn named(app: &AppName, stage: &str) -> String {
    if *app == AppName::unnamed() { format!("the app of {stage}") } else { format!("{app} of {stage}") }
}
