//! Deployments: what was asked for. What became of it is in the journal.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::api::GateOverride;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{AppName, CommitSha, DeploymentId, ProjectName, ReleaseNumber};
use windlass_core::notice::Subject;
use windlass_core::plan::{DeploymentKind, Plan};
use windlass_core::stage::Stage;

use super::columns::{DEPLOYMENT_KIND, DEPLOYMENT_SOURCE, DEPLOYMENT_STATE};
use super::outbox::enqueue;
use super::{
    Progress, Store, StoreError, Write, count_up, from_json, optional_time, signed, text, time, unsigned, word,
};

windlass_core::spelled! {
    "snake_case",
    /// What asked for a deployment.
    pub(crate) enum Source {
        /// A pull request merged into the stage's branch.
        Merge,
        /// A push to the stage's branch.
        Push,
        /// A job of GitHub Actions that nobody in particular started.
        Job,
        /// Somebody, through the API or by a workflow that they started.
        Person,
    }
}

impl Source {
    /// Whether nobody in particular asked: then holds and newer commits stop it.
    pub(crate) const fn is_automatic(self) -> bool {
        matches!(self, Self::Merge | Self::Push | Self::Job)
    }
}

/// A deployment as it was asked for, and where its journal has come to.
#[derive(Debug, Clone)]
pub(crate) struct StoredDeployment {
    pub(crate) id: DeploymentId,
    /// The order in which they were asked for.
    pub(crate) number: u64,
    pub(crate) stage: Stage,
    pub(crate) kind: DeploymentKind,
    pub(crate) source: Source,
    pub(crate) requested_by: String,
    pub(crate) reason: Option<String>,
    /// Where its apps were built from several, the newest of them: what GitHub is told of.
    pub(crate) commit: CommitSha,
    pub(crate) environment_url: Option<String>,
    pub(crate) created_at: Timestamp,
    pub(crate) state: DeploymentState,
    pub(crate) ended_at: Option<Timestamp>,
    pub(crate) releases: BTreeMap<AppName, ReleaseNumber>,
    /// What each of them was built from.
    pub(crate) commits: BTreeMap<AppName, CommitSha>,
    /// Who let it pass whatever its gate would say.
    pub(crate) gate_override: Option<GateOverride>,
}

impl StoredDeployment {
    /// What it deploys of an app; of one that it does not have, what it would.
    pub(crate) fn commit_of(&self, app: &AppName) -> &CommitSha {
        self.commits.get(app).unwrap_or(&self.commit)
    }

    /// As GitHub is told of it.
    pub(super) fn subject(&self) -> Subject<'_> {
        Subject {
            kind: self.kind,
            releases: &self.releases,
            environment_url: self.environment_url.as_deref(),
            gate_override: self.gate_override.as_ref(),
        }
    }

    /// Each of its commits once.
    pub(crate) fn distinct_commits(&self) -> BTreeSet<&CommitSha> {
        self.releases.keys().map(|app| self.commit_of(app)).collect()
    }
}

/// A deployment to be asked for.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) id: DeploymentId,
    pub(crate) stage: Stage,
    pub(crate) kind: DeploymentKind,
    pub(crate) source: Source,
    pub(crate) requested_by: String,
    pub(crate) reason: Option<String>,
    pub(crate) commit: CommitSha,
    pub(crate) environment_url: Option<String>,
    pub(crate) releases: BTreeMap<AppName, ReleaseNumber>,
    /// Whether its gate is not asked; `requested_by` and `reason` answer for it.
    pub(crate) override_gate: bool,
}

const COLUMNS: &str = "id, number, project, stage, kind, source, requested_by, reason, commit_sha, environment_url, \
     created_at, state, ended_at, gate_overridden";

impl Store {
    /// One deployment.
    pub(crate) async fn deployment(&self, id: &DeploymentId) -> Result<Option<StoredDeployment>, StoreError> {
        Ok(self.find_deployments("id = ?", &[id.as_str()], Some(1)).await?.pop())
    }

    /// How far a deployment has come.
    pub(crate) async fn deployment_progress(&self, id: &DeploymentId) -> Result<Option<Progress>, StoreError> {
        let row = sqlx::query(
            "SELECT ended_at IS NOT NULL AS ended,
             (SELECT COALESCE(MAX(seq), 0) FROM deployment_events WHERE deployment = deployments.id) AS newest
             FROM deployments WHERE id = ?",
        )
        .bind(id.as_str())
        .fetch_optional(&self.reader)
        .await?;
        Ok(row.map(|row| Progress { ended: row.get("ended"), newest: unsigned(row.get("newest")) }))
    }

