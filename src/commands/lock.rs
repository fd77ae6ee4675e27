//! `windlass lock`

use clap::{Args, Subcommand};
use windlass_core::Timestamp;
use windlass_core::api::{LockView, NewLock};
use windlass_core::stage::Stage;

use crate::arguments::Where;
use crate::client::{ClientError, FoundLock};
use crate::error::{CommandError, Status};
use crate::output::{self, ago, theirs};

/// Keep a stage as it is for a while: a person's claim on it, with a reason
#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    Acquire(LockAcquire),
    Release(LockRelease),
    Status(LockStatus),
}

pub(crate) async fn run(command: LockCommand) -> Result<Status, CommandError> {
    match command {
        LockCommand::Acquire(arguments) => acquire(arguments).await,
        LockCommand::Release(arguments) => release(arguments).await,
        LockCommand::Status(arguments) => status(arguments).await,
    }
}

/// Lock a stage: merges and people's deployments wait until it is released
///
/// What runs already goes on. A lock does not expire.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass lock acquire --reason \"the auditors are here\"
  windlass lock acquire --reason \"taking over from ada\" --force")]
pub(crate) struct LockAcquire {
    /// Shown to everybody who waits for it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// In the place of the lock that is there, and say whose it was
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Where,
}

async fn acquire(arguments: LockAcquire) -> Result<Status, CommandError> {
    let LockAcquire { reason, force, place } = arguments;
    let target = place.target()?;
    let there = if force { target.client.lock(&target.stage).await? } else { None };
    let new = NewLock { reason };
    let taken = target.client.take_lock(&target.stage, &new, there.as_ref()).await.map_err(|error| {
        in_the_way(error, &format!("{} is locked already", target.stage.spoken()))
            .hint("`windlass lock acquire --force` puts yours in its place; ask them first")
    })?;
    if place.json {
        output::json(&taken.lock)?;
    } else {
        let mut said =
            format!("{} is locked: nothing is deployed until `windlass lock release`", target.stage.spoken());
        if let Some(before) = there.filter(|before| !before.lock.yours) {
            said.push_str(&format!("\n{}", taken_away(&before.lock.lock)));
        }
        output::result(&said)?;
    }
    Ok(Status::Done)
}

/// Release your lock: of what came meanwhile the newest green commit is deployed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass lock release
  windlass lock release --force       somebody else's, and say whose it was")]
pub(crate) struct LockRelease {
    /// Also somebody else's
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    place: Where,
}

async fn release(arguments: LockRelease) -> Result<Status, CommandError> {
    let LockRelease { force, place } = arguments;
    let target = place.target()?;
    let there =
        target.client.lock(&target.stage).await?.ok_or_else(|| {
            CommandError::failed(format!("nobody has locked {}", target.stage.spoken())).coded("no_lock")
        })?;
    if !there.lock.yours && !force {
        return Err(somebody_elses(&target.stage, &there));
    }
    target.client.release_lock(&target.stage, &there).await.map_err(|error| {
        in_the_way(error, "the lock was not released: it is another one by now")
            .hint("look at it again: `windlass lock status`")
    })?;
    if place.json {
        output::json(&serde_json::json!({ "lock": null, "released": there.lock }))?;
    } else {
        let mut said = format!("{} is free: what waited for the lock is deployed", target.stage.spoken());
        if !there.lock.yours {
            said.push_str(&format!("\n{}", taken_away(&there.lock.lock)));
        }
        output::result(&said)?;
    }
    Ok(Status::Done)
}

/// Show who has locked a stage, since when and why
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass lock status
  windlass lock status -s staging --json")]
pub(crate) struct LockStatus {
    #[command(flatten)]
    place: Where,
}

async fn status(arguments: LockStatus) -> Result<Status, CommandError> {
    let LockStatus { place } = arguments;
    let target = place.target()?;
    let there = target.client.lock(&target.stage).await?;
    if place.json {
        output::json(&serde_json::json!({ "lock": there.map(|there| there.lock) }))?;
        return Ok(Status::Done);
    }
    let stage = target.stage.spoken();
    output::result(&match there {
        None => format!("{stage} is free"),
        Some(FoundLock { lock, .. }) => {
            let by = if lock.yours { format!("you ({})", lock.lock.by) } else { lock.lock.by.clone() };
            let (by, reason) = (theirs(&by), theirs(&lock.lock.reason));
            format!("{stage} is locked by {by} since {}: {reason}", ago(lock.lock.since, Timestamp::now()))
        }
    })?;
    Ok(Status::Done)
}

fn taken_away(lock: &LockView) -> String {
    let LockView { by, reason, since } = lock;
    format!("it was locked by {} since {}: {}", theirs(by), ago(*since, Timestamp::now()), theirs(reason))
}

fn somebody_elses(stage: &Stage, there: &FoundLock) -> CommandError {
    CommandError::failed(format!("the lock of {} is somebody else's", stage.spoken()))
        .with_status(Status::Refused)
        .coded("locked")
        .because(taken_away(&there.lock.lock))
        .hint("`windlass lock release --force` takes it away; ask them first")
}

/// Somebody else has locked the stage, or did in this moment.
fn in_the_way(error: ClientError, message: &str) -> CommandError {
    match error {
        ClientError::Problem(problem) if problem.code == "lock_changed" => {
            let error = CommandError::failed(message).with_status(Status::Refused).coded("locked");
            problem.detail.into_iter().fold(error, CommandError::because)
        }
        other => other.into(),
    }
}
