//! `windlass status`

mod show;

use std::collections::BTreeSet;

use clap::Args;
use serde::Serialize;
use windlass_core::Timestamp;
use windlass_core::api::{DeploymentView, StageView};
use windlass_core::deployment::DeploymentState;
use windlass_core::names::CommitSha;
use windlass_core::verdict::Verdict;

use crate::arguments::Where;
use crate::error::{CommandError, Status};
use crate::output;
use show::show;

/// Show what a stage serves and what is under way
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass status
  windlass status --why                why it waits, or did not run: each check, lock, hold and turn
  windlass status -s staging --json")]
pub(crate) struct StatusArguments {
    /// Show the gate's verdict with everything that it looked at, and why the newest deployment did not run
    #[arg(long)]
    why: bool,
    #[command(flatten)]
    place: Where,
}

pub(crate) async fn run(arguments: StatusArguments) -> Result<Status, CommandError> {
    let StatusArguments { why, place } = arguments;
    let target = place.target()?;
    let mut stage = target.client.stage(&target.stage).await?;
    if let Some(app) = target.named_app() {
        stage.apps.retain(|name, _| name == app);
        stage.rollback.retain(|name, _| name == app);
    }
    let verdict = match judged(&stage) {
        commits if commits.is_empty() || !why => None,
        commits => {
            let mut verdicts = Vec::new();
            for commit in commits {
                verdicts.push((commit.clone(), target.client.gate(&target.stage, commit).await?));
            }
            Some(Verdict::of_several(verdicts))
        }
    };
    let newest = if why { target.client.newest_deployment(&target.stage).await? } else { None };
    let not_run = newest.filter(did_not_run);
    if place.json {
        output::json(&StatusDocument { stage: &stage, verdict: verdict.as_ref(), not_run: not_run.as_ref() })?;
    } else {
        show(&stage, verdict.as_ref(), not_run.as_ref(), Timestamp::now())?;
    }
    Ok(Status::Done)
}

/// What `--json` prints: the stage as the API has it, and with `--why` its verdict and the newest deployment, where that
/// was ended before it ran.
#[derive(Serialize)]
struct StatusDocument<'a> {
    #[serde(flatten)]
    stage: &'a StageView,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdict: Option<&'a Verdict>,
    #[serde(skip_serializing_if = "Option::is_none")]
    not_run: Option<&'a DeploymentView>,
}

/// Whether its last word was said at the gate: refused, superseded, or ended while it waited.
fn did_not_run(deployment: &DeploymentView) -> bool {
    use DeploymentState::{Cancelled, Refused, Superseded};
    matches!(deployment.state, Refused | Superseded | Cancelled)
}

/// The commits that people ask about: those under way, else the one that the branch wants.
fn judged(stage: &StageView) -> BTreeSet<&CommitSha> {
    match &stage.deployment {
        Some(deployment) if deployment.commits.is_empty() => [&deployment.commit].into(),
        Some(deployment) => deployment.commits.values().collect(),
        None => {
            let wanted = stage.wanted.as_ref().map(|wanted| &wanted.commit);
            wanted.or_else(|| stage.apps.values().find_map(|app| app.wanted_commit.as_ref())).into_iter().collect()
        }
    }
}
