//! Sign-in of jobs: `POST /auth/oidc`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{ProjectName, StageName};

/// A token on its way; `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Bearer(pub String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Bearer(…)")
    }
}

/// `POST /auth/oidc`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SignedIn {
    /// For this stage alone, with the scopes read, release and deploy.
    pub token: Bearer,
    /// Not good any more from then on.
    pub expires_at: Timestamp,
}
