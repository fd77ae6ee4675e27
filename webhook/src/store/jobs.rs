//! Which jobs deploy a commit: they registered its release, or wait for its deployment. And the deployments that several
//! ask for and that are made once.

use jiff::Timestamp;
use sqlx::Row;
use sqlx::sqlite::SqliteRow;
use windlass_core::deployment::DeploymentState;
use windlass_core::names::{CommitSha, DeploymentId};
use windlass_core::plan::DeploymentKind;
use windlass_core::report;
use windlass_core::stage::Stage;

use super::audit::{Action, Deed, record};
use super::deployments::{Request, StoredDeployment, insert_deployment};
use super::sessions::StoredSession;
use super::{Store, StoreError, Write, signed, text, unsigned};

/// The jobs that deploy a commit, as the verdict on it must know them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct DeployingJobs {
    /// The check runs of those that wait for a deployment of it on the stage, or did.
    pub(crate) waiting: Vec<u64>,
    /// The check runs of those that registered a release of it on the stage.
    pub(crate) registering: Vec<u64>,
    /// The workflows' runs that deploy it, on whichever stage.
    pub(crate) runs: Vec<u64>,
}

/// What a job did to be one that deploys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Did {
    Register,
    Ask,
}

/// What became of asking for a deployment.
#[derive(Debug)]
pub(crate) enum Requested {
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
    ) -> Result<Requested, StoreError> {
        let mut write = self.begin().await?;
        // Nobody else writes meanwhile, so this is how things are until the commit.
        let asked = match self.same_as(request).await? {
            Some(known) => Requested::Known(known),
            None => Requested::New(insert_deployment(&mut write, request, now).await?),
        };
        let (Requested::New(deployment) | Requested::Known(deployment)) = &asked;
        let action = match (&asked, job) {
            (Requested::New(_), _) if request.override_gate => Some(Action::OverrideGate),
            (Requested::New(_), _) => Some(Action::CreateDeployment),
            (Requested::Known(_), Some(_)) => Some(Action::JoinDeployment),
            (Requested::Known(_), None) => None,
        };
        if matches!(asked, Requested::New(_)) {
            self.end_watch_for(&mut write, request, now).await?;
        }
        if let Some(action) = action {
            let mut detail = report::title(deployment.kind, &deployment.releases);
            if let Some(gate_override) = &deployment.gate_override {
                detail = format!("{detail}: {}", gate_override.reason);
            }
            let (actor, stage) = (request.requested_by.as_str(), Some(&request.stage));
            record(&mut write, &Deed { actor, action, stage, detail: &detail, at: now }).await?;
        }
        if let Some(job) = job {
            let project = &request.stage.project;
            remember_job(&mut write, &deployment.id, job).await?;
            for commit in deployment.distinct_commits() {
                remember_deploying_job(&mut write, &request.stage, commit, job, Did::Ask).await?;
                // One check less counts, so the verdict may be another.
                sqlx::query("UPDATE commits SET checks_changed_at = ? WHERE project = ? AND commit_sha = ?")
                    .bind(text(now))
                    .bind(project.as_str())
                    .bind(commit.as_str())
                    .execute(&mut *write)
                    .await?;
            }
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
        for open in self.open_deployments_of(&request.stage).await? {
            let same = open.kind == request.kind && open.source.is_automatic() && open.releases == request.releases;
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

    /// The jobs that deploy a commit on a stage. What a job says about the commit counts on every other stage; a workflow
    /// that deploys one stage deploys, whichever is asked about.
    pub(crate) async fn deploying_jobs(&self, stage: &Stage, commit: &CommitSha) -> Result<DeployingJobs, StoreError> {
        let waiting = sqlx::query(
            "SELECT DISTINCT j.check_run_id FROM deployment_jobs j JOIN deployments d ON d.id = j.deployment
             JOIN deployment_releases r ON r.deployment = d.id
             WHERE d.project = ? AND d.stage = ? AND r.commit_sha = ? AND j.check_run_id IS NOT NULL",
        )
        .bind(stage.project.as_str())
        .bind(stage.name.as_str())
        .bind(commit.as_str())
        .fetch_all(&self.reader)
        .await?;
        let deploying = sqlx::query(
            "SELECT stage, run_id, check_run_id, registered FROM deploying_jobs WHERE project = ? AND commit_sha = ?",
        )
        .bind(stage.project.as_str())
        .bind(commit.as_str())
        .fetch_all(&self.reader)
        .await?;
        let check_run = |row: &SqliteRow| row.get::<Option<i64>, _>("check_run_id").map(unsigned);
        let registered_here = |row: &&SqliteRow| {
            row.get::<&str, _>("stage") == stage.name.as_str() && row.get::<i64, _>("registered") != 0
        };
        Ok(DeployingJobs {
            waiting: waiting.iter().filter_map(check_run).collect(),
            registering: deploying.iter().filter(registered_here).filter_map(check_run).collect(),
            runs: deploying.iter().map(|row| unsigned(row.get("run_id"))).collect(),
        })
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

async fn remember_deploying_job(
    write: &mut Write,
    stage: &Stage,
    commit: &CommitSha,
    job: &StoredSession,
    did: Did,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO deploying_jobs (project, stage, commit_sha, session, run_id, check_run_id, registered)
         VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (project, commit_sha, stage, session, registered) DO NOTHING",
    )
    .bind(stage.project.as_str())
    .bind(stage.name.as_str())
    .bind(commit.as_str())
    .bind(job.id)
    .bind(signed(job.session.run_id))
    .bind(job.session.check_run_id.map(signed))
    .bind(i64::from(did == Did::Register))
    .execute(&mut **write)
    .await?;
    Ok(())
}

/// A job has registered a release of a commit.
pub(super) async fn remember_registering_job(
    write: &mut Write,
    stage: &Stage,
    commit: &CommitSha,
    job: &StoredSession,
) -> Result<(), StoreError> {
    remember_deploying_job(write, stage, commit, job, Did::Register).await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use windlass_core::names::{AppName, ReleaseNumber};

    use super::*;
    use crate::store::deployments::Source;
    use crate::store::sessions::Session;
    use windlass_core::stage::Stage;

    fn request(source: Source, apps: &[&str]) -> Request {
        Request {
            id: DeploymentId::from_random(rand::random()),
            stage: Stage { project: "acme/shop".parse().unwrap(), name: "production".parse().unwrap() },
            kind: DeploymentKind::Deploy,
            source,
            requested_by: "octavia".to_owned(),
            reason: None,
            commit: "a".repeat(40).parse().unwrap(),
            environment_url: None,
            releases: releases(apps),
            override_gate: false,
        }
    }

    fn releases(apps: &[&str]) -> BTreeMap<AppName, ReleaseNumber> {
        apps.iter().map(|app| (app.parse().unwrap(), ReleaseNumber(1))).collect()
    }

    fn id(asked: &Requested) -> &DeploymentId {
        let (Requested::New(deployment) | Requested::Known(deployment)) = asked;
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
        assert_eq!(asked.iter().filter(|asked| matches!(asked, Requested::New(_))).count(), 1);
        assert!(asked.iter().all(|other| id(other) == id(&asked[0])));
        for others in [request(Source::Person, &["web"]), request(Source::Job, &["web", "api"])] {
            let asked = store.ask_for_deployment(&others, None, now).await.unwrap();
            assert!(matches!(asked, Requested::New(_)), "{others:?}");
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

    #[tokio::test]
    async fn rule_100_the_order_is_that_of_the_asking_whatever_the_clock_says() {
        let folder = tempfile::tempdir().unwrap();
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        let store = Store::open(folder.path(), at(0)).await.unwrap();
        let mut asked = Vec::new();
        for second in [0, 7200, -86_400, 3600] {
            let request = request(Source::Person, &["web"]);
            let Requested::New(made) = store.ask_for_deployment(&request, None, at(second)).await.unwrap() else {
                panic!("people get their own");
            };
            asked.push(made.id);
        }
        let stage = request(Source::Person, &[]).stage;
        let mut listed: Vec<_> =
            store.deployments(&stage, None, 10).await.unwrap().into_iter().map(|it| it.id).collect();
        listed.reverse();
        assert_eq!(listed, asked);
        let mut open: Vec<_> = store.open_deployments().await.unwrap().into_iter().map(|it| it.id).collect();
        open.reverse();
        assert_eq!(open, asked);
    }

    #[tokio::test]
    async fn rule_046_a_job_that_registered_is_known_to_every_deployment_of_its_commit() {
        let folder = tempfile::tempdir().unwrap();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let store = Store::open(folder.path(), now).await.unwrap();
        let Request { stage, commit, .. } = request(Source::Merge, &["web"]);
        let session = Session {
            stage: stage.clone(),
            reference: "refs/heads/main".to_owned(),
            commit: commit.clone(),
            event: "push".to_owned(),
            run_id: 4_442_074_271,
            run_attempt: 1,
            check_run_id: Some(4_442_074_272),
            actor: "octavia".to_owned(),
            workflow_ref: None,
            expires_at: now,
        };
        let job = StoredSession { id: 1, session };
        for _ in 0..2 {
            let mut write = store.begin().await.unwrap();
            remember_registering_job(&mut write, &stage, &commit, &job).await.unwrap();
            store.commit(write).await.unwrap();
        }
        let known = store.deploying_jobs(&stage, &commit).await.unwrap();
        let (check_run, run) = (vec![4_442_074_272], vec![4_442_074_271]);
        assert_eq!(known, DeployingJobs { waiting: Vec::new(), registering: check_run.clone(), runs: run.clone() });
        let staging = Stage { name: "staging".parse().unwrap(), ..stage.clone() };
        let elsewhere = store.deploying_jobs(&staging, &commit).await.unwrap();
        assert_eq!(elsewhere, DeployingJobs { runs: run, ..DeployingJobs::default() }, "what it says counts there");
        let other = store.deploying_jobs(&stage, &"b".repeat(40).parse().unwrap()).await.unwrap();
        assert_eq!(other, DeployingJobs::default());

        store.ask_for_deployment(&request(Source::Job, &["web"]), Some(&job), now).await.unwrap();
        assert_eq!(store.deploying_jobs(&stage, &commit).await.unwrap().waiting, check_run);
    }
}
