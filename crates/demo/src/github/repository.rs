//! What people and CI do in a repository, as verbs; and what GitHub was told of its deployments.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::events::{self, Event};
use super::json::app::ACTIONS;
use super::model::{CommitStatus, Model, PullRequest, Workflow};
use super::shared::{Shared, TimedOut};
use super::state::{CheckState, CommitState, Conclusion};

/// A repository of a [`FakeGitHub`](super::FakeGitHub). Its verbs deliver the webhooks that GitHub would, and panic
/// when they name what is not there.
#[derive(Clone)]
pub struct FakeRepository {
    pub(super) shared: Arc<Shared>,
    id: u64,
}

/// A deployment as GitHub was told of it.
#[derive(Debug, Clone, PartialEq)]
pub struct DeploymentRecord {
    /// GitHub's id.
    pub id: u64,
    pub environment: String,
    pub sha: String,
    /// What was asked for: the commit, or a branch.
    pub reference: String,
    /// Its task, `deploy` when none was given.
    pub task: String,
    /// Its payload as it was sent; the empty string when none was.
    pub payload: Value,
    pub description: Option<String>,
    /// Whether its environment will vanish.
    pub transient: bool,
    /// Whether its environment is one for users.
    pub production: bool,
    /// Its statuses, oldest first.
    pub statuses: Vec<StatusRecord>,
}

impl DeploymentRecord {
    /// The last status' state, if there is one.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.statuses.last().map(|status| status.state.as_str())
    }

    /// The states in their order.
    #[must_use]
    pub fn states(&self) -> Vec<&str> {
        self.statuses.iter().map(|status| status.state.as_str()).collect()
    }
}

/// A deployment's status as GitHub was told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusRecord {
    /// GitHub's word.
    pub state: String,
    pub description: String,
    /// Where its log is.
    pub log_url: String,
    /// Where what was deployed is.
    pub environment_url: String,
    /// Written by GitHub itself: `inactive`, because a later deployment succeeded.
    pub automatic: bool,
}

impl FakeRepository {
    pub(super) const fn new(shared: Arc<Shared>, id: u64) -> Self {
        Self { shared, id }
    }

    /// GitHub's id of it.
    #[must_use]
    pub const fn id(&self) -> u64 {
        self.id
    }

    /// Gives it another name or owner, or both: `owner/name`.
    pub fn rename(&self, full_name: &str) {
        self.change(|model, id| {
            let repository = model.repository_mut(id);
            let before = std::mem::replace(&mut repository.full_name, full_name.to_owned());
            repository.former_names.push(before.clone());
            let event = events::renamed(&before, model.repository(id), model);
            ((), vec![event])
        });
    }

    /// The commit that a branch is at.
    #[must_use]
    pub fn head(&self, branch: &str) -> String {
        self.shared.model().head(self.id, branch)
    }

    /// Pushes one commit to a branch, and gives its SHA. A new branch starts at the default one.
    pub fn push(&self, branch: &str, message: &str) -> String {
        self.push_made(branch, |model, id, parent| model.add_commit(id, message, &[parent]))
    }

    /// The same with a commit that Git has made and that has its SHA already.
    pub fn push_commit(&self, branch: &str, sha: &str, message: &str) {
        self.push_made(branch, |model, id, parent| {
            model.add_made_commit(id, sha, message, &[parent]);
            sha.to_owned()
        });
    }

    fn push_made(&self, branch: &str, make: impl FnOnce(&mut Model, u64, &str) -> String) -> String {
        self.change(|model, id| {
            let repository = model.repository(id);
            let before = repository.branches.get(branch).cloned();
            let parent = before.clone().unwrap_or_else(|| model.head(id, &repository.default_branch));
            let sha = make(model, id, &parent);
            let events = model.move_branch(id, branch, before.as_deref(), &sha);
            (sha, events)
        })
    }

    /// Takes the branch's last commit away and pushes another in its place, and gives its SHA.
    pub fn force_push(&self, branch: &str, message: &str) -> String {
        self.change(|model, id| {
            let before = model.head(id, branch);
            let parents =
                model.repository(id).commits.get(&before).map(|head| head.parents.clone()).unwrap_or_default();
            let sha = model.add_commit(id, message, &parents.iter().map(String::as_str).collect::<Vec<_>>());
            let events = model.move_branch(id, branch, Some(&before), &sha);
            (sha, events)
        })
    }

    /// Moves a branch to a commit that there is, forward or back.
    pub fn reset_branch(&self, branch: &str, sha: &str) {
        self.change(|model, id| {
            model.must_have(id, sha);
            let before = model.head(id, branch);
            ((), model.move_branch(id, branch, Some(&before), sha))
        });
    }

    /// Deletes a branch.
    pub fn delete_branch(&self, branch: &str) {
        self.change(|model, id| {
            let before = model.head(id, branch);
            model.repository_mut(id).branches.remove(branch);
            let event = events::push(branch, Some(&before), None, model.repository(id), model);
            ((), vec![event])
        });
    }

