//! How the model changes when people and CI do something, and what GitHub tells of it.

use jiff::Timestamp;

use super::events::{self, Event};
use super::json::app::ACTIONS;
use super::model::{CheckRun, CheckSuite, Model, PullRequest, Workflow};
use super::state::CheckState;

impl Model {
    pub(super) fn head(&self, id: u64, branch: &str) -> String {
        let repository = self.repository(id);
        let head = repository.branches.get(branch);
        head.unwrap_or_else(|| panic!("{} has no branch {branch}", repository.full_name)).clone()
    }

    pub(super) fn must_have(&self, id: u64, sha: &str) {
        let repository = self.repository(id);
        assert!(repository.commits.contains_key(sha), "{} has no commit {sha}", repository.full_name);
    }

    pub(super) fn open_pull_request(&self, id: u64, number: u64) -> PullRequest {
        let mut all = self.repository(id).pull_requests.iter();
        let found = all.find(|it| it.number == number && it.closed_at.is_none());
        found.unwrap_or_else(|| panic!("there is no open pull request {number}")).clone()
    }

    pub(super) fn close(&mut self, id: u64, mut pull_request: PullRequest) -> Event {
        pull_request.closed_at = Some(Timestamp::now());
        let event = events::pull_request("closed", &pull_request, self.repository(id), self);
        let mut all = self.repository_mut(id).pull_requests.iter_mut();
        if let Some(kept) = all.find(|it| it.number == pull_request.number) {
            *kept = pull_request;
        }
        event
    }

    pub(super) fn move_branch(&mut self, id: u64, branch: &str, before: Option<&str>, to: &str) -> Vec<Event> {
        let repository = self.repository_mut(id);
        repository.branches.insert(branch.to_owned(), to.to_owned());
        let mut synchronized = Vec::new();
        for it in &mut repository.pull_requests {
            if it.head == branch && it.closed_at.is_none() {
                to.clone_into(&mut it.head_sha);
                synchronized.push(it.clone());
            }
        }
        let repository = self.repository(id);
        let mut events = vec![events::push(branch, before, Some(to), repository, self)];
        events.extend(synchronized.iter().map(|it| events::pull_request("synchronize", it, repository, self)));
        events
    }

    /// Without more being said, a suite of GitHub Actions is a run of a workflow `ci` that a push has started.
    pub(super) fn add_suite(&mut self, id: u64, sha: &str, app: &str) -> u64 {
        let workflow = Workflow { name: "ci".to_owned(), event: "push".to_owned() };
        self.add_suite_of(id, sha, app, (app == ACTIONS).then_some(workflow))
    }

    pub(super) fn add_suite_of(&mut self, id: u64, sha: &str, app: &str, workflow: Option<Workflow>) -> u64 {
        self.must_have(id, sha);
        let branches = &self.repository(id).branches;
        let branch = branches.iter().find(|(_, head)| *head == sha).map(|(name, _)| name.clone());
        let now = Timestamp::now();
        let suite = CheckSuite {
            id: self.new_id(),
            sha: sha.to_owned(),
            branch,
            app: app.to_owned(),
            workflow,
            created_at: now,
            updated_at: now,
        };
        let suite_id = suite.id;
        self.repository_mut(id).suites.push(suite);
        suite_id
    }

    pub(super) fn add_run(&mut self, id: u64, suite: u64, name: &str, state: CheckState) -> (u64, Vec<Event>) {
        let now = Timestamp::now();
        let run = CheckRun {
            id: self.new_id(),
            suite: self.repository(id).suite(suite).id,
            name: name.to_owned(),
            state,
            started_at: now,
            completed_at: state.conclusion().map(|_| now),
        };
        self.repository_mut(id).runs.push(run.clone());
        (run.id, self.run_events(id, &run))
    }

    /// What a run's new state makes GitHub tell; the suite's end comes with its last run's.
    pub(super) fn run_events(&mut self, id: u64, run: &CheckRun) -> Vec<Event> {
        let mut suites = self.repository_mut(id).suites.iter_mut();
        if let Some(suite) = suites.find(|suite| suite.id == run.suite) {
            suite.updated_at = Timestamp::now();
        }
        let repository = self.repository(id);
        if run.state.conclusion().is_none() {
            return vec![events::check_run("created", run, repository, self)];
        }
        let mut events = vec![events::check_run("completed", run, repository, self)];
        if repository.suite_state(run.suite).conclusion().is_some() {
            events.push(events::check_suite_completed(repository.suite(run.suite), repository, self));
        }
        events
    }
}
