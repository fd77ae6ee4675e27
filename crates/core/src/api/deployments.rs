//! Deployments: `S/deployments` and `/deployments/{id}`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::deployment::{DeploymentState, Event, Failure};
use crate::names::{AppName, CommitSha, DeploymentId, ProjectName, ReleaseNumber, StageName};
use crate::plan::{DeploymentKind, StepKind};

/// `POST S/deployments`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDeployment {
    /// By app. Left out: the newest release of every app; for a rollback what [`super::StageView::rollback`] says; for a redeploy
    /// the active one.
    #[serde(default)]
    pub releases: BTreeMap<AppName, ReleaseNumber>,
    /// Where `releases` are left out: only of this app.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app: Option<AppName>,
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentView {
    pub id: DeploymentId,
    pub project: ProjectName,
    pub stage: StageName,
    pub kind: DeploymentKind,
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
    pub created_at: Timestamp,
    /// When it said its last word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Its page, for people.
    pub url: String,
    /// Where the app is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment_url: Option<String>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct GateOverride {
    /// Who let it pass.
    pub by: String,
    pub reason: String,
}

impl std::fmt::Display for GateOverride {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "the gate was overridden by {}: {}", self.by, self.reason)
    }
}

/// One line of the journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct StepView {
    pub step: StepKind,
    /// What it does.
    pub title: String,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepState {
    /// Not begun.
    Pending,
    /// Begun.
    Running,
    Done,
    Failed,
    /// Never begun, and will not be.
    Skipped,
}

/// One message of `GET /deployments/{id}/events`; its SSE id is `seq`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DeploymentMessage {
    /// Counted up from 1 per deployment.
    pub seq: u64,
    /// When it happened.
    pub at: Timestamp,
    #[serde(flatten)]
    pub body: MessageBody,
}

/// What a message says. The SSE event's name is the same as `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageBody {
    /// Something happened to the deployment.
    Event {
        body: Event,
        /// The same for people, one line.
        text: String,
    },
    /// A line of the deployment's log: what its tasks wrote and what its steps note.
    Log {
        /// The container or step that it comes from.
        source: String,
        line: String,
    },
}
