//! What GitHub says about a commit, parsed: the words that it may say tomorrow are kept and never taken for good.

use crate::Timestamp;
use crate::names::CommitSha;

/// Everything that was read about one commit for one branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitFacts {
    /// The newest commit status of each context.
    pub statuses: Vec<CommitStatus>,
    /// Check runs of all Apps.
    pub check_runs: Vec<CheckRun>,
    /// Check suites, also those without runs.
    pub suites: Vec<CheckSuite>,
    /// What the branch's rules ask for.
    pub required: Required,
    /// Of the check runs those of jobs that wait for a deployment of the commit, or did: what they say follows from the
    /// verdict, so the verdict cannot wait for it.
    pub waiting_jobs: Vec<u64>,
    /// Of the check runs those of jobs that registered a release of the commit: one that has failed since failed at what
    /// it wanted of Windlass.
    pub registering_jobs: Vec<u64>,
    /// The runs that jobs of the two kinds above belong to: their workflows deploy.
    pub deploying_runs: Vec<u64>,
    /// The runs of GitHub Actions on the commit.
    pub workflow_runs: WorkflowRuns,
    /// Commits with the same content, and what is reported on them; the one to be asked first comes first. Only read
    /// where [`asks_for_same_tree`](super::asks_for_same_tree) says so.
    pub same_tree: Vec<SameTreeCommit>,
    /// When this installation first heard of the commit.
    pub first_seen: Timestamp,
}

/// A commit status: the older of GitHub's two ways to report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitStatus {
    /// Its name; GitHub compares contexts without regard to case.
    pub context: String,
    pub state: CheckState,
}

/// A check run: one job, or one report of an App.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckRun {
    /// Counts up: of two runs of the same thing, the higher one is the newer.
    pub id: u64,
    pub name: String,
    /// The App that made it.
    pub app_id: Option<u64>,
    /// As people call that App.
    pub app: String,
    /// The suite that it belongs to.
    pub suite: Option<u64>,
    pub state: CheckState,
}

/// A check suite: what an App has to say about a commit; for GitHub Actions one run of a workflow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckSuite {
    pub id: u64,
    /// As people call its App.
    pub app: String,
    pub state: CheckState,
    /// How many runs it has, as GitHub counts them.
    pub runs: u64,
    pub created_at: Timestamp,
}

/// The runs of GitHub Actions on a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WorkflowRuns {
    Known(Vec<WorkflowRun>),
    /// They could not be read, and why: then nothing is left out because of them.
    Unknown(String),
}

/// One run of a workflow of GitHub Actions. What its jobs report is one check suite.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkflowRun {
    /// Counts up; the same at each attempt.
    pub id: u64,
    /// The id of its workflow.
    pub workflow: u64,
    /// What started it, in GitHub's word.
    pub event: String,
    /// Its check suite.
    pub suite: Option<u64>,
}

/// A commit whose content is the same as that of the one that is judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SameTreeCommit {
    pub commit: CommitSha,
    /// What it is to the other: `the head of pull request #7`.
    pub relation: String,
    /// What is reported on it.
    pub facts: CommitFacts,
}

/// What the branch's rules ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Required {
    /// These; none, where the list is empty.
    Known(Vec<RequiredCheck>),
    /// They could not be read, and why.
    Unknown(String),
}

/// A name that the branch's rules ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequiredCheck {
    /// The name of a check run or a status' context.
    pub context: String,
    /// The only App that may report it; `None`: anybody.
    pub integration_id: Option<u64>,
}

impl RequiredCheck {
    /// This name, whoever reports it.
    #[must_use]
    pub fn by_anybody(context: &str) -> Self {
        Self { context: context.to_owned(), integration_id: None }
    }
}

/// How a check run, a suite or a status stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckState {
    /// Made, and nothing of it has begun.
    Queued,
    /// Not finished; GitHub's word for it.
    Underway(String),
    /// Finished well: success, neutral or skipped.
    Passed(String),
    /// Finished, and with any other word than those three.
    Failed(String),
}

impl CheckState {
    /// Reads a check run's or a suite's `status` and `conclusion`. Only what is `completed` has finished, and only three
    /// conclusions are good: a word that is new, or none at all, is not.
    #[must_use]
    pub fn of_check(status: &str, conclusion: Option<&str>) -> Self {
        match (status, conclusion) {
            ("queued", _) => Self::Queued,
            ("completed", Some(good @ ("success" | "neutral" | "skipped"))) => Self::Passed(good.to_owned()),
            ("completed", Some(other)) => Self::Failed(other.to_owned()),
            ("completed", None) => Self::Failed("no conclusion".to_owned()),
            (other, _) => Self::Underway(other.to_owned()),
        }
    }

    /// Reads a commit status' `state`.
    #[must_use]
    pub fn of_status(state: &str) -> Self {
        match state {
            "success" => Self::Passed(state.to_owned()),
            "pending" => Self::Underway(state.to_owned()),
            other => Self::Failed(other.to_owned()),
        }
    }
}
