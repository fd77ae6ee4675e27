//! The commands with which people operate a stage.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use windlass_core::names::{CommitSha, DeploymentId, Digest, ImageName, ReleaseNumber, RoleName};

use super::{ReleaseChoice, Since, Where};

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
    pub(crate) release: Vec<ReleaseChoice>,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Whatever CI says and although GitHub may be down; for tokens with the scope admin
    ///
    /// Locks, the order of releases and the stage's policy still hold. It is said wherever the deployment is shown.
    #[arg(long, requires = "reason")]
    pub(crate) override_gate: bool,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

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
    pub(crate) number: Option<ReleaseNumber>,
    /// The same as `deploy` takes it: a number, or APP=NUMBER, once per app
    #[arg(short, long, value_name = "N")]
    pub(crate) release: Vec<ReleaseChoice>,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// End a deployment: what it did is undone; while it is watched, the old release gets its traffic back
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass cancel                      the one that runs or waits on the stage
  windlass cancel 0123456789abcdef")]
pub(crate) struct Cancel {
    /// Which [default: the one that runs or waits on the stage]
    pub(crate) id: Option<DeploymentId>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Show what a stage serves and what is under way
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass status
  windlass status --why                why it waits, or did not run: each check, lock, hold and turn
  windlass status -s staging --json")]
pub(crate) struct StatusArguments {
    /// Show the gate's verdict with everything that it looked at, and why the newest deployment did not run
    #[arg(long)]
    pub(crate) why: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Show what a deployment would do, without doing it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass plan
  windlass plan --release 12 --json
  windlass plan --rollback        what `windlass rollback` would do")]
pub(crate) struct Plan {
    /// Which: a number, or APP=NUMBER, once per app [default: the newest of every app]
    #[arg(short, long, value_name = "N")]
    pub(crate) release: Vec<ReleaseChoice>,
    /// Of a rollback [default: to where it would lead]
    #[arg(long)]
    pub(crate) rollback: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ReleaseCommand {
    List(ReleaseList),
    Create(ReleaseCreate),
    Activate(ReleaseActivate),
}

/// List an app's releases, newest first
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release list
  windlass release list --all --json")]
pub(crate) struct ReleaseList {
    /// Not only the newest thirty
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Register an image that was built as a release
///
/// The same commit again gives the same release.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release create --digest sha256:8f43…              the commit that is checked out
  windlass release create --commit 3f786850e387550fdab836ed7e6dc881de23001b \\
      --digest sha256:8f43… --image ghcr.io/acme/shop
  windlass release create --digest \"$(docker image inspect -f '{{.Id}}' shop)\"
                                                              an image of the host's own engine")]
pub(crate) struct ReleaseCreate {
    /// What it was built from [default: the commit that is checked out]
    #[arg(long, value_name = "SHA")]
    pub(crate) commit: Option<CommitSha>,
    /// The image's digest in its registry; or, without an image's name, its id on the host's own engine
    #[arg(long, value_name = "SHA256")]
    pub(crate) digest: Digest,
    /// Where it is pulled from [default: `image` of windlass.toml; without it, the host's own engine has it]
    #[arg(long, value_name = "NAME")]
    pub(crate) image: Option<ImageName>,
    /// The file that says what the app is
    #[arg(long, value_name = "FILE", default_value = "windlass.toml")]
    pub(crate) config: PathBuf,
    /// Make a new number although the commit is registered already
    #[arg(long)]
    pub(crate) rebuild: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Make a release active: the same as `deploy --release N`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass release activate 12
  windlass release activate 12 --detach")]
pub(crate) struct ReleaseActivate {
    /// Which
    #[arg(value_name = "N")]
    pub(crate) release: ReleaseNumber,
    /// Said with it: on its page, on GitHub, and by `status` while it is under way
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Subcommand)]
pub(crate) enum TaskCommand {
    Run(TaskRun),
    List(TaskList),
    Stop(TaskStop),
}

/// Run a command in a release's image, with its environment
///
/// Prints what it writes and ends with its exit status; 125 says that Windlass itself failed. Ctrl-C leaves it running
/// and ends with 130; `windlass task stop` ends it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task run -- rake db:version
  windlass task run --release 13 -- bin/check     one that is not active
  windlass task run --detach -- bin/reindex")]
pub(crate) struct TaskRun {
    /// Of which release [default: the active one]
    #[arg(short, long, value_name = "N")]
    pub(crate) release: Option<ReleaseNumber>,
    /// Do not wait for its end
    #[arg(short, long)]
    pub(crate) detach: bool,
    #[command(flatten)]
    pub(crate) place: Where,
    /// The program and its arguments, after `--`
    #[arg(last = true, required = true, value_name = "CMD")]
    pub(crate) command: Vec<String>,
}

/// List the tasks that run once and end: those that run, and those that ended not long ago
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task list
  windlass task list --json")]
pub(crate) struct TaskList {
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Stop a task
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass task stop 0123456789abcdef")]
pub(crate) struct TaskStop {
    /// Its id, as `task list` and `app ps` show it
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AppCommand {
    Ps(AppPs),
    Logs(AppLogs),
    Stale(AppStale),
}

/// List an app's service tasks
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app ps
  windlass app ps -a api --json")]
pub(crate) struct AppPs {
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Print what an app's service tasks write
///
/// With --json: one array, or with --follow one object per line.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app logs --lines 100
  windlass app logs --follow --role worker
  windlass app logs --since 10m")]
pub(crate) struct AppLogs {
    /// Go on with what they write from now on
    #[arg(short, long)]
    pub(crate) follow: bool,
    /// Only so many of the last lines
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) lines: Option<u32>,
    /// Only since: how long ago (10m), or a time (2026-01-31T12:00:00Z)
    #[arg(long, value_name = "WHEN")]
    pub(crate) since: Option<Since>,
    /// Only of this role
    #[arg(long, value_name = "NAME")]
    pub(crate) role: Option<RoleName>,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// List containers that no deployment accounts for, and stop them
///
/// The tasks that serve, those of a deployment that is under way and the stopped ones of the release before are not
/// among them, nor is anything that another installation, project or stage has made.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass app stale
  windlass app stale --stop            stop and remove them
  windlass app stale -a api --json")]
pub(crate) struct AppStale {
    /// Stop and remove them
    #[arg(long)]
    pub(crate) stop: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HoldCommand {
    Lift(HoldLift),
}

/// Let merges deploy again after a rollback
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass hold lift")]
pub(crate) struct HoldLift {
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, Subcommand)]
pub(crate) enum LockCommand {
    Acquire(LockAcquire),
    Release(LockRelease),
    Status(LockStatus),
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
    pub(crate) reason: String,
    /// In the place of the lock that is there, and say whose it was
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Release your lock: of what came meanwhile the newest green commit is deployed
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass lock release
  windlass lock release --force       somebody else's, and say whose it was")]
pub(crate) struct LockRelease {
    /// Also somebody else's
    #[arg(long)]
    pub(crate) force: bool,
    #[command(flatten)]
    pub(crate) place: Where,
}

/// Show who has locked a stage, since when and why
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  windlass lock status
  windlass lock status -s staging --json")]
pub(crate) struct LockStatus {
    #[command(flatten)]
    pub(crate) place: Where,
}