    /// A stage's deployments below a number (all where there is none), newest first.
    pub(crate) async fn deployments(
        &self,
        stage: &Stage,
        below: Option<u64>,
        limit: u32,
    ) -> Result<Vec<StoredDeployment>, StoreError> {
        let below = below.map_or(i64::MAX, signed).to_string();
        let found = "project = ? AND stage = ? AND number < CAST(? AS BIGINT)";
        self.find_deployments(found, &[stage.project.as_str(), stage.name.as_str(), &below], Some(limit)).await
    }

    /// All deployments of a commit, newest first.
    pub(crate) async fn deployments_of_commit(
        &self,
        project: &ProjectName,
        commit: &CommitSha,
    ) -> Result<Vec<StoredDeployment>, StoreError> {
        let found = "project = ? AND id IN (SELECT deployment FROM deployment_releases WHERE commit_sha = ?)";
        self.find_deployments(found, &[project.as_str(), commit.as_str()], None).await
    }

    /// Deployments that have not said their last word, of all stages, newest first. All of them: one that is left out would
    /// never be resumed.
    pub(crate) async fn open_deployments(&self) -> Result<Vec<StoredDeployment>, StoreError> {
        self.find_deployments("state IN (?, ?)", &open_states(), None).await
    }

    /// The same of one stage.
    pub(crate) async fn open_deployments_of(&self, stage: &Stage) -> Result<Vec<StoredDeployment>, StoreError> {
        let found = "state IN (?, ?) AND project = ? AND stage = ?";
        let [waiting, running] = open_states();
        let arguments = [waiting, running, stage.project.as_str(), stage.name.as_str()];
        self.find_deployments(found, &arguments, None).await
    }

    /// The stages that have any.
    pub(crate) async fn stages_with_open_deployments(&self) -> Result<Vec<Stage>, StoreError> {
        let [waiting, running] = open_states();
        let rows = sqlx::query("SELECT DISTINCT project, stage FROM deployments WHERE state IN (?, ?)")
            .bind(waiting)
            .bind(running)
            .fetch_all(&self.reader)
            .await?;
        let key = |row: &SqliteRow| {
            Ok(Stage { project: word("a project", row.get("project"))?, name: word("a stage", row.get("stage"))? })
        };
        rows.iter().map(key).collect()
    }

    /// Deployments that succeeded and whose predecessors' tasks are not retired yet.
    pub(crate) async fn unretired_deployments(&self) -> Result<Vec<StoredDeployment>, StoreError> {
        self.find_deployments("state = ? AND retired = 0", &[DeploymentState::Succeeded.as_str()], None).await
    }

    /// The newest deployment of a commit that nobody in particular asked for. One that a job asked for counts where it is
    /// of these releases: a job may deploy some of the apps only.
    pub(crate) async fn automatic_deployment(
        &self,
        stage: &Stage,
        commit: &CommitSha,
        releases: &BTreeMap<AppName, ReleaseNumber>,
    ) -> Result<Option<StoredDeployment>, StoreError> {
        let found = "project = ? AND stage = ? AND commit_sha = ?";
        let arguments = [stage.project.as_str(), stage.name.as_str(), commit.as_str()];
        let counts =
            |it: &StoredDeployment| it.source.is_automatic() && (it.source != Source::Job || it.releases == *releases);
        Ok(self.find_deployments(found, &arguments, None).await?.into_iter().find(counts))
    }

    /// The stored plan.
    pub(crate) async fn plan(&self, id: &DeploymentId) -> Result<Option<Plan>, StoreError> {
        let row = sqlx::query("SELECT body FROM plans WHERE deployment = ?")
            .bind(id.as_str())
            .fetch_optional(&self.reader)
            .await?;
        row.map(|row| from_json("a plan", row.get("body"))).transpose()
    }

    /// The last deployments that made the release active, newest first.
    pub(crate) async fn successes_of(
        &self,
        stage: &Stage,
        app: &AppName,
        release: ReleaseNumber,
    ) -> Result<Vec<DeploymentId>, StoreError> {
        const LAST: i64 = 3;
        let rows = sqlx::query(
            "SELECT d.id FROM deployments d JOIN deployment_releases r ON r.deployment = d.id
             WHERE d.project = ? AND d.stage = ? AND r.app = ? AND r.release_number = ? AND d.state = ?
             ORDER BY d.number DESC LIMIT ?",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .bind(DeploymentState::Succeeded.as_str())
        .bind(LAST)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| word("a deployment's id", row.get("id"))).collect()
    }

