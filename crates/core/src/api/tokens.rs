//! Tokens of people and programs, and what they allow.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ProjectName, StageName};

/// A token as `windlass token list` shows it; its value is never kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    pub id: i64,
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    #[serde(default)]
    pub project: Option<ProjectName>,
    #[serde(default)]
    pub stage: Option<StageName>,
    pub created_at: Timestamp,
    /// When it was used last.
    #[serde(default)]
    pub last_used_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default)]
    pub revoked_at: Option<Timestamp>,
}

/// What a token may do. Each includes [`Scope::Read`]; [`Scope::Admin`] includes all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
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
