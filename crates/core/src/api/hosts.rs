//! Hosts, the service's version, and who does not answer: `/hosts` and `/version`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::HostName;

/// A host that does not answer whoever wants to show what it runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SilentHost {
    pub name: HostName,
    /// What of it does not answer.
    pub part: HostPart,
    pub since: Timestamp,
    /// Why, as far as is known.
    pub why: String,
    /// When it showed what is shown of it; absent: nothing of it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Timestamp>,
}

/// What of a host can answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostPart {
    /// Its Docker Engine.
    Engine,
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

/// `GET /version`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Version {
    pub version: String,
}

/// `GET /hosts`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct HostView {
    pub name: HostName,
    /// What selects it.
    pub labels: Vec<String>,
    /// The engine's version, or why it does not answer.
    pub engine: Reachability,
    /// The gateway's version, or why it does not answer; `None` where there is none.
    pub gateway: Option<Reachability>,
}

/// Whether something answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Reachability {
    /// It does.
    Answers { version: String },
    /// It does not.
    Silent {
        why: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        since: Option<Timestamp>,
    },
}
