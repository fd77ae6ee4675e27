//! `windlass deploy`

use std::collections::BTreeMap;

use windlass_core::api::{DeploymentView, NewDeployment};
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;

use super::follow::{self, Followed};
use crate::cli::{Deploy, ReleaseChoice};
use crate::error::{CommandError, Status};
use crate::follow::why;
use crate::output::{self, YELLOW};
use crate::target::Target;

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