    /// Opens a pull request from a branch into the default one, and gives its number.
    pub fn open_pull_request(&self, branch: &str) -> u64 {
        self.change(|model, id| {
            let pull_request = PullRequest {
                id: model.new_id(),
                number: model.repository(id).pull_requests.len() as u64 + 1,
                title: format!("Merge {branch}"),
                head: branch.to_owned(),
                head_sha: model.head(id, branch),
                base: model.repository(id).default_branch.clone(),
                base_sha: model.head(id, &model.repository(id).default_branch),
                created_at: Timestamp::now(),
                closed_at: None,
                merge_commit: None,
            };
            model.repository_mut(id).pull_requests.push(pull_request.clone());
            let event = events::pull_request("opened", &pull_request, model.repository(id), model);
            (pull_request.number, vec![event])
        })
    }

    /// Merges a pull request with a merge commit, and gives its SHA.
    pub fn merge_pull_request(&self, number: u64) -> String {
        self.merge(number, None, |base, head| vec![base, head])
    }

    /// Merges a pull request as a commit that Git has made somewhere else.
    pub fn merge_pull_request_as(&self, number: u64, sha: &str) {
        self.merge(number, Some(sha), |base, head| vec![base, head]);
    }

    /// Merges a pull request as one commit of its own, and gives its SHA.
    pub fn squash_pull_request(&self, number: u64) -> String {
        self.merge(number, None, |base, _| vec![base])
    }

    /// Merges a pull request by making its commits anew on top of the base, and gives the last one's SHA.
    pub fn rebase_pull_request(&self, number: u64) -> String {
        self.merge_by(number, |model, id, pull_request, base| {
            let commits = model.repository(id).commits_between(Some(base), &pull_request.head_sha);
            let messages: Vec<String> = commits.into_iter().map(|commit| commit.message.clone()).collect();
            messages.iter().fold(base.to_owned(), |parent, message| model.add_commit(id, message, &[&parent]))
        })
    }

    fn merge(&self, number: u64, sha: Option<&str>, parents: fn(String, String) -> Vec<String>) -> String {
        self.merge_by(number, |model, id, pull_request, base| {
            let parents = parents(base.to_owned(), pull_request.head_sha.clone());
            let parents: Vec<&str> = parents.iter().map(String::as_str).collect();
            let message = format!("{} (#{number})", pull_request.title);
            let merge = sha.map_or_else(|| model.new_sha(), str::to_owned);
            model.add_made_commit(id, &merge, &message, &parents);
            merge
        })
    }

    /// `make` makes what the base, which it is given, moves to.
    fn merge_by(&self, number: u64, make: impl FnOnce(&mut Model, u64, &PullRequest, &str) -> String) -> String {
        self.change(|model, id| {
            let mut pull_request = model.open_pull_request(id, number);
            let before = model.head(id, &pull_request.base);
            let merge = make(model, id, &pull_request, &before);
            // Where nothing else was merged meanwhile, nothing else is in it.
            if model.repository(id).history(&pull_request.head_sha).contains(before.as_str()) {
                model.take_content(id, &merge, &pull_request.head_sha);
            }
            pull_request.base_sha.clone_from(&before);
            pull_request.merge_commit = Some(merge.clone());
            let mut events = vec![model.close(id, pull_request.clone())];
            events.extend(model.move_branch(id, &pull_request.base, Some(&before), &merge));
            (merge, events)
        })
    }

    /// Closes a pull request without merging it.
    pub fn close_pull_request(&self, number: u64) {
        self.change(|model, id| {
            let pull_request = model.open_pull_request(id, number);
            ((), vec![model.close(id, pull_request)])
        });
    }

    /// Sets a commit status.
    pub fn set_status(&self, sha: &str, context: &str, state: CommitState) {
        self.change(|model, id| {
            model.must_have(id, sha);
            let status = CommitStatus {
                id: model.new_id(),
                sha: sha.to_owned(),
                context: context.to_owned(),
                state,
                at: Timestamp::now(),
            };
            model.repository_mut(id).statuses.push(status.clone());
            ((), vec![events::status(&status, model.repository(id), model)])
        });
    }

    /// Makes a suite without runs for an App (`github-actions`, or any other), and gives its id.
    pub fn add_check_suite(&self, sha: &str, app: &str) -> u64 {
        self.change(|model, id| (model.add_suite(id, sha, app), Vec::new()))
    }

    /// Starts a run of a workflow of GitHub Actions, without jobs as yet, and gives its id: its suite has the same.
    pub fn add_workflow_run(&self, sha: &str, workflow: &str, event: &str) -> u64 {
        let workflow = Workflow { name: workflow.to_owned(), event: event.to_owned() };
        self.change(|model, id| (model.add_suite_of(id, sha, ACTIONS, Some(workflow)), Vec::new()))
    }

