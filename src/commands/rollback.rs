//! `windlass rollback`

use std::collections::BTreeMap;

use windlass_core::api::NewDeployment;
use windlass_core::plan::DeploymentKind;

use super::deploy::{Waiting, chosen, start};
use crate::cli::Rollback;
use crate::error::{CommandError, Status};

pub(crate) async fn run(arguments: Rollback) -> Result<Status, CommandError> {
    let Rollback { number, release, reason, detach, place } = arguments;
    let target = place.target()?;
    // Without either, the service knows which one succeeded before.
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
    let app = target.named_app().cloned();
    let new = NewDeployment { releases, app, kind: DeploymentKind::Rollback, reason };
    start(&target, &new, Waiting::unless(detach), place.json).await
}
