//! Which stage of which project: what nearly everything is of.

use std::fmt;

use crate::names::{ProjectName, StageName};

/// One stage of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stage {
    /// As the server's file names it.
    pub project: ProjectName,
    /// As the server's file names it.
    pub name: StageName,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.project, self.name)
    }
}

impl Stage {
    /// As people say it: `acme/shop production`.
    #[must_use]
    pub fn spoken(&self) -> String {
        format!("{} {}", self.project, self.name)
    }
}
