//! Apps that are kept from their clients: `S/apps/{app}/maintenance`.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// `PUT S/apps/{app}/maintenance`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewMaintenance {
    /// What clients are told; plain text, of up to 500 characters. Left out, they are told to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub message: Option<String>,
}

/// An app that is kept from its clients.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceView {
    pub by: String,
    pub since: Timestamp,
    /// What clients are told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What beginning it answers, and ending it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MaintenanceTold {
    /// How it is now; none when it has ended.
    #[serde(default)]
    pub maintenance: Option<MaintenanceView>,
    /// Which gateways do not know it yet: they are told as soon as they answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
