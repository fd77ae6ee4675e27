//! Which stage of which project: the key of nearly everything that is stored.

use std::fmt;

use windlass_core::names::{ProjectName, StageName};

/// One stage of one project.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct StageKey {
    /// As the server's file names it.
    pub(crate) project: ProjectName,
    /// As the server's file names it.
    pub(crate) stage: StageName,
}

impl fmt::Display for StageKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.project, self.stage)
    }
}
