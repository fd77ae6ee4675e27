//! What the service and its clients say to each other under `/api/v1`. Bodies are JSON in snake_case.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::config::TriggerKind;
use crate::deployment::{DeploymentState, Event, Failure};
use crate::names::{
    AppName, CommitSha, DeploymentId, Digest, HostName, ImageName, ProjectName, ReleaseNumber, RoleName, StageName,
    TaskId,
};
use crate::plan::{DeploymentKind, Plan, StepKind};
use crate::task::{LogLine, TaskHealth, TaskStatus};

/// The header of a list of tasks that names a host which did not answer; once for each.
pub const SILENT_HOSTS: &str = "windlass-silent-hosts";

/// A token on its way; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bearer(pub String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Bearer(…)")
    }
}

/// `POST /auth/oidc`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// The job's OIDC token, with the service's `public-url` as its audience.
    pub token: Bearer,
    /// Where the job wants to work.
    pub project: ProjectName,
    /// Where the job wants to work.
    pub stage: StageName,
}

/// A job that has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedIn {
    /// For this stage alone, with the scopes read, release and deploy.
    pub token: Bearer,
    /// Not good any more from then on.
    pub expires_at: Timestamp,
}

/// `POST S/apps/{app}/releases`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewRelease {
    /// What it was built from.
    pub commit: CommitSha,
    /// The image's manifest in its registry, or its id on the host's own engine.
    pub digest: Digest,
    /// Where to pull it from. `None`: the host's own engine has it.
    #[serde(default)]
    pub image: Option<ImageName>,
    /// The text of `windlass.toml`.
    pub config: String,
    /// Makes a new number although the commit is registered already.
    #[serde(default)]
    pub rebuild: bool,
    /// It was built from the commit and changes that nobody has committed: another image each time, and never taken for
    /// the commit's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncommitted: bool,
}

/// A release: immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// Counted up per app and stage, never reused.
    pub number: ReleaseNumber,
    /// Of which app.
    pub app: AppName,
    /// What it was built from.
    pub commit: CommitSha,
    /// Its image.
    pub digest: Digest,
    /// Where it is pulled from.
    pub image: Option<ImageName>,
    /// The text of `windlass.toml` that it was built with.
    pub config: String,
    /// When it was registered.
    pub created_at: Timestamp,
    /// By whom.
    pub created_by: String,
    /// Whether more was in it than the commit.
    #[serde(default)]
    pub uncommitted: bool,
    /// Whether the stage serves it.
    pub active: bool,
    /// The last deployment of it; in a list only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_deployment: Option<LastDeployment>,
}

/// What became of a release the last time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastDeployment {
    /// Its id.
    pub id: DeploymentId,
    /// What it was.
    pub kind: DeploymentKind,
    /// How it ended, or stands.
    pub state: DeploymentState,
    /// When it said its last word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// One page of a list, newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The page's items.
    pub items: Vec<T>,
    /// Give it as `?cursor=` for the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST S/deployments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// By app. Left out: the newest release of every app; for a rollback what [`StageView::rollback`] says; for a redeploy
    /// the active one.
    #[serde(default)]
    pub releases: BTreeMap<AppName, ReleaseNumber>,
    /// Where `releases` are left out: only of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
    /// What it is.
    #[serde(default = "deploy")]
    pub kind: DeploymentKind,
    /// Said with it, everywhere.
    #[serde(default)]
    pub reason: Option<String>,
    /// Whatever CI says, and although GitHub may be down. For the scope admin, with a reason.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub override_gate: bool,
}

const fn deploy() -> DeploymentKind {
    DeploymentKind::Deploy
}

/// A deployment as the API shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentView {
    /// Its id.
    pub id: DeploymentId,
    /// Of which project.
    pub project: ProjectName,
    /// On which stage.
    pub stage: StageName,
    /// What it is.
    pub kind: DeploymentKind,
    /// Where it stands.
    pub state: DeploymentState,
    /// The stable code of why it ended or waits; absent while it runs and when it succeeded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The same in a sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Why it failed, with the app's own last lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What becomes active.
    pub releases: BTreeMap<AppName, ReleaseNumber>,
    /// The commit of it; where its apps were built from several, the newest.
    pub commit: CommitSha,
    /// By app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commits: BTreeMap<AppName, CommitSha>,
    /// Who or what asked.
    pub requested_by: String,
    /// What they gave as their reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub given_reason: Option<String>,
    /// When.
    pub created_at: Timestamp,
    /// When it said its last word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its page.
    pub url: String,
    /// Where the app is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_url: Option<String>,
    /// Its journal.
    pub steps: Vec<StepView>,
    /// Who let it pass whatever its gate would say, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_override: Option<GateOverride>,
    /// What a rollback leaves as it is: by app, the newer releases whose migration has run, the newest first.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub migrations_kept: BTreeMap<AppName, Vec<ReleaseNumber>>,
    /// What did not go as it should beside it: that GitHub could not be told, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A gate that was not asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateOverride {
    /// Who let it pass.
    pub by: String,
    /// Why.
    pub reason: String,
}

