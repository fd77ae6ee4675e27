//! `windlass rollback`

use std::collections::BTreeMap;

use clap::Args;
use windlass_core::api::{NewDeployment, StageView};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;

use super::deploy::{Waiting, chosen, start};
use crate::arguments::{ReleaseChoice, Where};
use crate::error::{CommandError, Status};
use crate::output::{self, YELLOW};

/// Go back to an earlier release, without its migration, and hold automatic deployments
///
/// Without a release it takes the apps back that the last deployment changed, each to what it served before. `windlass
/// status` says where that leads, and so does this command before it begins.
///
/// Ctrl-C while waiting leaves the rollback running and ends with 130; `windlass cancel` ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass rollback               to what the last deployment took the place of
  windlass rollback --app api     the same of one app
  windlass rollback 11 --reason \"12 loses orders\"
  windlass hold lift              afterwards: let merges deploy again")]
pub(crate) struct Rollback {
    /// To which [default: what the active one took the place of]
    #[arg(value_name = "N")]
    number: Option<ReleaseNumber>,
    /// The same as `deploy` takes it: a number, or APP=NUMBER, once per app
    #[arg(short, long, value_name = "N")]
    release: Vec<ReleaseChoice>,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: Rollback) -> Result<Status, CommandError> {
    let Rollback { number, release, reason, detach, place } = arguments;
    let target = place.target()?;
    let mut releases = chosen(&target, &release)?;
    if let Some(number) = number {
        let named = BTreeMap::from([(target.app()?, number)]);
        if !releases.is_empty() && releases != named {
            let options: Vec<String> = releases.iter().map(|(app, other)| format!("--release {app}={other}")).collect();
            return Err(CommandError::misused(format!("two releases are given: {number} and {}", options.join(" ")))
                .hint("give the number or --release"));
        }
        releases = named;
    }
    // What is shown is what is asked for, whatever happens in between.
    match target.client.stage(&target.stage).await {
        Ok(stage) => {
            if releases.is_empty() {
                releases = meant(&stage, target.named_app());
            }
            if !releases.is_empty() {
                let active = stage.apps.iter().map(|(name, app)| (name.clone(), app.active)).collect();
                output::note(&format!(
                    "going back on {}: {}",
                    target.stage.spoken(),
                    report::going_back(&active, &releases)
                ));
            }
        }
        // A way back needs nobody's picture of it.
        Err(error) => output::note(&format!("{YELLOW}warning:{YELLOW:#} what is active cannot be shown: {error}")),
    }
    let app = target.named_app().cloned();
    let new = NewDeployment { releases, app, kind: DeploymentKind::Rollback, reason, override_gate: false };
    start(&target, &new, Waiting::unless(detach), place.json).await
}

/// What a rollback means that names no release; empty: the service says why there is nothing.
fn meant(stage: &StageView, app: Option<&AppName>) -> BTreeMap<AppName, ReleaseNumber> {
    let Some(name) = app else { return stage.rollback.clone() };
    let previous = stage.apps.get(name).and_then(|app| app.previous);
    previous.map(|number| (name.clone(), number)).into_iter().collect()
}
