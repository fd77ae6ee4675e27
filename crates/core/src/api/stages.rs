//! Stages: `S`, `S/plan`, `S/hold`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::deployments::{DeploymentView, GateOverride};
use super::hosts::SilentHost;
use super::locks::LockView;
use super::maintenance::MaintenanceView;
use super::tasks::TaskView;
use crate::config::TriggerKind;
use crate::gateway::CertificateSource;
use crate::names::{AppName, CommitSha, DeploymentId, ProjectName, ReleaseNumber, StageName};
use crate::plan::Plan;

/// `GET S`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageView {
    pub project: ProjectName,
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
    /// Its `https` names where a gateway ends TLS, and what is shown for each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<CertificateView>,
    /// What could not be looked at, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
    /// The same for programs: who does not answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub silent_hosts: Vec<SilentHost>,
}

/// What a stage's branch wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct WantedView {
    pub commit: CommitSha,
    /// Who or what made the branch want it.
    pub requested_by: String,
    /// Why it cannot even be asked for: of which app no release is registered, and whether a job may be building it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<String>,
}

/// What the server's file says of a stage, as far as its clients must know.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
    /// Who keeps it from its clients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<MaintenanceView>,
    /// What runs, and what ended not long ago.
    pub tasks: Vec<TaskView>,
}

/// What is shown to whoever comes to a name by https.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct CertificateView {
    /// As a route has it: `*.` at its beginning is any one name below the rest.
    pub name: String,
    /// Where what is shown comes from: on the host where it is worst. `None`: no gateway says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<CertificateSource>,
    /// When it ends; `None`: there is none that browsers could trust.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// Why there is none, or none that is newer: in the authority's own words, where they are its.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_try: Option<Timestamp>,
}

/// A machine's claim on a stage while it works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LeaseView {
    /// For which deployment.
    pub deployment: DeploymentId,
    /// Ends by itself then.
    pub expires_at: Timestamp,
}

/// What a rollback left: automatic deployments wait until it is lifted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HoldView {
    /// The rollback that left it.
    pub deployment: DeploymentId,
    pub since: Timestamp,
}

/// `POST S/plan`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
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
