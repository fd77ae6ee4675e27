//! What is known of a stage beside its releases and deployments: what its branch wants, what it serves, its settings and
//! the versions of its secrets.

use std::collections::BTreeMap;

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{AppName, CommitSha, DeploymentId, Generation, ProjectName, ReleaseNumber, RepositoryId};
use windlass_core::plan::{GENERATIONS_OF_A_PLAN, StageSettings};
use windlass_core::stage::Stage;
use windlass_core::way_back::{Success, WayBack};

use super::columns::{DEPLOYMENT_KIND, WANTED_SOURCE};
use super::deployments::Source;
use super::{Store, StoreError, Write, count_up, from_json, optional_time, signed, text, time, unsigned, word};

/// What a stage's branch wants.
#[derive(Debug, Clone)]
pub(crate) struct WantedCommit {
    pub(crate) commit: CommitSha,
    pub(crate) source: Source,
    pub(crate) requested_by: String,
}

/// What a stage's app serves.
#[derive(Debug, Clone)]
pub(crate) struct ActiveRelease {
    pub(crate) app: AppName,
    pub(crate) release: ReleaseNumber,
    pub(crate) deployment: DeploymentId,
}

/// When a commit was first heard of, and when something about its checks changed last.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CommitTimes {
    pub(crate) first_seen: Timestamp,
    pub(crate) checks_changed_at: Option<Timestamp>,
}

impl Store {
    /// Remembers GitHub's id of a repository. The first name an id was learnt under keeps it.
    pub(crate) async fn remember_project(
        &self,
        name: &ProjectName,
        id: RepositoryId,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query("INSERT INTO projects (name, repository_id, learnt_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING")
            .bind(name.as_str())
            .bind(signed(id.0))
            .bind(text(now))
            .execute(&mut *write)
            .await?;
        self.commit(write).await
    }

