//! Releases: `S/apps/{app}/releases`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::deployment::DeploymentState;
use crate::names::{AppName, CommitSha, DeploymentId, Digest, ImageName, ReleaseNumber};
use crate::plan::DeploymentKind;

/// `POST S/apps/{app}/releases`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
    /// The app's own pages of HTML that `errors` of `windlass.toml` takes from the repository, by status.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub pages: BTreeMap<u16, String>,
    /// Makes a new number although the commit is registered already.
    #[serde(default)]
    pub rebuild: bool,
    /// It was built from the commit and changes that nobody has committed: another image each time, and never taken for
    /// the commit's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub uncommitted: bool,
}

/// A release: immutable.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Release {
    /// Counted up per app and stage, never reused.
    pub number: ReleaseNumber,
    pub app: AppName,
    /// What it was built from.
    pub commit: CommitSha,
    pub digest: Digest,
    /// Where it is pulled from.
    pub image: Option<ImageName>,
    /// The text of `windlass.toml` that it was built with.
    pub config: String,
    /// When it was registered.
    pub created_at: Timestamp,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LastDeployment {
    pub id: DeploymentId,
    pub kind: DeploymentKind,
    /// How it ended, or stands.
    pub state: DeploymentState,
    /// When it said its last word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}
