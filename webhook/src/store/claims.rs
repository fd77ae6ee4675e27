//! Whose host names are: the first project that asked for one keeps it as long as something of it is served.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::config::Claim;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{AppName, DeploymentId, ProjectName, ReleaseNumber};
use windlass_core::stage::Stage;

use super::{Store, StoreError, Write, text, unsigned, word};

/// A claim that is written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredClaim {
    pub(crate) project: ProjectName,
    pub(crate) claim: Claim,
    /// Which asked for it last.
    deployment: Option<String>,
}

/// An app's release that is served, or is about to be.
#[derive(Debug, Clone)]
pub(crate) struct Serving {
    pub(crate) stage: Stage,
    pub(crate) app: AppName,
    pub(crate) release: ReleaseNumber,
}

const SELECT: &str = "SELECT host, path, project, deployment FROM host_claims";

impl Store {
    /// All claims.
    pub(crate) async fn host_claims(&self) -> Result<Vec<StoredClaim>, StoreError> {
        let rows = sqlx::query(SELECT).fetch_all(&self.reader).await?;
        rows.iter().map(stored).collect()
    }

    /// What is served now, what runs to be, and what a deployment that runs would go back to. The oldest first.
    pub(crate) async fn serving(&self) -> Result<Vec<Serving>, StoreError> {
        let rows = sqlx::query(
            "SELECT project, stage, app, release_number, since FROM active_releases
             UNION ALL
             SELECT a.project, a.stage, a.app, a.previous_release, a.previous_since FROM active_releases a
             JOIN deployments d ON d.id = a.deployment WHERE d.state = ?1 AND a.previous_release IS NOT NULL
             UNION ALL
             SELECT d.project, d.stage, r.app, r.release_number, d.created_at FROM deployments d
             JOIN deployment_releases r ON r.deployment = d.id WHERE d.state = ?1
             ORDER BY since",
        )
        .bind(DeploymentState::Running.as_str())
        .fetch_all(&self.reader)
        .await?;
        let serving = |row: &SqliteRow| {
            Ok(Serving {
                stage: Stage {
                    project: word("a project", row.get("project"))?,
                    name: word("a stage", row.get("stage"))?,
                },
                app: word("an app's name", row.get("app"))?,
                release: ReleaseNumber(unsigned(row.get("release_number"))),
            })
        };
        rows.iter().map(serving).collect()
    }

    /// Takes out what nobody serves any more, and writes down what was served before there were claims. What somebody has
    /// asked for since it was read stays.
    pub(crate) async fn settle_claims(
        &self,
        gone: &[StoredClaim],
        missing: &[(ProjectName, Claim)],
        now: Timestamp,
    ) -> Result<(), StoreError> {
        if gone.is_empty() && missing.is_empty() {
            return Ok(());
        }
        let mut write = self.begin().await?;
        for StoredClaim { project, claim, deployment } in gone {
            let sql = "DELETE FROM host_claims WHERE host = ? AND path = ? AND project = ? AND deployment IS ?";
            sqlx::query(sql)
                .bind(&claim.host)
                .bind(&claim.path)
                .bind(project.as_str())
                .bind(deployment)
                .execute(&mut *write)
                .await?;
        }
        for (project, claim) in missing {
            insert(&mut write, project, claim, None, now).await?;
        }
        self.commit_in_silence(write).await
    }
}

/// What each project has claimed.
pub(super) async fn all(write: &mut Write) -> Result<Vec<(ProjectName, Claim)>, StoreError> {
    let rows = sqlx::query(SELECT).fetch_all(&mut **write).await?;
    rows.iter().map(|row| stored(row).map(|it| (it.project, it.claim))).collect()
}

/// A project's deployment asks for it, and nobody else has it.
pub(super) async fn claim(
    write: &mut Write,
    project: &ProjectName,
    claim: &Claim,
    deployment: &DeploymentId,
    now: Timestamp,
) -> Result<(), StoreError> {
    insert(write, project, claim, Some(deployment.as_str()), now).await
}

async fn insert(
    write: &mut Write,
    project: &ProjectName,
    claim: &Claim,
    deployment: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO host_claims (host, path, project, deployment, claimed_at) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (host, path) DO UPDATE SET deployment = excluded.deployment WHERE project = excluded.project",
    )
    .bind(&claim.host)
    .bind(&claim.path)
    .bind(project.as_str())
    .bind(deployment)
    .bind(text(now))
    .execute(&mut **write)
    .await?;
    Ok(())
}

fn stored(row: &SqliteRow) -> Result<StoredClaim, StoreError> {
    Ok(StoredClaim {
        project: word("a project", row.get("project"))?,
        claim: Claim { host: row.get("host"), path: row.get("path") },
        deployment: row.get("deployment"),
    })
}
