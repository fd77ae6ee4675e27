//! `windlass release activate`

use clap::Args;
use windlass_core::api::NewDeployment;
use windlass_core::names::ReleaseNumber;
use windlass_core::plan::DeploymentKind;

use crate::arguments::Where;
use crate::commands::deploy::{Waiting, start};
use crate::error::{CommandError, Status};

/// Make a release active: the same as `deploy --release N`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release activate 12
  windlass release activate 12 --detach")]
pub(crate) struct ReleaseActivate {
    /// Which
    #[arg(value_name = "N")]
    release: ReleaseNumber,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    place: Where,
}

pub(super) async fn run(arguments: ReleaseActivate) -> Result<Status, CommandError> {
    let ReleaseActivate { release, reason, detach, place } = arguments;
    let target = place.target()?;
    let releases = [(target.app()?, release)].into();
    let new = NewDeployment { releases, app: None, kind: DeploymentKind::Deploy, reason, override_gate: false };
    start(&target, &new, Waiting::unless(detach), place.json).await
}
