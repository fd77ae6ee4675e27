//! Releases: number + digest + commit + configuration, immutable.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::{LastDeployment, NewRelease, Release};
use windlass_core::names::{AppName, CommitSha, ReleaseNumber};
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::columns::{DEPLOYMENT_KIND, DEPLOYMENT_STATE};
use super::jobs::remember_registering_job;
use super::sessions::StoredSession;
use super::stages::saw_commit;
use super::{Store, StoreError, count_up, optional_time, pages, signed, text, time, unsigned, word};

const COLUMNS: &str = "r.app, r.number, r.commit_sha, r.digest, r.image, r.config, r.created_at, r.created_by, \
     r.uncommitted, \
     EXISTS (SELECT 1 FROM active_releases a WHERE a.project = r.project AND a.stage = r.stage AND a.app = r.app \
     AND a.release_number = r.number) AS active";

/// What became of a registration.
#[derive(Debug)]
pub(crate) enum Registration {
    /// A new number.
    Created(Release),
    /// The commit was registered with this digest already.
    Existing(Release),
    /// The commit was registered with another digest.
    Conflict(Release),
}

impl Store {
    /// Registers a release, once per commit unless a rebuild is asked for.
    pub(crate) async fn register_release(
        &self,
        stage: &Stage,
        app: &AppName,
        new: &NewRelease,
        by: &str,
        job: Option<&StoredSession>,
        now: Timestamp,
    ) -> Result<Registration, StoreError> {
        let mut write = self.begin().await?;
        let newest = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM releases r WHERE r.project = ? AND r.stage = ? AND r.app = ? AND r.commit_sha = ? AND r.uncommitted = 0
             ORDER BY r.number DESC LIMIT 1"
        )))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(new.commit.as_str())
        .fetch_optional(&mut *write)
        .await?;
        if let Some(existing) = newest.as_ref().map(release).transpose()?
            && !new.rebuild
            && !new.uncommitted
        {
            if existing.digest != new.digest || existing.image != new.image {
                return Ok(Registration::Conflict(existing));
            }
            if let Some(job) = job {
                remember_registering_job(&mut write, stage, &new.commit, job).await?;
                self.commit(write).await?;
            }
            return Ok(Registration::Existing(existing));
        }
        let number = count_up(&mut write, &format!("release/{stage}/{app}"), 1).await?;
        sqlx::query(
            "INSERT INTO releases (project, stage, app, number, commit_sha, digest, image, config, created_at, created_by,
             uncommitted) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(number)
        .bind(new.commit.as_str())
        .bind(new.digest.as_str())
        .bind(new.image.as_ref().map(|image| image.as_str()))
        .bind(&new.config)
        .bind(text(now))
        .bind(by)
        .bind(new.uncommitted)
        .execute(&mut *write)
        .await?;
        pages::insert(&mut write, stage, app, number, &new.pages).await?;
        if let Some(job) = job {
            remember_registering_job(&mut write, stage, &new.commit, job).await?;
        }
        saw_commit(&mut write, &stage.project, &new.commit, false, now).await?;
        let detail = format!("release {number} of {app} from {}", new.commit);
        let deed = Deed { actor: by, action: Action::CreateRelease, stage: Some(stage), detail: &detail, at: now };
        record(&mut write, &deed).await?;
        self.commit(write).await?;
        Ok(Registration::Created(Release {
            number: ReleaseNumber(unsigned(number)),
            app: app.clone(),
            commit: new.commit.clone(),
            digest: new.digest.clone(),
            image: new.image.clone(),
            config: new.config.clone(),
            created_at: now,
            created_by: by.to_owned(),
            uncommitted: new.uncommitted,
            active: false,
            last_deployment: None,
        }))
    }

    /// One release by its number.
    pub(crate) async fn release(
        &self,
        stage: &Stage,
        app: &AppName,
        number: ReleaseNumber,
    ) -> Result<Option<Release>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM releases r WHERE r.project = ? AND r.stage = ? AND r.app = ? AND r.number = ?"
        )))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(number.0))
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(release).transpose()
    }

    /// The newest release of a commit.
    pub(crate) async fn release_of_commit(
        &self,
        stage: &Stage,
        app: &AppName,
        commit: &CommitSha,
    ) -> Result<Option<Release>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM releases r WHERE r.project = ? AND r.stage = ? AND r.app = ? AND r.commit_sha = ? AND r.uncommitted = 0
             ORDER BY r.number DESC LIMIT 1"
        )))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(commit.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(release).transpose()
    }

    /// The newest release of a commit, of whichever app.
    pub(crate) async fn any_release_of_commit(
        &self,
        stage: &Stage,
        commit: &CommitSha,
    ) -> Result<Option<Release>, StoreError> {
        let row = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM releases r WHERE r.project = ? AND r.stage = ? AND r.commit_sha = ? AND r.uncommitted = 0
             ORDER BY r.created_at DESC, r.number DESC LIMIT 1"
        )))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(commit.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.as_ref().map(release).transpose()
    }

    /// Releases below a number (all where there is none), newest first.
    pub(crate) async fn releases(
        &self,
        stage: &Stage,
        app: &AppName,
        below: Option<ReleaseNumber>,
        limit: u32,
    ) -> Result<Vec<Release>, StoreError> {
        let rows = sqlx::query(sqlx::AssertSqlSafe(format!(
            "SELECT {COLUMNS} FROM releases r WHERE r.project = ? AND r.stage = ? AND r.app = ? AND r.number < ?
             ORDER BY r.number DESC LIMIT ?"
        )))
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(below.map_or(i64::MAX, |number| signed(number.0)))
        .bind(limit)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(release).collect()
    }

    /// The last deployment of each of these releases.
    pub(crate) async fn add_last_deployments(
        &self,
        stage: &Stage,
        app: &AppName,
        releases: &mut [Release],
    ) -> Result<(), StoreError> {
        let numbers = releases.iter().map(|release| signed(release.number.0));
        let (Some(oldest), Some(newest)) = (numbers.clone().min(), numbers.max()) else { return Ok(()) };
        let rows = sqlx::query(
            "SELECT release_number, id, kind, state, ended_at FROM (
                 SELECT r.release_number, d.id, d.kind, d.state, d.ended_at,
                        ROW_NUMBER() OVER (PARTITION BY r.release_number ORDER BY d.number DESC) AS place
                 FROM deployments d JOIN deployment_releases r ON r.deployment = d.id
                 WHERE d.project = ? AND d.stage = ? AND r.app = ? AND r.release_number BETWEEN ? AND ?
             ) AS ranked WHERE place = 1",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(oldest)
        .bind(newest)
        .fetch_all(&self.reader)
        .await?;
        for row in rows {
            let number = ReleaseNumber(unsigned(row.get("release_number")));
            if let Some(release) = releases.iter_mut().find(|release| release.number == number) {
                release.last_deployment = Some(LastDeployment {
                    id: word("a deployment's id", row.get("id"))?,
                    kind: DEPLOYMENT_KIND.read(&row)?,
                    state: DEPLOYMENT_STATE.read(&row)?,
                    ended_at: optional_time(row.get("ended_at"))?,
                });
            }
        }
        Ok(())
    }

    /// The apps that have releases on a stage.
    pub(crate) async fn apps(&self, stage: &Stage) -> Result<Vec<AppName>, StoreError> {
        let rows = sqlx::query("SELECT DISTINCT app FROM releases WHERE project = ? AND stage = ? ORDER BY app")
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(|row| word("an app's name", row.get("app"))).collect()
    }
}

fn release(row: &SqliteRow) -> Result<Release, StoreError> {
    Ok(Release {
        number: ReleaseNumber(unsigned(row.get("number"))),
        app: word("an app's name", row.get("app"))?,
        commit: word("a commit", row.get("commit_sha"))?,
        digest: word("a digest", row.get("digest"))?,
        image: row.get::<Option<&str>, _>("image").map(|image| word("an image", image)).transpose()?,
        config: row.get("config"),
        created_at: time(row.get("created_at"))?,
        created_by: row.get("created_by"),
        uncommitted: row.get::<i64, _>("uncommitted") != 0,
        active: row.get("active"),
        last_deployment: None,
    })
}
