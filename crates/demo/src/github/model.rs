//! What this GitHub knows. No HTTP and no JSON in here: [`super::json`] says how it looks from outside.

use std::collections::{BTreeMap, HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::registration::Registration;
use super::state::{CheckState, CommitState, Conclusion};

pub(super) struct Model {
    /// Where its API is, without a trailing slash.
    pub(super) api: String,
    pub(super) repositories: BTreeMap<u64, Repository>,
    /// Installation tokens that have been given out and are still good.
    pub(super) tokens: HashSet<String>,
    pub(super) registration: Registration,
    /// How many seconds this GitHub's clock is behind everybody else's.
    pub(super) clock_back: i64,
    next_id: u64,
}

pub(super) struct Repository {
    pub(super) id: u64,
    pub(super) full_name: String,
    /// From these one is led here, unless another has taken the name since.
    pub(super) former_names: Vec<String>,
    pub(super) default_branch: String,
    pub(super) branches: BTreeMap<String, String>,
    pub(super) commits: HashMap<String, Commit>,
    pub(super) pull_requests: Vec<PullRequest>,
    pub(super) statuses: Vec<CommitStatus>,
    pub(super) suites: Vec<CheckSuite>,
    pub(super) runs: Vec<CheckRun>,
    /// What rulesets require, by branch.
    pub(super) required: BTreeMap<String, Vec<String>>,
    /// What classic branch protection requires, by branch.
    pub(super) protected: BTreeMap<String, Vec<String>>,
    pub(super) deployments: Vec<Deployment>,
    pub(super) comments: Vec<Comment>,
    /// What deployments are made of, whatever was asked for.
    pub(super) deploys: Option<String>,
    /// Pull requests on which nobody may comment.
    pub(super) locked: HashSet<u64>,
    pub(super) created_at: Timestamp,
}

#[derive(Clone)]
pub(super) struct Commit {
    pub(super) sha: String,
    pub(super) tree: String,
    pub(super) message: String,
    pub(super) parents: Vec<String>,
    /// One more than the deepest parent's.
    pub(super) depth: u64,
    pub(super) at: Timestamp,
}

#[derive(Clone)]
pub(super) struct PullRequest {
    pub(super) id: u64,
    pub(super) number: u64,
    pub(super) title: String,
    pub(super) head: String,
    pub(super) head_sha: String,
    pub(super) base: String,
    pub(super) base_sha: String,
    pub(super) created_at: Timestamp,
    pub(super) closed_at: Option<Timestamp>,
    pub(super) merge_commit: Option<String>,
}

#[derive(Clone)]
pub(super) struct CommitStatus {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) context: String,
    pub(super) state: CommitState,
    pub(super) at: Timestamp,
}

#[derive(Clone)]
pub(super) struct CheckSuite {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) branch: Option<String>,
    pub(super) app: String,
    /// Of which workflow's run it is. `None`: it is not one of GitHub Actions.
    pub(super) workflow: Option<Workflow>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

/// What a run of GitHub Actions is of.
#[derive(Clone)]
pub(super) struct Workflow {
    pub(super) name: String,
    /// What started the run.
    pub(super) event: String,
}

#[derive(Clone)]
pub(super) struct CheckRun {
    pub(super) id: u64,
    pub(super) suite: u64,
    pub(super) name: String,
    pub(super) state: CheckState,
    pub(super) started_at: Timestamp,
    pub(super) completed_at: Option<Timestamp>,
}

pub(super) struct Deployment {
    pub(super) id: u64,
    pub(super) sha: String,
    pub(super) reference: String,
    pub(super) task: String,
    pub(super) environment: String,
    pub(super) description: Option<String>,
    pub(super) payload: Value,
    pub(super) transient: bool,
    pub(super) production: bool,
    pub(super) at: Timestamp,
    pub(super) statuses: Vec<DeploymentStatus>,
}

#[derive(Clone)]
pub(super) struct Comment {
    pub(super) id: u64,
    pub(super) pull_request: u64,
    /// As it was written, and after each edit.
    pub(super) bodies: Vec<String>,
    pub(super) created_at: Timestamp,
    pub(super) updated_at: Timestamp,
}

