//! `windlass rollback`

use std::collections::BTreeMap;

use windlass_core::api::{NewDeployment, StageView};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;

use super::deploy::{Waiting, chosen, start};
use crate::cli::Rollback;
use crate::error::{CommandError, Status};
use crate::output::{self, YELLOW};

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
