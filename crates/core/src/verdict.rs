//! The gate's answer to "is this commit allowed to run here?", always with the items that made it so.
//!
//! [`verdict`] only computes: it asks nobody and knows no clock. Its caller reads the [`CommitFacts`] fresh from GitHub
//! each time; where that fails there is nothing to compute, and the answer is [`Verdict::unavailable`].

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::Timestamp;
use crate::config::server::{Checks, NoCi};
use crate::names::CommitSha;

mod deploying;
mod facts;
mod findings;
mod several;
#[cfg(test)]
mod tests;

pub use facts::{
    CheckRun, CheckState, CheckSuite, CommitFacts, CommitStatus, Required, RequiredCheck, SameTreeCommit, WorkflowRun,
    WorkflowRuns,
};

/// The name of the item that says that the runs of workflows could not be read.
pub const UNREAD_WORKFLOW_RUNS: &str = "workflow runs";

/// The gate's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    pub verdict: VerdictKind,
    /// What made it so.
    pub items: Vec<Item>,
}

crate::spelled! {
    "snake_case",
    /// The four answers, from the best to the worst: of several items the worst decides. So what could not be read
    /// outweighs what is known to be red (it is asked again and may turn out better or worse), red outweighs what is
    /// still to come, and green is only what nothing speaks against.
    #[derive(PartialOrd, Ord)]
    pub enum VerdictKind {
        /// Allowed.
        Green,
        /// Not yet known.
        Waiting,
        /// Not allowed.
        Blocked,
        /// GitHub could not be asked, or did not answer in full. Never green.
        Unavailable,
    }
}

/// One thing that the verdict looked at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
pub struct Item {
    /// The check's or status' name.
    pub name: String,
    pub state: VerdictKind,
    pub why: String,
    /// Of which commit it is, where several are deployed together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<CommitSha>,
}

impl Item {
    /// Its name, and of which commit it is where it says that: `test`, `test of a030e72`.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.commit {
            Some(commit) => format!("{} of {}", self.name, commit.short()),
            None => self.name.clone(),
        }
    }
}

/// What the stage asks of a commit.
#[derive(Debug, Clone, Copy)]
pub struct GatePolicy<'a> {
    /// Which checks and statuses count.
    pub checks: &'a Checks,
    /// Names of checks and statuses that never count.
    pub ignore: &'a [String],
    /// When a commit has no CI at all; its `wait` is also the grace for suites without runs.
    pub no_ci: &'a NoCi,
}

/// Judges a commit. The items come out sorted, and their order going in makes no difference.
#[must_use]
pub fn verdict(facts: &CommitFacts, policy: &GatePolicy<'_>, now: Timestamp) -> Verdict {
    let mut items: Vec<Item> = findings::of(facts, policy, now).into_iter().map(|finding| finding.item).collect();
    items.sort();
    items.dedup();
    let verdict = items.iter().map(|item| item.state).max().unwrap_or(VerdictKind::Waiting);
    Verdict { verdict, items }
}

/// Whether to read [`CommitFacts::same_tree`]: the commit has no CI although it was given its time, and the policy lets
/// commits with the same content speak for it.
#[must_use]
pub fn asks_for_same_tree(facts: &CommitFacts, policy: &GatePolicy<'_>, now: Timestamp) -> bool {
    findings::asks_for_same_tree(facts, policy, now)
}

impl Verdict {
    /// The answer when GitHub could not be read, or not in full; `why` is a sentence of its own.
    #[must_use]
    pub fn unavailable(why: impl Into<String>) -> Self {
        let item = Item { name: "GitHub".to_owned(), state: VerdictKind::Unavailable, why: why.into(), commit: None };
        Self { verdict: VerdictKind::Unavailable, items: vec![item] }
    }

    /// One thing more that it looks at.
    #[must_use]
    pub fn and(mut self, item: Item) -> Self {
        self.verdict = self.verdict.max(item.state);
        self.items.push(item);
        self.items.sort();
        self
    }

    /// Whether it is blocked because nobody has reported anything: no check can be run again.
    #[must_use]
    pub fn lacks_ci(&self) -> bool {
        self.verdict == VerdictKind::Blocked
            && self.items.iter().filter(|item| item.state == VerdictKind::Blocked).all(findings::is_without_ci)
    }

    /// In one sentence, without a full stop: `blocked: test failed (check run by GitHub Actions)`.
    #[must_use]
    pub fn summary(&self) -> String {
        let deciding: Vec<&Item> = self.items.iter().filter(|item| item.state == self.verdict).collect();
        let in_full = |items: &[&Item]| {
            items.iter().map(|item| format!("{} {}", item.title(), item.why)).collect::<Vec<_>>().join("; ")
        };
        match self.verdict {
            VerdictKind::Green => match deciding.as_slice() {
                [only] => format!("green: {}", in_full(&[only])),
                all => format!("green: all {} checks passed", all.len()),
            },
            VerdictKind::Waiting => {
                let mut names: Vec<String> = deciding.iter().map(|item| item.title()).collect();
                names.dedup();
                format!("waiting for {}", names.join(", "))
            }
            VerdictKind::Blocked => format!("blocked: {}", in_full(&deciding)),
            VerdictKind::Unavailable => {
                let mut why: Vec<&str> = deciding.iter().map(|item| item.why.as_str()).collect();
                why.dedup();
                format!("unavailable: {}", why.join("; "))
            }
        }
    }

    /// When to judge again although nothing was reported: the earliest moment at which the passing of time alone changes
    /// an item. `None`: only GitHub can change this verdict.
    #[must_use]
    pub fn next_look(&self, facts: &CommitFacts, policy: &GatePolicy<'_>, now: Timestamp) -> Option<Timestamp> {
        if self.verdict != VerdictKind::Waiting {
            return None;
        }
        findings::of(facts, policy, now).into_iter().filter_map(|finding| finding.until).min()
    }
}
