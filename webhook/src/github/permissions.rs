//! What Windlass needs to be allowed, each with its reason: the one list that `windlass doctor` goes by, and the tables of
//! docs/github.md.

use std::fmt;

/// A permission of a GitHub App's, or of a fine-grained token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Permission {
    /// As GitHub's settings call it.
    pub(crate) name: &'static str,
    /// As its API calls it.
    pub(crate) key: &'static str,
    pub(crate) access: Access,
    pub(crate) need: Need,
    /// What it is for.
    pub(crate) why: &'static str,
    /// What is missing without it.
    pub(crate) without: &'static str,
}

/// A webhook event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HookEvent {
    pub(crate) name: &'static str,
    pub(crate) need: Need,
    /// What it is for.
    pub(crate) why: &'static str,
    /// What is missing without it.
    pub(crate) without: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Access {
    Read,
    Write,
}

/// Whether Windlass does its work without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    Required,
    Optional,
}

impl Access {
    /// Whether what GitHub says is granted is enough.
    pub(crate) fn is_in(self, granted: &str) -> bool {
        match self {
            Self::Read => matches!(granted, "read" | "write" | "admin"),
            Self::Write => matches!(granted, "write" | "admin"),
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Read => "read",
            Self::Write => "write",
        })
    }
}

impl fmt::Display for Need {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Required => "yes",
            Self::Optional => "no",
        })
    }
}

pub(crate) const PERMISSIONS: [Permission; 8] = [
    Permission {
        name: "Metadata",
        key: "metadata",
        access: Access::Read,
        need: Need::Required,
        why: "the repository's id, and the rulesets of its branches",
        without: "nothing works",
    },
    Permission {
        name: "Contents",
        key: "contents",
        access: Access::Read,
        need: Need::Required,
        why: "branch heads, and which of two commits is the newer",
        without: "no commit is deployed by itself",
    },
    Permission {
        name: "Deployments",
        key: "deployments",
        access: Access::Write,
        need: Need::Required,
        why: "deployments and their statuses, which Windlass writes",
        without: "GitHub shows no deployment",
    },
    Permission {
        name: "Checks",
        key: "checks",
        access: Access::Read,
        need: Need::Required,
        why: "check runs and suites, which the gate judges",
        without: "the gate stays closed",
    },
    Permission {
        name: "Commit statuses",
        key: "statuses",
        access: Access::Read,
        need: Need::Required,
        why: "commit statuses, which the gate judges",
        without: "the gate stays closed",
    },
    Permission {
        name: "Actions",
        key: "actions",
        access: Access::Read,
        need: Need::Optional,
        why: "which check runs are of the workflow that deploys: they do not count",
        without: "a failed run of the deploying workflow can hold up the next try",
    },
    Permission {
        name: "Administration",
        key: "administration",
        access: Access::Read,
        need: Need::Optional,
        why: "the required checks of classic branch protection",
        without: "`checks = \"required\"` waits for ever on a branch that has classic protection",
    },
    Permission {
        name: "Pull requests",
        key: "pull_requests",
        access: Access::Write,
        need: Need::Optional,
        why: "which pull request a commit came of, and the comment on it",
        without: "merged pull requests get no comment",
    },
];

pub(crate) const EVENTS: [HookEvent; 7] = [
    HookEvent {
        name: "push",
        need: Need::Required,
        why: "a stage's branch has a new head",
        without: "a push is noticed late, or not at all",
    },
    HookEvent {
        name: "pull_request",
        need: Need::Required,
        why: "a pull request was merged",
        without: "a merge does not start a deployment",
    },
    HookEvent {
        name: "check_run",
        need: Need::Optional,
        why: "a check has ended",
        without: "a green commit waits up to a minute longer",
    },
    HookEvent {
        name: "check_suite",
        need: Need::Optional,
        why: "all checks of an App have ended",
        without: "a green commit waits up to a minute longer",
    },
    HookEvent {
        name: "status",
        need: Need::Optional,
        why: "a commit status has changed",
        without: "a green commit waits up to a minute longer",
    },
    HookEvent {
        name: "workflow_run",
        need: Need::Optional,
        why: "a workflow has ended, also one that was run again",
        without: "a green commit waits up to a minute longer",
    },
    HookEvent {
        name: "repository",
        need: Need::Optional,
        why: "the repository was renamed or transferred",
        without: "a new name is noticed late",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_has_the_tables_of_the_code() {
        let document = include_str!("../../../docs/github.md");
        let rows = |head: &str| -> Vec<String> {
            let after = document.split_once(head).unwrap_or_else(|| panic!("a table {head}")).1;
            after.lines().skip(2).take_while(|line| line.starts_with('|')).map(str::to_owned).collect()
        };
        let permissions = PERMISSIONS
            .map(|it| format!("| {} | {} | {} | {} | {} |", it.name, it.access, it.need, it.why, it.without));
        assert_eq!(rows("| permission | access | required | what for | without it |"), permissions);
        let events = EVENTS.map(|it| format!("| `{}` | {} | {} | {} |", it.name, it.need, it.why, it.without));
        assert_eq!(rows("| event | required | what for | without it |"), events);
    }
}
