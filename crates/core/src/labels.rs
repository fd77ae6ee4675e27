//! The labels that say whose a container is. Identity is read from them and never from a name.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::names::{
    AppName, DeploymentId, Generation, InstallationId, ProjectName, ReleaseNumber, RepositoryId, RoleName, StageName,
};

/// Two services on one engine never see each other's containers: this label tells them apart.
pub const INSTALLATION: &str = "windlass.installation";
/// GitHub's repository id.
pub const PROJECT: &str = "windlass.project";
/// `owner/name` when the container was made, for people.
pub const PROJECT_NAME: &str = "windlass.project-name";
/// The stage.
pub const STAGE: &str = "windlass.stage";
/// The app.
pub const APP: &str = "windlass.app";
/// The role.
pub const ROLE: &str = "windlass.role";
/// The release's number.
pub const RELEASE: &str = "windlass.release";
/// The deployment that made it; one-off tasks that people start have none.
pub const DEPLOYMENT: &str = "windlass.deployment";
/// The generation of the plan that made it.
pub const GENERATION: &str = "windlass.generation";
/// What it is for: see [`Kind`].
pub const KIND: &str = "windlass.kind";

crate::spelled! {
    "lowercase",
    /// What a container is for.
    pub enum Kind {
        /// Serves, until a later deployment retires it.
        Service,
        /// Runs once and ends.
        Task,
        /// The HTTP front of a host.
        Gateway,
        /// What an app needs beside it.
        Accessory,
    }
}

/// Whose a task is and what for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TaskLabels {
    /// The service that made it.
    pub installation: InstallationId,
    /// GitHub's repository id.
    pub project: RepositoryId,
    /// The repository's name when it was made.
    pub project_name: ProjectName,
    /// The stage it belongs to.
    pub stage: StageName,
    /// The app it is of.
    pub app: AppName,
    /// The role it plays.
    pub role: RoleName,
    /// The release it runs.
    pub release: ReleaseNumber,
    /// The deployment that made it.
    pub deployment: Option<DeploymentId>,
    /// The plan's generation.
    pub generation: Generation,
    /// What it is for.
    pub kind: Kind,
}

impl TaskLabels {
    /// As Docker keeps them.
    #[must_use]
    pub fn to_map(&self) -> BTreeMap<String, String> {
        let mut map = BTreeMap::from([
            (INSTALLATION.to_owned(), self.installation.to_string()),
            (PROJECT.to_owned(), self.project.to_string()),
            (PROJECT_NAME.to_owned(), self.project_name.to_string()),
            (STAGE.to_owned(), self.stage.to_string()),
            (APP.to_owned(), self.app.to_string()),
            (ROLE.to_owned(), self.role.to_string()),
            (RELEASE.to_owned(), self.release.to_string()),
            (GENERATION.to_owned(), self.generation.to_string()),
            (KIND.to_owned(), self.kind.as_str().to_owned()),
        ]);
        if let Some(deployment) = &self.deployment {
            map.insert(DEPLOYMENT.to_owned(), deployment.to_string());
        }
        map
    }

    /// Reads them back. `None` when a label is missing or is not what Windlass would have written: then the container
    /// is not ours to touch.
    #[must_use]
    pub fn from_map<'a>(label: impl Fn(&str) -> Option<&'a str>) -> Option<Self> {
        Some(Self {
            installation: InstallationId(label(INSTALLATION)?.parse().ok()?),
            project: label(PROJECT)?.parse().ok()?,
            project_name: label(PROJECT_NAME)?.parse().ok()?,
            stage: label(STAGE)?.parse().ok()?,
            app: label(APP)?.parse().ok()?,
            role: label(ROLE)?.parse().ok()?,
            release: label(RELEASE)?.parse().ok()?,
            deployment: match label(DEPLOYMENT) {
                Some(id) => Some(id.parse().ok()?),
                None => None,
            },
            generation: label(GENERATION)?.parse().ok()?,
            kind: match label(KIND)? {
                "service" => Kind::Service,
                "task" => Kind::Task,
                "gateway" => Kind::Gateway,
                "accessory" => Kind::Accessory,
                _ => return None,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_back_as_written_and_foreign_ones_do_not() {
        let labels = TaskLabels {
            installation: InstallationId(uuid::Uuid::from_u128(7)),
            project: RepositoryId(1_296_269),
            project_name: "acme/shop".parse().unwrap(),
            stage: "production".parse().unwrap(),
            app: AppName::unnamed(),
            role: RoleName::unnamed(),
            release: ReleaseNumber(12),
            deployment: Some(DeploymentId::from_random([3; 16])),
            generation: Generation(4),
            kind: Kind::Service,
        };
        let mut map = labels.to_map();
        assert_eq!(TaskLabels::from_map(|key| map.get(key).map(String::as_str)), Some(labels));
        map.remove(INSTALLATION);
        assert_eq!(TaskLabels::from_map(|key| map.get(key).map(String::as_str)), None);
    }
}
