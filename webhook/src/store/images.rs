//! The images that releases run, and which of them are needed.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{AppName, ReleaseNumber};
use windlass_core::stage::Stage;
use windlass_core::task::Image;

use super::deployments::open_states;
use super::{Store, StoreError, unsigned, word};

/// Which release of which app on which stage.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ReleaseKey {
    pub(crate) stage: Stage,
    pub(crate) app: AppName,
    pub(crate) number: ReleaseNumber,
}

impl Store {
    /// Every release of every stage with its image.
    pub(crate) async fn images(&self) -> Result<Vec<(ReleaseKey, Image)>, StoreError> {
        let rows = sqlx::query("SELECT project, stage, app, number, digest, image FROM releases")
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| Ok((key(row)?, image(row)?))).collect()
    }

    /// What stages serve, and served before that; what deployments that are not over deploy, or have still to retire.
    pub(crate) async fn needed_releases(&self) -> Result<Vec<ReleaseKey>, StoreError> {
        let [waiting, running] = open_states();
        let rows = sqlx::query(
            "SELECT project, stage, app, release_number AS number FROM active_releases
             UNION SELECT project, stage, app, previous_release AS number FROM active_releases
             WHERE previous_release IS NOT NULL
             UNION SELECT d.project, d.stage, r.app, r.release_number AS number FROM deployments d
             JOIN deployment_releases r ON r.deployment = d.id
             WHERE d.state IN (?, ?) OR (d.state = ? AND d.retired = 0)",
        )
        .bind(waiting)
        .bind(running)
        .bind(DeploymentState::Succeeded.as_str())
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(key).collect()
    }
}

fn key(row: &SqliteRow) -> Result<ReleaseKey, StoreError> {
    Ok(ReleaseKey {
        stage: Stage { project: word("a project", row.get("project"))?, name: word("a stage", row.get("stage"))? },
        app: word("an app's name", row.get("app"))?,
        number: ReleaseNumber(unsigned(row.get("number"))),
    })
}

fn image(row: &SqliteRow) -> Result<Image, StoreError> {
    Ok(Image {
        name: row.get::<Option<&str>, _>("image").map(|image| word("an image", image)).transpose()?,
        digest: word("a digest", row.get("digest"))?,
    })
}