    async fn find_deployments(
        &self,
        condition: &'static str,
        arguments: &[&str],
        limit: Option<u32>,
    ) -> Result<Vec<StoredDeployment>, StoreError> {
        let limit = limit.map(|limit| format!(" LIMIT {limit}")).unwrap_or_default();
        let sql = format!("SELECT {COLUMNS} FROM deployments WHERE {condition} ORDER BY number DESC{limit}");
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for argument in arguments {
            query = query.bind((*argument).to_owned());
        }
        let rows = query.fetch_all(&self.reader).await?;
        let mut deployments = rows.iter().map(deployment).collect::<Result<Vec<_>, _>>()?;
        for deployment in &mut deployments {
            let rows =
                sqlx::query("SELECT app, release_number, commit_sha FROM deployment_releases WHERE deployment = ?")
                    .bind(deployment.id.as_str())
                    .fetch_all(&self.reader)
                    .await?;
            for row in &rows {
                let app: AppName = word("an app's name", row.get("app"))?;
                deployment.commits.insert(app.clone(), word("a commit", row.get("commit_sha"))?);
                deployment.releases.insert(app, ReleaseNumber(unsigned(row.get("release_number"))));
            }
        }
        Ok(deployments)
    }
}

/// Stores a deployment and what GitHub is to be told of it.
pub(super) async fn insert_deployment(
    write: &mut Write,
    request: &Request,
    now: Timestamp,
) -> Result<StoredDeployment, StoreError> {
    let number = count_up(write, "deployment", 1).await?;
    let mut deployment = StoredDeployment {
        id: request.id.clone(),
        number: unsigned(number),
        stage: request.stage.clone(),
        kind: request.kind,
        source: request.source,
        requested_by: request.requested_by.clone(),
        reason: request.reason.clone(),
        commit: request.commit.clone(),
        environment_url: request.environment_url.clone(),
        created_at: now,
        state: DeploymentState::Waiting,
        ended_at: None,
        releases: request.releases.clone(),
        commits: BTreeMap::new(),
        gate_override: gate_override(request.override_gate, &request.requested_by, request.reason.as_deref()),
    };
    sqlx::query(
        "INSERT INTO deployments (id, number, project, stage, kind, source, requested_by, reason, commit_sha,
             environment_url, created_at, gate_overridden, state)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    )
    .bind(deployment.id.as_str())
    .bind(number)
    .bind(deployment.stage.project.as_str())
    .bind(deployment.stage.name.as_str())
    .bind(deployment.kind.as_str())
    .bind(deployment.source.as_str())
    .bind(&deployment.requested_by)
    .bind(&deployment.reason)
    .bind(deployment.commit.as_str())
    .bind(&deployment.environment_url)
    .bind(text(now))
    .bind(i64::from(request.override_gate))
    .bind(deployment.state.as_str())
    .execute(&mut **write)
    .await?;
    for (app, release) in &deployment.releases {
        let built =
            sqlx::query("SELECT commit_sha FROM releases WHERE project = ? AND stage = ? AND app = ? AND number = ?")
                .bind(deployment.stage.project.as_str())
                .bind(deployment.stage.name.as_str())
                .bind(app.as_str())
                .bind(signed(release.0))
                .fetch_optional(&mut **write)
                .await?;
        let commit: CommitSha = match built {
            Some(row) => word("a commit", row.get("commit_sha"))?,
            None => deployment.commit.clone(),
        };
        sqlx::query(
            "INSERT INTO deployment_releases (deployment, app, release_number, commit_sha) VALUES (?, ?, ?, ?)",
        )
        .bind(deployment.id.as_str())
        .bind(app.as_str())
        .bind(signed(release.0))
        .bind(commit.as_str())
        .execute(&mut **write)
        .await?;
        deployment.commits.insert(app.clone(), commit);
    }
    enqueue(write, &deployment.id, &deployment.subject().asked_for(), now).await?;
    Ok(deployment)
}

/// Of those that have not said their last word.
pub(super) fn open_states() -> [&'static str; 2] {
    [DeploymentState::Waiting, DeploymentState::Running].map(DeploymentState::as_str)
}

fn gate_override(overridden: bool, by: &str, reason: Option<&str>) -> Option<GateOverride> {
    let reason = reason.unwrap_or_default();
    overridden.then(|| GateOverride { by: by.to_owned(), reason: reason.to_owned() })
}

fn deployment(row: &SqliteRow) -> Result<StoredDeployment, StoreError> {
    Ok(StoredDeployment {
        id: word("a deployment's id", row.get("id"))?,
        number: unsigned(row.get("number")),
        stage: Stage { project: word("a project", row.get("project"))?, name: word("a stage", row.get("stage"))? },
        kind: DEPLOYMENT_KIND.read(row)?,
        source: DEPLOYMENT_SOURCE.read(row)?,
        requested_by: row.get("requested_by"),
        reason: row.get("reason"),
        commit: word("a commit", row.get("commit_sha"))?,
        environment_url: row.get("environment_url"),
        created_at: time(row.get("created_at"))?,
        state: DEPLOYMENT_STATE.read(row)?,
        ended_at: optional_time(row.get("ended_at"))?,
        releases: BTreeMap::new(),
        commits: BTreeMap::new(),
        gate_override: gate_override(
            row.get::<i64, _>("gate_overridden") != 0,
            row.get("requested_by"),
            row.get("reason"),
        ),
    })
}

#[cfg(test)]
mod tests;
