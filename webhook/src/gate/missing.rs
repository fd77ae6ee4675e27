//! What a commit lacks before anybody can ask for its deployment: a release of every app.

use windlass_core::names::CommitSha;
use windlass_core::stage::Stage;
use windlass_core::verdict::{Item, Verdict, VerdictKind};

use super::Gate;
use crate::release_config::stored_config;
use crate::store::StoreError;

impl Gate {
    /// The verdict on a commit, with what it lacks beside checks.
    pub(crate) async fn verdict_for_people(&self, stage: &Stage, commit: &CommitSha) -> Result<Verdict, StoreError> {
        let verdict = self.verdict(stage, commit, None).await?;
        let Some(why) = self.missing_release(stage, commit).await? else { return Ok(verdict) };
        Ok(verdict.and(Item { name: "release".to_owned(), state: VerdictKind::Waiting, why, commit: None }))
    }

    /// Of which app there is no release of the commit, and whether a job may be building it. A deployment of it that is under
    /// way has what it needs.
    pub(crate) async fn missing_release(
        &self,
        stage: &Stage,
        commit: &CommitSha,
    ) -> Result<Option<String>, StoreError> {
        let short = commit.short();
        let missing = match self.service.store.any_release_of_commit(stage, commit).await? {
            None => format!("no release of {short} is registered"),
            Some(any) => {
                let wanted =
                    self.service.store.wanted_commit(stage).await?.is_some_and(|wanted| wanted.commit == *commit);
                let open = self.service.store.open_deployments_of(stage).await?;
                if !wanted || open.iter().any(|it| it.distinct_commits().contains(commit)) {
                    return Ok(None);
                }
                let config = match stored_config(stage, &any.config).await {
                    Ok(config) => config,
                    Err(failure) => {
                        let why = format!("the configuration of release {} of {short} cannot be read", any.number);
                        return Ok(Some(format!("{why}: {failure}")));
                    }
                };
                let mut apps = Vec::new();
                for app in config.apps.keys() {
                    if self.service.store.release_of_commit(stage, app, commit).await?.is_none() {
                        apps.push(app.as_str());
                    }
                }
                if apps.is_empty() {
                    return Ok(None);
                }
                format!("no release of {short} is registered for {}", apps.join(", "))
            }
        };
        let job = self.service.store.signed_in_for(stage, commit, self.service.clock.now()).await?;
        Ok(Some(match job {
            Some(job) => format!(
                "{missing}; a job has signed in for it, which may be building it: run {} of GitHub Actions, started by {}",
                job.session.run_id, job.session.actor
            ),
            None => format!(
                "{missing}, and no job has signed in to build one: look at the workflow's run, or register one with \
                 `windlass release create`"
            ),
        }))
    }
}