pub(super) struct DeploymentStatus {
    pub(super) id: u64,
    pub(super) state: String,
    pub(super) description: String,
    pub(super) environment: String,
    pub(super) environment_url: String,
    pub(super) log_url: String,
    /// Written by GitHub itself when a later deployment succeeded.
    pub(super) automatic: bool,
    pub(super) at: Timestamp,
}

impl Model {
    pub(super) fn new(api: String) -> Self {
        // Real ids left 32 bits behind long ago.
        Self {
            api,
            repositories: BTreeMap::new(),
            tokens: HashSet::new(),
            registration: Registration::default(),
            clock_back: 0,
            next_id: 4_442_074_270,
        }
    }

    pub(super) fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Looks like a random SHA-1; the same doings give the same ones.
    pub(super) fn new_sha(&mut self) -> String {
        let seed = self.new_id();
        let mut sha = hex::encode(Sha256::digest(format!("commit {seed}")));
        sha.truncate(40);
        sha
    }

    pub(super) fn add_repository(&mut self, full_name: &str) -> u64 {
        let id = self.new_id();
        let repository = Repository {
            id,
            full_name: full_name.to_owned(),
            former_names: Vec::new(),
            default_branch: "main".to_owned(),
            branches: BTreeMap::new(),
            commits: HashMap::new(),
            pull_requests: Vec::new(),
            statuses: Vec::new(),
            suites: Vec::new(),
            runs: Vec::new(),
            required: BTreeMap::new(),
            protected: BTreeMap::new(),
            deployments: Vec::new(),
            comments: Vec::new(),
            deploys: None,
            locked: HashSet::new(),
            created_at: Timestamp::now(),
        };
        self.repositories.insert(id, repository);
        let root = self.add_commit(id, "Initial commit", &[]);
        self.repository_mut(id).branches.insert("main".to_owned(), root);
        id
    }

    pub(super) fn repository(&self, id: u64) -> &Repository {
        self.repositories.get(&id).expect("a repository's handle outlives no repository")
    }

    pub(super) fn repository_mut(&mut self, id: u64) -> &mut Repository {
        self.repositories.get_mut(&id).expect("a repository's handle outlives no repository")
    }

    pub(super) fn find(&self, full_name: &str) -> Option<&Repository> {
        self.repositories.values().find(|it| it.full_name.eq_ignore_ascii_case(full_name))
    }

    /// The repository that had this name before, where no other has it now.
    pub(super) fn find_moved(&self, full_name: &str) -> Option<&Repository> {
        let had_it = |it: &&Repository| it.former_names.iter().any(|name| name.eq_ignore_ascii_case(full_name));
        if self.find(full_name).is_some() { None } else { self.repositories.values().find(had_it) }
    }

    /// Makes a commit that no branch points to yet.
    pub(super) fn add_commit(&mut self, repository: u64, message: &str, parents: &[&str]) -> String {
        let sha = self.new_sha();
        self.add_made_commit(repository, &sha, message, parents);
        sha
    }

    /// Takes a commit over that was made elsewhere.
    pub(super) fn add_made_commit(&mut self, repository: u64, sha: &str, message: &str, parents: &[&str]) {
        let tree = self.new_sha();
        let commits = &mut self.repository_mut(repository).commits;
        let depth = parents.iter().filter_map(|parent| commits.get(*parent)).map(|parent| parent.depth).max();
        let commit = Commit {
            sha: sha.to_owned(),
            tree,
            message: message.to_owned(),
            parents: parents.iter().map(|&parent| parent.to_owned()).collect(),
            depth: depth.unwrap_or(0) + 1,
            at: Timestamp::now(),
        };
        commits.insert(sha.to_owned(), commit);
    }
}

impl Model {
    /// A commit holds just what another holds.
    pub(super) fn take_content(&mut self, repository: u64, sha: &str, of: &str) {
        let commits = &mut self.repository_mut(repository).commits;
        let tree = commits.get(of).map(|other| other.tree.clone());
        if let (Some(tree), Some(commit)) = (tree, commits.get_mut(sha)) {
            commit.tree = tree;
        }
    }
}