impl std::fmt::Display for GateOverride {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the gate was overridden by {}: {}", self.by, self.reason)
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepView {
    /// Which.
    pub step: StepKind,
    /// What it does.
    pub title: String,
    /// How it stands.
    pub state: StepState,
    /// What came of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

/// How a step stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    /// Done.
    Done,
    /// Failed.
    Failed,
    /// Never begun, and will not be.
    Skipped,
}

/// One message of `GET /deployments/{id}/events`; its SSE id is `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeploymentMessage {
    /// Counted up from 1 per deployment.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub body: MessageBody,
}

/// What a message says. The SSE event's name is the same as `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageBody {
    /// Something happened to the deployment.
    Event {
        /// What.
        body: Event,
        /// The same for people, one line.
        text: String,
    },
    /// A line of the deployment's log: what its tasks wrote and what its steps note.
    Log {
        /// The container or step that it comes from.
        source: String,
        /// The line.
        line: String,
    },
}

/// `GET S`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StageView {
    /// The project.
    pub project: ProjectName,
    /// The stage.
    pub stage: StageName,
    /// What the server's file says of it.
    #[serde(default)]
    pub policy: PolicyView,
    /// By app.
    pub apps: BTreeMap<AppName, AppView>,
    /// What a rollback that names nothing leads to: what the last deployment took the place of, of its apps only.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rollback: BTreeMap<AppName, ReleaseNumber>,
    /// What its branch wants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<WantedView>,
    /// The deployment that runs now, or waits.
    #[serde(default)]
    pub deployment: Option<DeploymentView>,
    /// Who works on it.
    #[serde(default)]
    pub lease: Option<LeaseView>,
    /// A person's lock.
    #[serde(default)]
    pub lock: Option<LockView>,
    /// What a rollback left.
    #[serde(default)]
    pub hold: Option<HoldView>,
    /// What could not be looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The same for programs: who does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_hosts: Vec<SilentHost>,
}

/// What a stage's branch wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WantedView {
    /// The commit.
    pub commit: CommitSha,
    /// Who or what made the branch want it.
    pub requested_by: String,
    /// Why it cannot even be asked for: of which app no release is registered, and whether a job may be building it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// A host that does not answer whoever wants to show what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SilentHost {
    /// Its name.
    pub name: HostName,
    /// What of it does not answer.
    pub part: HostPart,
    /// Since when.
    pub since: Timestamp,
    /// Why, as far as is known.
    pub why: String,
    /// When it showed what is shown of it; absent: nothing of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// What of a host can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostPart {
    /// Its Docker Engine.
    Engine,
    /// Its gateway.
    Gateway,
}

impl std::fmt::Display for SilentHost {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, part, since, why, as_of } = self;
        let clock = |at: &Timestamp| at.strftime("%H:%M:%S UTC");
        let (who, what) = match part {
            HostPart::Engine => ("host", "what runs there"),
            HostPart::Gateway => ("the gateway of host", "what it says of its targets' health"),
        };
        write!(formatter, "{who} {name} has not answered since {}: {why}; ", clock(since))?;
        match as_of {
            Some(at) => write!(formatter, "{what} is shown as of {}", clock(at)),
            None => write!(formatter, "{what} is not known"),
        }
    }
}

/// What the server's file says of a stage, as far as its clients must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PolicyView {
    /// The branch whose commits are deployed.
    pub branch: String,
    /// What starts a deployment by itself; empty: only people do.
    pub deploy_on: Vec<TriggerKind>,
    /// Whether it is one for users.
    #[serde(default)]
    pub production: bool,
}

/// An app on a stage.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AppView {
    /// What it serves.
    pub active: Option<ReleaseNumber>,
    /// The commit of it.
    #[serde(default)]
    pub active_commit: Option<CommitSha>,
    /// What the branch wants.
    #[serde(default)]
    pub wanted_commit: Option<CommitSha>,
    /// What a rollback of this app alone leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<ReleaseNumber>,
    /// The newest release there is.
    #[serde(default)]
    pub latest: Option<ReleaseNumber>,
    /// How many tasks there should be.
    pub desired_tasks: u32,
    /// Where it is reached.
    #[serde(default)]
    pub urls: Vec<String>,
    /// What runs, and what ended not long ago.
    pub tasks: Vec<TaskView>,
}

