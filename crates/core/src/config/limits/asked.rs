//! The host names that a deployment asks for, and whether it may have them.

use std::collections::{BTreeMap, BTreeSet};

use super::{Claim, Claims, Refusal};
use crate::config::{AppConfig, Limits};
use crate::names::{AppName, ProjectName};

/// What a deployment asks for.
#[derive(Debug, Clone)]
pub struct AskedHosts {
    pub project: ProjectName,
    /// What the server's file allows it.
    pub limits: Limits,
    /// What is to be served.
    pub apps: BTreeMap<AppName, AppConfig>,
    /// What the server's file allows other projects.
    pub allowed: Vec<Claim>,
}

impl AskedHosts {
    /// As what the project has it from then on.
    #[must_use]
    pub fn claims(&self) -> BTreeSet<Claim> {
        self.apps.values().flat_map(|app| self.limits.claims(app)).collect()
    }

    /// Why it may not, given what each project has.
    #[must_use]
    pub fn refusal(&self, had: impl IntoIterator<Item = (ProjectName, Claim)>) -> Option<Refusal> {
        let mut claims = Claims { allowed: self.allowed.clone(), ..Claims::default() };
        for (project, claim) in had {
            if project == self.project { claims.own.push(claim) } else { claims.others.push(claim) }
        }
        self.apps.iter().find_map(|(name, app)| self.limits.taken(name, app, &claims))
    }
}
