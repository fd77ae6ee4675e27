//! What a gateway is told about apps that are not to be reached for a while.

use serde::{Deserialize, Serialize};

use super::ServiceKey;

/// Answer for an app yourself from now on, or let it answer again. Whatever its health probes ask for it answers still.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetMaintenance {
    pub key: ServiceKey,
    /// Orders what is said about it: what is older than what was taken is refused.
    pub number: u64,
    /// `None`: it is over.
    pub maintenance: Option<Maintenance>,
}

/// What clients are told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Maintenance {
    /// In the words of whoever began it; plain text.
    pub message: Option<String>,
}

/// How a gateway has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaintenanceStatus {
    /// The newest that it was told.
    pub number: u64,
    /// Whether the app is kept from its clients.
    pub is_on: bool,
}