/// A task as tables show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskView {
    /// Docker's id of a service task, short; a one-off task's own id.
    pub id: String,
    /// The container's name.
    pub name: String,
    /// Of which app.
    pub app: AppName,
    /// What it plays.
    pub role: RoleName,
    /// Whether it serves or ends by itself.
    pub kind: crate::labels::Kind,
    /// What it runs.
    pub release: ReleaseNumber,
    /// Where.
    pub host: HostName,
    /// Where it is in its life.
    pub last_status: TaskStatus,
    /// Whether it does its work.
    pub health: TaskHealth,
    /// When its process started.
    #[serde(default)]
    pub started_at: Option<Timestamp>,
    /// When its process ended.
    #[serde(default)]
    pub stopped_at: Option<Timestamp>,
    /// Its exit status.
    #[serde(default)]
    pub exit_code: Option<i64>,
    /// When this was seen, where its host has not answered since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// `GET S/stale`: service tasks that no deployment accounts for. `DELETE` of the same answers those that it has stopped
/// and removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StaleTasks {
    /// Them.
    pub tasks: Vec<TaskView>,
    /// What could not be looked at or removed, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// A machine's claim on a stage while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseView {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Ends by itself then.
    pub expires_at: Timestamp,
}

/// `PUT S/lock`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewLock {
    /// Why: shown to everybody who waits for it.
    pub reason: String,
}

/// A person's lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockView {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// Since when.
    pub since: Timestamp,
}

/// `GET S/lock`, and what taking it answers. Its ETag is the mark by which only this lock is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownLock {
    /// It.
    #[serde(flatten)]
    pub lock: LockView,
    /// Whether whoever asks has locked.
    #[serde(default)]
    pub yours: bool,
}

/// What a rollback left: automatic deployments wait until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoldView {
    /// The rollback.
    pub deployment: DeploymentId,
    /// Since when.
    pub since: Timestamp,
}

/// `POST S/plan`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PlanView {
    /// The steps, for people.
    pub lines: Vec<String>,
    /// Who would let it pass whatever its gate would say, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gate_override: Option<GateOverride>,
    /// The same for programs.
    pub plan: Plan,
    /// Which hosts did not answer, and what was planned with instead.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST S/tasks`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewTask {
    /// Of which app.
    #[serde(default = "AppName::unnamed")]
    pub app: AppName,
    /// Of which release. `None`: the active one.
    #[serde(default)]
    pub release: Option<ReleaseNumber>,
    /// What it runs.
    pub command: Vec<String>,
}

/// A one-off task that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartedTask {
    /// Its id.
    pub id: TaskId,
    /// What it runs.
    pub release: ReleaseNumber,
}

/// One message of `GET /tasks/{id}/log`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TaskMessage {
    /// It wrote a line.
    Line(LogLine),
    /// It ended.
    Exit {
        /// Its exit status.
        code: i64,
    },
    /// It could not be run.
    Failed(Failure),
}

/// `GET /version`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The service's.
    pub version: String,
}

/// `GET /hosts`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostView {
    /// Its name.
    pub name: HostName,
    /// What selects it.
    pub labels: Vec<String>,
    /// The engine's version, or why it does not answer.
    pub engine: Reachability,
    /// The gateway's version, or why it does not answer; `None` where there is none.
    pub gateway: Option<Reachability>,
}

/// Whether something answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reachability {
    /// It does.
    Answers {
        /// Its version.
        version: String,
    },
    /// It does not.
    Silent {
        /// Why.
        why: String,
        /// Since when.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
}

/// A token as `windlass token list` shows it; its value is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenView {
    /// Its number.
    pub id: i64,
    /// Whose.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Only for this project.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Only for this stage.
    #[serde(default)]
    pub stage: Option<StageName>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was used last.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

/// What a token may do. Each includes [`Scope::Read`]; [`Scope::Admin`] includes all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Look.
    Read,
    /// Register releases.
    Release,
    /// Deploy, roll back, cancel, run tasks.
    Deploy,
    /// Everything.
    Admin,
}

impl Scope {
    /// As written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Release => "release",
            Self::Deploy => "deploy",
            Self::Admin => "admin",
        }
    }
}

impl std::str::FromStr for Scope {
    type Err = crate::names::InvalidName;

    fn from_str(value: &str) -> Result<Self, Self::Err> {
        [Self::Read, Self::Release, Self::Deploy, Self::Admin].into_iter().find(|scope| scope.as_str() == value).ok_or(
            crate::names::InvalidName {
                kind: "scope",
                value: value.to_owned(),
                expected: "read, release, deploy or admin",
            },
        )
    }
}

/// The query of `GET /tasks/{id}/log`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogQuery {
    /// Keep the stream open for what is still to come.
    #[serde(default)]
    pub follow: bool,
    /// Only the last so many lines of what there is.
    #[serde(default)]
    pub lines: Option<u32>,
    /// Only what was written since.
    #[serde(default)]
    pub since: Option<Timestamp>,
}