    /// GitHub's ids of the repositories that were learnt.
    pub(crate) async fn known_projects(&self) -> Result<Vec<(ProjectName, RepositoryId)>, StoreError> {
        let rows = sqlx::query("SELECT name, repository_id FROM projects").fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| Ok((word("a project", row.get("name"))?, RepositoryId(unsigned(row.get("repository_id"))))))
            .collect()
    }

    /// Remembers what GitHub calls a repository now.
    pub(crate) async fn remember_name(
        &self,
        id: RepositoryId,
        name: &ProjectName,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        sqlx::query(
            "INSERT INTO current_names (repository_id, name, learnt_at) VALUES (?, ?, ?)
             ON CONFLICT (repository_id) DO UPDATE SET name = excluded.name, learnt_at = excluded.learnt_at",
        )
        .bind(signed(id.0))
        .bind(name.as_str())
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await
    }

    /// What GitHub calls the repositories whose name was learnt.
    pub(crate) async fn current_names(&self) -> Result<BTreeMap<RepositoryId, ProjectName>, StoreError> {
        let rows = sqlx::query("SELECT repository_id, name FROM current_names").fetch_all(&self.reader).await?;
        rows.iter()
            .map(|row| Ok((RepositoryId(unsigned(row.get("repository_id"))), word("a project", row.get("name"))?)))
            .collect()
    }

    /// The stage's branch wants this commit from now on, instead of the one before. Says no, and changes nothing, when it
    /// wants another than that one by now.
    pub(crate) async fn want_commit(
        &self,
        stage: &Stage,
        wanted: &WantedCommit,
        before: Option<&CommitSha>,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut write = self.begin().await?;
        let query = match before {
            None => sqlx::query(
                "INSERT INTO wanted_commits (commit_sha, source, requested_by, wanted_at, project, stage)
                 VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
            ),
            Some(_) => sqlx::query(
                "UPDATE wanted_commits SET commit_sha = ?, source = ?, requested_by = ?, wanted_at = ?
                 WHERE project = ? AND stage = ? AND commit_sha = ?",
            ),
        };
        let query = query
            .bind(wanted.commit.as_str())
            .bind(wanted.source.as_str())
            .bind(&wanted.requested_by)
            .bind(text(now))
            .bind(stage.project.as_str())
            .bind(stage.name.as_str());
        let query = match before {
            None => query,
            Some(before) => query.bind(before.as_str()),
        };
        let changed = query.execute(&mut *write).await?.rows_affected();
        self.commit(write).await?;
        Ok(changed > 0)
    }

    /// What the stage's branch wants, if it was ever said.
    pub(crate) async fn wanted_commit(&self, stage: &Stage) -> Result<Option<WantedCommit>, StoreError> {
        let row = self
            .stage_row(
                "SELECT commit_sha, source, requested_by FROM wanted_commits WHERE project = ? AND stage = ?",
                stage,
            )
            .await?;
        row.map(|row| {
            Ok(WantedCommit {
                commit: word("a commit", row.get("commit_sha"))?,
                source: WANTED_SOURCE.read(&row)?,
                requested_by: row.get("requested_by"),
            })
        })
        .transpose()
    }

    /// A commit was heard of.
    pub(crate) async fn saw_commit(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
        checks_changed: bool,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut write = self.begin().await?;
        saw_commit(&mut write, project, commit, checks_changed, now).await?;
        self.commit(write).await
    }

    /// What is known of a commit.
    pub(crate) async fn commit_times(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
    ) -> Result<Option<CommitTimes>, StoreError> {
        let row = sqlx::query("SELECT first_seen, checks_changed_at FROM commits WHERE project = ? AND commit_sha = ?")
            .bind(project.as_str())
            .bind(commit.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| {
            Ok(CommitTimes {
                first_seen: time(row.get("first_seen"))?,
                checks_changed_at: optional_time(row.get("checks_changed_at"))?,
            })
        })
        .transpose()
    }

    /// What the stage serves.
    pub(crate) async fn active_releases(&self, stage: &Stage) -> Result<Vec<ActiveRelease>, StoreError> {
        let rows =
            sqlx::query("SELECT app, release_number, deployment FROM active_releases WHERE project = ? AND stage = ?")
                .bind(stage.project.as_str())
                .bind(stage.name.as_str())
                .fetch_all(&self.reader)
                .await?;
        rows.iter()
            .map(|row| {
                Ok(ActiveRelease {
                    app: word("an app's name", row.get("app"))?,
                    release: ReleaseNumber(unsigned(row.get("release_number"))),
                    deployment: word("a deployment's id", row.get("deployment"))?,
                })
            })
            .collect()
    }

    /// What the stage goes back to. One that is active already counts before it has succeeded: it may be in its watch.
    pub(crate) async fn way_back(&self, stage: &Stage) -> Result<WayBack, StoreError> {
        let rows = sqlx::query(
            "SELECT d.id, d.kind, r.app, r.release_number FROM deployments d
             JOIN deployment_releases r ON r.deployment = d.id WHERE d.project = ? AND d.stage = ?
             AND (d.state = ? OR EXISTS (SELECT 1 FROM active_releases a WHERE a.deployment = d.id))
             ORDER BY COALESCE(d.generation, 0), d.number",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(DeploymentState::Succeeded.as_str())
        .fetch_all(&self.reader)
        .await?;
        let mut successes: Vec<(&str, Success)> = Vec::new();
        for row in &rows {
            let (id, app) = (row.get("id"), word("an app's name", row.get("app"))?);
            let release = ReleaseNumber(unsigned(row.get("release_number")));
            match successes.last_mut() {
                Some((last, success)) if *last == id => drop(success.releases.insert(app, release)),
                _ => {
                    let kind = DEPLOYMENT_KIND.read(row)?;
                    successes.push((id, Success { kind, releases: [(app, release)].into() }));
                }
            }
        }
        // One that is at its switch has the traffic already, or will have it in a moment.
        let mut switching = None;
        for open in self.open_deployments().await?.into_iter().filter(|open| open.stage == *stage) {
            let known = successes.iter().any(|(id, _)| *id == open.id.as_str());
            let standing = self.standing(&open.id).await?;
            if !known && standing.has_begun_switch() && standing.failure().is_none() {
                switching = Some(Success { kind: open.kind, releases: open.releases });
            }
        }
        Ok(WayBack::of(successes.into_iter().map(|(_, success)| success).chain(switching)))
    }

    /// Whether a release has been active here before.
    pub(crate) async fn has_served(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM deployments d JOIN deployment_releases r ON r.deployment = d.id
             WHERE d.project = ? AND d.stage = ? AND r.app = ? AND r.release_number = ? AND d.state = ?",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .bind(DeploymentState::Succeeded.as_str())
        .fetch_one(&self.reader)
        .await?;
        Ok(row.get::<i64, _>("n") > 0)
    }

    /// Whether a release's migration has succeeded here.
    pub(crate) async fn is_migrated(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
    ) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM migrations_done WHERE project = ? AND stage = ? AND app = ? AND release_number = ?",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .fetch_one(&self.reader)
        .await?;
        Ok(row.get::<i64, _>("n") > 0)
    }

    /// The releases newer than this one whose migration had succeeded here by then, the newest first.
    pub(crate) async fn migrated_above(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
        by: Timestamp,
    ) -> Result<Vec<ReleaseNumber>, StoreError> {
        let rows = sqlx::query(
            "SELECT release_number FROM migrations_done WHERE project = ? AND stage = ? AND app = ?
             AND release_number > ? AND done_at <= ? ORDER BY release_number DESC",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .bind(text(by))
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.iter().map(|row| ReleaseNumber(unsigned(row.get("release_number")))).collect())
    }

    /// The first of the generations of a plan; no other of this stage has or will have any of them.
    pub(crate) async fn next_generation(&self, stage: &Stage) -> Result<Generation, StoreError> {
        let mut write = self.begin().await?;
        let count = signed(GENERATIONS_OF_A_PLAN);
        let last = count_up(&mut write, &format!("generation/{stage}"), count).await?;
        self.commit(write).await?;
        Ok(Generation(unsigned(last - count + 1)))
    }

    /// The newest version of the stage's own settings for an app.
    pub(crate) async fn stage_settings(&self, stage: &Stage, app: &AppName) -> Result<StageSettings, StoreError> {
        let row = sqlx::query(
            "SELECT version, settings FROM stage_settings WHERE project = ? AND stage = ? AND app = ?
             ORDER BY version DESC LIMIT 1",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .fetch_optional(&self.reader)
        .await?;
        row.map_or_else(|| Ok(StageSettings::default()), |row| from_json("settings", row.get("settings")))
    }

    /// The number of the stage's secrets as they are now; a new one when their fingerprint has changed.
    pub(crate) async fn secrets_version(
        &self,
        stage: &Stage,
        fingerprint: &str,
        now: Timestamp,
    ) -> Result<u64, StoreError> {
        let mut write = self.begin().await?;
        let newest = sqlx::query(
            "SELECT version, fingerprint FROM secret_versions WHERE project = ? AND stage = ?
             ORDER BY version DESC LIMIT 1",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .fetch_optional(&mut *write)
        .await?;
        if let Some(row) = &newest
            && row.get::<&str, _>("fingerprint") == fingerprint
        {
            return Ok(unsigned(row.get("version")));
        }
        let version = newest.map_or(1, |row| row.get::<i64, _>("version") + 1);
        sqlx::query(
            "INSERT INTO secret_versions (project, stage, version, fingerprint, created_at) VALUES (?, ?, ?, ?, ?)",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(version)
        .bind(fingerprint)
        .bind(text(now))
        .execute(&mut *write)
        .await?;
        self.commit(write).await?;
        Ok(unsigned(version))
    }

    pub(super) async fn stage_row(&self, sql: &'static str, stage: &Stage) -> Result<Option<SqliteRow>, StoreError> {
        let row = sqlx::query(sql)
            .bind(stage.project.as_str())
            .bind(stage.name.as_str())
            .fetch_optional(&self.reader)
            .await?;
        Ok(row)
    }
}

/// A commit was heard of.
pub(super) async fn saw_commit(
    write: &mut Write,
    project: &ProjectName,
    commit: &CommitSha,
    checks_changed: bool,
    now: Timestamp,
) -> Result<(), StoreError> {
    let changed = checks_changed.then(|| text(now));
    sqlx::query(
        "INSERT INTO commits (project, commit_sha, first_seen, checks_changed_at) VALUES (?, ?, ?, ?)
         ON CONFLICT (project, commit_sha)
         DO UPDATE SET checks_changed_at = COALESCE(excluded.checks_changed_at, commits.checks_changed_at)",
    )
    .bind(project.as_str())
    .bind(commit.as_str())
    .bind(text(now))
    .bind(changed)
    .execute(&mut **write)
    .await?;
    Ok(())
}