    /// Adds a check run to the commit's first suite of GitHub Actions, made if need be, and gives its id.
    pub fn add_check_run(&self, sha: &str, name: &str, state: CheckState) -> u64 {
        self.change(|model, id| {
            let suites = &model.repository(id).suites;
            let suite = suites.iter().find(|suite| suite.sha == sha && suite.app == ACTIONS).map(|suite| suite.id);
            let suite = suite.unwrap_or_else(|| model.add_suite(id, sha, ACTIONS));
            model.add_run(id, suite, name, state)
        })
    }

    /// Adds a check run to a suite, and gives its id. A second one of the same name is a second try.
    pub fn add_check_run_in(&self, suite: u64, name: &str, state: CheckState) -> u64 {
        self.change(|model, id| model.add_run(id, suite, name, state))
    }

    /// Ends a check run.
    pub fn complete_check_run(&self, run: u64, conclusion: Conclusion) {
        self.change(|model, id| {
            let runs = &mut model.repository_mut(id).runs;
            let run = runs.iter_mut().find(|it| it.id == run).expect("a check run of this repository");
            run.state = CheckState::Completed(conclusion);
            run.completed_at = Some(Timestamp::now());
            let run = run.clone();
            ((), model.run_events(id, &run))
        });
    }

    /// Says that a workflow has ended whose checks are the commit's first suite of GitHub Actions.
    pub fn complete_workflow_run(&self, sha: &str, workflow: &str, conclusion: Conclusion) {
        self.change(|model, id| {
            let suites = &model.repository(id).suites;
            let suite = suites.iter().find(|suite| suite.sha == sha && suite.app == ACTIONS);
            let suite = suite.expect("a commit that GitHub Actions has checked");
            ((), vec![events::workflow_run_completed(workflow, conclusion, suite, model.repository(id), model)])
        });
    }

    /// Makes a ruleset require these checks on a branch.
    pub fn require_checks(&self, branch: &str, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.shared.model().repository_mut(self.id).required.insert(branch.to_owned(), names);
    }

    /// Makes classic branch protection require these checks on a branch.
    pub fn protect_branch(&self, branch: &str, names: &[&str]) {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        self.shared.model().repository_mut(self.id).protected.insert(branch.to_owned(), names);
    }

    /// Makes deployments of this commit from now on, whatever was asked for.
    pub fn deploy_wrongly(&self, sha: &str) {
        self.shared.model().repository_mut(self.id).deploys = Some(sha.to_owned());
    }

    /// The deployments that GitHub was told of, oldest first.
    #[must_use]
    pub fn deployments(&self) -> Vec<DeploymentRecord> {
        let model = self.shared.model();
        let records = model.repository(self.id).deployments.iter().map(|it| DeploymentRecord {
            id: it.id,
            environment: it.environment.clone(),
            sha: it.sha.clone(),
            reference: it.reference.clone(),
            task: it.task.clone(),
            payload: it.payload.clone(),
            description: it.description.clone(),
            transient: it.transient,
            production: it.production,
            statuses: it
                .statuses
                .iter()
                .map(|status| StatusRecord {
                    state: status.state.clone(),
                    description: status.description.clone(),
                    log_url: status.log_url.clone(),
                    environment_url: status.environment_url.clone(),
                    automatic: status.automatic,
                })
                .collect(),
        });
        records.collect()
    }

    /// Waits for a deployment that is as wanted.
    ///
    /// # Errors
    ///
    /// When there was none in time.
    pub async fn until_deployment(
        &self,
        wanted: impl Fn(&DeploymentRecord) -> bool,
        timeout: Duration,
    ) -> Result<DeploymentRecord, TimedOut> {
        self.wait("a deployment that is as wanted", wanted, timeout).await
    }

    /// Waits until a deployment of this commit has had a status.
    ///
    /// # Errors
    ///
    /// When none had it in time.
    pub async fn until_status(&self, sha: &str, state: &str, timeout: Duration) -> Result<DeploymentRecord, TimedOut> {
        let wanted = |it: &DeploymentRecord| it.sha == sha && it.states().contains(&state);
        self.wait(&format!("`{state}` of {sha}"), wanted, timeout).await
    }

    async fn wait(
        &self,
        what: &str,
        wanted: impl Fn(&DeploymentRecord) -> bool,
        timeout: Duration,
    ) -> Result<DeploymentRecord, TimedOut> {
        let look = || self.deployments().into_iter().find(&wanted);
        self.shared.until(timeout, look).await.ok_or_else(|| TimedOut {
            what: what.to_owned(),
            waited: timeout,
            seen: format!("{:?}", self.deployments()),
        })
    }

    /// Changes the model and tells of it, in one go: events leave in the order of what they tell.
    fn change<T>(&self, verb: impl FnOnce(&mut Model, u64) -> (T, Vec<Event>)) -> T {
        let mut model = self.shared.model();
        let (value, events) = verb(&mut model, self.id);
        for event in events {
            self.shared.emit(event);
        }
        self.shared.changed.notify_waiters();
        value
    }
}
