//! `windlass rollback`

use std::collections::BTreeMap;

use windlass_core::api::NewDeployment;
use windlass_core::plan::DeploymentKind;

use super::deploy::{Waiting, start};
use crate::cli::Rollback;
use crate::error::{CommandError, Status};

pub(crate) async fn run(arguments: Rollback) -> Result<Status, CommandError> {
    let Rollback { release, reason, detach, place } = arguments;
    let target = place.target()?;
    let releases = match release {
        Some(number) => BTreeMap::from([(target.app()?, number)]),
        // The service knows which one succeeded before.
        None => BTreeMap::new(),
    };
    let app = target.named_app().cloned();
    let new = NewDeployment { releases, app, kind: DeploymentKind::Rollback, reason };
    start(&target, &new, Waiting::unless(detach), place.json).await
}
