//! Which jobs wait for which deployment, and the deployments that several ask for and that are made once.

use jiff::Timestamp;
use sqlx::Row;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{CommitSha, DeploymentId};
use windlass_core::plan::DeploymentKind;

use super::deployments::{Request, StoredDeployment, insert_deployment};
use super::sessions::StoredSession;
use super::{Store, StoreError, Write, signed, text, unsigned};
use crate::stage::StageKey;

/// What became of asking for a deployment.
#[derive(Debug)]
pub(crate) enum Asked {
    /// It was made.
    New(StoredDeployment),
    /// There was one that does, or did, the same.
    Known(StoredDeployment),
}

impl Store {
    /// Asks for a deployment. What nobody in particular asks for is not made twice: a merge and the job that built it
    /// want the same, in either order. The job that asks waits for what it is given.
    pub(crate) async fn ask_for_deployment(
        &self,
        request: &Request,
        job: Option<&StoredSession>,
        now: Timestamp,
    ) -> Result<Asked, StoreError> {
        let mut write = self.begin().await?;
        // Nobody else writes meanwhile, so this is how things are until the commit.
        let asked = match self.same_as(request).await? {
            Some(known) => Asked::Known(known),
            None => Asked::New(insert_deployment(&mut write, request, now).await?),
        };
        let (Asked::New(deployment) | Asked::Known(deployment)) = &asked;
        if let Some(job) = job {
            let project = &request.stage.project;
            remember_job(&mut write, &deployment.id, job).await?;
            // One check less counts, so the verdict may be another.
            sqlx::query("UPDATE commits SET checks_changed_at = ? WHERE project = ? AND commit_sha = ?")
                .bind(text(now))
                .bind(project.as_str())
                .bind(deployment.commit.as_str())
                .execute(&mut *write)
                .await?;
        }
        self.commit(write).await?;
        Ok(asked)
    }

    /// The deployment that makes an automatic one needless: an open one of the very same releases, or the one that made
    /// them what the stage serves.
    async fn same_as(&self, request: &Request) -> Result<Option<StoredDeployment>, StoreError> {
        if !request.source.is_automatic() || request.kind != DeploymentKind::Deploy {
            return Ok(None);
        }
        for open in self.open_deployments().await? {
            let same = open.stage == request.stage
                && open.kind == request.kind
                && open.source.is_automatic()
                && open.releases == request.releases;
            if same && self.standing(&open.id).await?.cancelled_by().is_none() {
                return Ok(Some(open));
            }
        }
        let active = self.active_releases(&request.stage).await?;
        let made_active = request.releases.iter().map(|(app, release)| {
            active.iter().find(|it| it.app == *app && it.release == *release).map(|it| &it.deployment)
        });
        match made_active.collect::<Option<Vec<_>>>().as_deref() {
            Some([first, others @ ..]) if others.iter().all(|other| other == first) => {
                Ok(self.deployment(first).await?.filter(|made| made.state == DeploymentState::Succeeded))
            }
            _ => Ok(None),
        }
    }

    /// The check runs of jobs that wait for a deployment of a commit on a stage, or did. What a job says about the commit
    /// counts on every other stage.
    pub(crate) async fn waiting_jobs(&self, stage: &StageKey, commit: &CommitSha) -> Result<Vec<u64>, StoreError> {
        let rows = sqlx::query(
            "SELECT DISTINCT j.check_run_id FROM deployment_jobs j JOIN deployments d ON d.id = j.deployment
             WHERE d.project = ? AND d.stage = ? AND d.commit_sha = ? AND j.check_run_id IS NOT NULL",
        )
        .bind(stage.project.as_str())
        .bind(stage.stage.as_str())
        .bind(commit.as_str())
        .fetch_all(&self.reader)
        .await?;
        Ok(rows.iter().map(|row| unsigned(row.get("check_run_id"))).collect())
    }

    /// Whether the job asked for this deployment, or was given it. Each of a job's steps signs in by itself.
    pub(crate) async fn waits_for(&self, job: &StoredSession, deployment: &DeploymentId) -> Result<bool, StoreError> {
        let row = sqlx::query(
            "SELECT COUNT(*) AS n FROM deployment_jobs WHERE deployment = ? AND (session = ? OR check_run_id = ?)",
        )
        .bind(deployment.as_str())
        .bind(job.id)
        .bind(job.session.check_run_id.map(signed))
        .fetch_one(&self.reader)
        .await?;
        Ok(row.get::<i64, _>("n") > 0)
    }
}

async fn remember_job(write: &mut Write, deployment: &DeploymentId, job: &StoredSession) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO deployment_jobs (deployment, session, check_run_id) VALUES (?, ?, ?)
         ON CONFLICT (deployment, session) DO NOTHING",
    )
    .bind(deployment.as_str())
    .bind(job.id)
    .bind(job.session.check_run_id.map(signed))
    .execute(&mut **write)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use windlass_core::names::{AppName, ReleaseNumber};

    use super::*;
    use crate::stage::StageKey;
    use crate::store::deployments::Source;

    fn request(source: Source, apps: &[&str]) -> Request {
        Request {
            id: DeploymentId::from_random(rand::random()),
            stage: StageKey { project: "acme/shop".parse().unwrap(), stage: "production".parse().unwrap() },
            kind: DeploymentKind::Deploy,
            source,
            requested_by: "octavia".to_owned(),
            reason: None,
            commit: "a".repeat(40).parse().unwrap(),
            environment_url: None,
            releases: releases(apps),
        }
    }

    fn releases(apps: &[&str]) -> BTreeMap<AppName, ReleaseNumber> {
        apps.iter().map(|app| (app.parse().unwrap(), ReleaseNumber(1))).collect()
    }

    fn id(asked: &Asked) -> &DeploymentId {
        let (Asked::New(deployment) | Asked::Known(deployment)) = asked;
        &deployment.id
    }

    #[tokio::test]
    async fn a_merge_and_jobs_that_ask_for_the_same_at_once_are_given_one_deployment_and_people_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store = Store::open(folder.path(), now).await.unwrap();
        let sources = [Source::Merge, Source::Job, Source::Job, Source::Push].map(|source| request(source, &["web"]));
        let asked = sources.iter().map(|request| store.ask_for_deployment(request, None, now));
        let asked = futures_util::future::try_join_all(asked).await.unwrap();
        assert_eq!(asked.iter().filter(|asked| matches!(asked, Asked::New(_))).count(), 1);
        assert!(asked.iter().all(|other| id(other) == id(&asked[0])));
        for others in [request(Source::Person, &["web"]), request(Source::Job, &["web", "api"])] {
            let asked = store.ask_for_deployment(&others, None, now).await.unwrap();
            assert!(matches!(asked, Asked::New(_)), "{others:?}");
        }
    }

    #[tokio::test]
    async fn a_job_that_deploys_one_app_has_not_done_what_the_merge_wants() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::UNIX_EPOCH;
        let store = Store::open(folder.path(), now).await.unwrap();
        let one = request(Source::Job, &["web"]);
        store.ask_for_deployment(&one, None, now).await.unwrap();
        let both = releases(&["web", "api"]);
        let done = store.automatic_deployment(&one.stage, &one.commit, &both).await.unwrap();
        assert!(done.is_none(), "{done:?}");
        let done = store.automatic_deployment(&one.stage, &one.commit, &one.releases).await.unwrap();
        assert_eq!(done.unwrap().id, one.id);
    }
}