impl Repository {
    pub(super) fn owner(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(owner, _)| owner)
    }

    pub(super) fn name(&self) -> &str {
        self.full_name.split_once('/').map_or("", |(_, name)| name)
    }

    /// A branch, a full SHA, or the beginning of one.
    pub(super) fn resolve(&self, reference: &str) -> Option<&Commit> {
        let branch = reference.strip_prefix("refs/").unwrap_or(reference);
        let branch = branch.strip_prefix("heads/").unwrap_or(branch);
        if let Some(sha) = self.branches.get(reference).or_else(|| self.branches.get(branch)) {
            return self.commits.get(sha);
        }
        if let Some(commit) = self.commits.get(&reference.to_ascii_lowercase()) {
            return Some(commit);
        }
        let mut matches = self.commits.values().filter(|commit| commit.sha.starts_with(reference));
        matches.next().filter(|_| reference.len() >= 7 && matches.next().is_none())
    }

    /// The commit and all that it is made of.
    pub(super) fn history(&self, sha: &str) -> HashSet<&str> {
        let mut seen = HashSet::new();
        let mut open: Vec<&Commit> = self.commits.get(sha).into_iter().collect();
        while let Some(commit) = open.pop() {
            if seen.insert(commit.sha.as_str()) {
                open.extend(commit.parents.iter().filter_map(|parent| self.commits.get(parent)));
            }
        }
        seen
    }

    /// The commits that `head` has and `base` has not, oldest first.
    pub(super) fn commits_between(&self, base: Option<&str>, head: &str) -> Vec<&Commit> {
        let known = base.map(|base| self.history(base)).unwrap_or_default();
        let mut new: Vec<&Commit> =
            self.history(head).difference(&known).filter_map(|sha| self.commits.get(*sha)).collect();
        new.sort_by_key(|commit| (commit.depth, commit.at));
        new
    }

    /// The latest status of each context of a commit, contexts compared as GitHub does: whatever their case.
    pub(super) fn latest_statuses(&self, sha: &str) -> Vec<&CommitStatus> {
        let mut latest: BTreeMap<String, &CommitStatus> = BTreeMap::new();
        for status in self.statuses.iter().filter(|status| status.sha == sha) {
            latest.insert(status.context.to_lowercase(), status);
        }
        latest.into_values().collect()
    }

    pub(super) fn combined_state(&self, sha: &str) -> CommitState {
        let latest = self.latest_statuses(sha);
        let any = |states: &[CommitState]| latest.iter().any(|status| states.contains(&status.state));
        if any(&[CommitState::Error, CommitState::Failure]) {
            CommitState::Failure
        } else if latest.is_empty() || any(&[CommitState::Pending]) {
            CommitState::Pending
        } else {
            CommitState::Success
        }
    }

    pub(super) fn suite(&self, id: u64) -> &CheckSuite {
        self.suites.iter().find(|suite| suite.id == id).expect("a check suite of this repository")
    }

    /// The newest run of each name in a suite.
    pub(super) fn latest_runs(&self, suite: u64) -> Vec<&CheckRun> {
        let mut latest: BTreeMap<&str, &CheckRun> = BTreeMap::new();
        for run in self.runs.iter().filter(|run| run.suite == suite) {
            latest.insert(&run.name, run);
        }
        latest.into_values().collect()
    }

    /// A suite stands as its runs do; one without runs stays queued for ever.
    pub(super) fn suite_state(&self, suite: u64) -> CheckState {
        let runs = self.latest_runs(suite);
        let conclusions: Vec<Conclusion> = runs.iter().filter_map(|run| run.state.conclusion()).collect();
        if conclusions.len() == runs.len() {
            return Conclusion::of_suite(&conclusions).map_or(CheckState::Queued, CheckState::Completed);
        }
        let all_queued = runs.iter().all(|run| run.state == CheckState::Queued);
        if all_queued { CheckState::Queued } else { CheckState::InProgress }
    }

    /// The branches whose head or history has the commit.
    pub(super) fn branches_with<'a>(&'a self, sha: &'a str) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.branches
            .iter()
            .filter(|(_, head)| self.history(head).contains(sha))
            .map(|(name, head)| (name.as_str(), head.as_str()))
    }
}
