//! `windlass deploy`

use std::collections::BTreeMap;

use clap::Args;
use windlass_core::api::{DeploymentView, NewDeployment};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;

use super::follow::{self, Followed};
use crate::arguments::{ReleaseChoice, Where};
use crate::error::{CommandError, Status};
use crate::follow::why;
use crate::output::{self, YELLOW};
use crate::target::Target;

/// Make a release active and wait until it is
///
/// Ctrl-C while waiting leaves the deployment running and ends with 130; `windlass cancel` ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass deploy                                 the newest release of every app
  windlass deploy --release 12 --reason \"fixes the checkout\"
  windlass deploy --release api=12 --release web=7
  windlass deploy --detach --json
  windlass deploy --override-gate --reason \"GitHub is down, and the checkout loses orders\"")]
pub(crate) struct Deploy {
    /// Which: a number, or APP=NUMBER, once per app [default: the newest of every app]
    #[arg(short, long, value_name = "N")]
    release: Vec<ReleaseChoice>,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Whatever CI says and although GitHub may be down; for tokens with the scope admin
    ///
    /// Locks, the order of releases and the stage's policy still hold. It is said wherever the deployment is shown.
    #[arg(long, requires = "reason")]
    override_gate: bool,
    /// Do not wait for its end
    #[arg(short, long)]
    detach: bool,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: Deploy) -> Result<Status, CommandError> {
    let Deploy { release, reason, override_gate, detach, place } = arguments;
    let target = place.target()?;
    let app = target.named_app().cloned();
    let releases = chosen(&target, &release)?;
    let new = NewDeployment { releases, app, kind: DeploymentKind::Deploy, reason, override_gate };
    start(&target, &new, Waiting::unless(detach), place.json).await
}

/// Whether the command waits for the deployment's last word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Waiting {
    ForTheEnd,
    Not,
}

impl Waiting {
    pub(super) const fn unless(detach: bool) -> Self {
        if detach { Self::Not } else { Self::ForTheEnd }
    }
}

/// What `--release` says. A bare number is of the app that is meant anyway.
pub(super) fn chosen(
    target: &Target,
    choices: &[ReleaseChoice],
) -> Result<BTreeMap<AppName, ReleaseNumber>, CommandError> {
    let mut releases = BTreeMap::new();
    for choice in choices {
        let app = match &choice.app {
            Some(app) => app.clone(),
            None => target.app()?,
        };
        if let Some(other) = releases.insert(app.clone(), choice.number) {
            let message = format!("two releases are given for the app {app}: {other} and {}", choice.number);
            return Err(CommandError::misused(message).hint("say which app each is of: --release api=12"));
        }
    }
    Ok(releases)
}

/// Asks for a deployment and, unless told otherwise, follows it to its end.
pub(super) async fn start(
    target: &Target,
    new: &NewDeployment,
    waiting: Waiting,
    json: bool,
) -> Result<Status, CommandError> {
    let deployment = target.client.deploy(&target.stage, new).await?;
    if let Some(gate_override) = &deployment.gate_override {
        output::note(&format!("{YELLOW}warning:{YELLOW:#} {gate_override}"));
    }
    if let Some(kept) = report::migrations_kept(&deployment.migrations_kept) {
        output::note(&format!("{YELLOW}warning:{YELLOW:#} {kept}"));
    }
    if waiting == Waiting::Not {
        return detached(&deployment, json);
    }
    output::note(&format!(
        "{} on {}\n{}",
        report::title(deployment.kind, &deployment.releases),
        target.stage.spoken(),
        deployment.url
    ));
    match follow::to_the_end(&target.client, &deployment).await? {
        Followed::Ended(deployment) => ended(&deployment, json),
        Followed::Interrupted => {
            output::note(&format!(
                "\nthe deployment goes on without this command; end it with `windlass cancel {}`",
                deployment.id
            ));
            Ok(Status::Interrupted)
        }
    }
}

fn detached(deployment: &DeploymentView, json: bool) -> Result<Status, CommandError> {
    if json {
        output::json(deployment)?;
    } else {
        let title = report::title(deployment.kind, &deployment.releases);
        output::result(&format!("{title}: deployment {} is {}\n{}", deployment.id, deployment.state, deployment.url))?;
    }
    Ok(deployment.state.into())
}

fn ended(deployment: &DeploymentView, json: bool) -> Result<Status, CommandError> {
    if json {
        output::json(deployment)?;
    }
    let status = Status::from(deployment.state);
    if status != Status::Done {
        return Err(why(deployment).with_status(status));
    }
    if !json {
        let (green, reset) = (output::GREEN, output::GREEN.render_reset());
        let what = report::releases(&deployment.releases);
        let place = format!("{} {}", deployment.project, deployment.stage);
        output::result(&format!("{green}succeeded:{reset} {what} is active on {place}"))?;
        if let Some(url) = &deployment.environment_url {
            output::result(url)?;
        }
    }
    Ok(status)
}
