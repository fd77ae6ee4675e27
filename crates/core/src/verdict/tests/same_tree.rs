//! A commit without CI, and another with the same content.

use super::{Blocked, Gate, Green, LATE, Waiting, at};
use crate::verdict::{SameTreeCommit, asks_for_same_tree};

impl Gate {
    /// There is a commit with the same content, and this is reported on it.
    fn same_tree(mut self, relation: &str, other: Self) -> Self {
        let commit = "a".repeat(40).parse().unwrap();
        self.facts.same_tree.push(SameTreeCommit { commit, relation: relation.to_owned(), facts: other.facts });
        self
    }
}

#[test]
fn a_commit_without_ci_is_judged_by_the_checks_of_one_with_the_same_content() {
    let head = |state| Gate::all().run(1, "test", state);
    let gate = |state| Gate::all().same_tree("the head of pull request #7", head(state));
    assert_eq!(gate("success").after(299).summary(), "waiting for CI", "its own checks are given their time");
    let green = "green: test passed (check run by GitHub Actions) on aaaaaaa, the head of pull request #7, which has \
                 the same content";
    assert_eq!(gate("success").after(300).summary(), green);
    assert_eq!(gate("failure").kind(), Blocked);
    assert_eq!(gate("in_progress").kind(), Waiting);
    let own = gate("success").run(9, "test", "failure");
    assert_eq!(own.summary(), "blocked: test failed (check run by GitHub Actions)", "its own checks come first");
    let mut off = gate("success");
    off.no_ci.same_tree = false;
    assert_eq!(off.kind(), Blocked);
}

#[test]
fn of_several_commits_with_the_same_content_the_first_on_which_something_is_reported_speaks() {
    let gate =
        Gate::all().same_tree("a parent", Gate::all()).same_tree("a parent", Gate::all().run(1, "test", "failure"));
    assert_eq!(gate.same_tree("a parent", Gate::all().run(1, "test", "success")).kind(), Blocked);
    let silent = Gate::all().same_tree("a parent", Gate::all());
    assert_eq!(silent.summary(), "blocked: CI has not reported anything within 5m, and no-ci denies that");
}

#[test]
fn rule_041_what_is_required_is_asked_of_the_commit_with_the_same_content_too() {
    let gate = || Gate::requiring(&["test", "lint"]);
    let both = gate().same_tree("a parent", Gate::all().run(1, "test", "success").status("lint", "success"));
    assert_eq!(both.kind(), Green);
    let one = gate().same_tree("a parent", Gate::all().run(1, "test", "success"));
    assert_eq!(one.summary(), "waiting for lint");
    assert_eq!(gate().kind(), Waiting);
    assert_eq!(gate().next_look(10), Some(at(300)), "then the others are looked at");
}

#[test]
fn the_others_are_read_only_where_they_are_needed() {
    let needed = |gate: &Gate, second| asks_for_same_tree(&gate.facts, &gate.policy(), at(second));
    let gate = Gate::all();
    assert!(!needed(&gate, 299) && needed(&gate, 300));
    assert!(!needed(&Gate::all().status("ci", "pending"), LATE));
    assert!(!needed(&Gate::all().suite(1, 0, "pending", 0), LATE));
    assert!(needed(&Gate::all().suite(1, 0, "queued", 0), LATE), "an empty old suite announces nothing");
}
