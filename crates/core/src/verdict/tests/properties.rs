//! What holds for any commit: thousands of made-up ones, the same ones each time.

use super::{ACTIONS, Gate, Green, RequiredCheck};
use crate::config::server::Checks;
use crate::verdict::Required;

/// A number generator of its own, so that a failure's seed stays worth something (splitmix64).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)) % limit
    }

    fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[usize::try_from(self.below(choices.len() as u64)).unwrap()]
    }

    fn shuffle<T>(&mut self, list: &mut [T]) {
        for end in (1..list.len()).rev() {
            let other = usize::try_from(self.below(end as u64 + 1)).unwrap();
            list.swap(end, other);
        }
    }
}

fn any_commit(numbers: &mut Numbers) -> Gate {
    const NAMES: [&str; 4] = ["test", "lint", "build", "Test"];
    let mut gate = match numbers.below(3) {
        0 => Gate::all(),
        1 => Gate::new(Checks::Named(vec!["test".to_owned()])),
        _ => Gate::requiring(&["test", "lint"][..usize::try_from(numbers.below(3)).unwrap()]),
    };
    // Mostly good news, or no commit would ever be green.
    const STATES: [&str; 8] =
        ["success", "success", "success", "success", "neutral", "failure", "in_progress", "queued"];
    for id in 0..numbers.below(5) {
        let app = numbers.of(&[ACTIONS, ACTIONS, 7]);
        gate = gate.run_of(app, numbers.below(3), id, numbers.of(&NAMES), numbers.of(&STATES));
    }
    for number in 0..numbers.below(3) {
        let context = format!("{}{number}", numbers.of(&["ci", "test"]));
        gate = gate.status(&context, numbers.of(&["success", "success", "pending", "failure"]));
    }
    for id in 0..numbers.below(3) {
        let created = i64::try_from(numbers.below(400)).unwrap();
        gate = gate.suite(id, numbers.below(2), numbers.of(&["success", "success", "queued", "in_progress"]), created);
    }
    if numbers.below(4) == 0 { gate.ignoring("lint") } else { gate }
}

#[test]
fn the_order_of_what_github_says_never_changes_the_verdict() {
    for seed in 0..2000 {
        let numbers = &mut Numbers(seed);
        let mut gate = any_commit(numbers);
        let before = gate.after(500);
        numbers.shuffle(&mut gate.facts.check_runs);
        numbers.shuffle(&mut gate.facts.statuses);
        numbers.shuffle(&mut gate.facts.suites);
        if let Required::Known(required) = &mut gate.facts.required {
            numbers.shuffle(required);
        }
        assert_eq!(gate.after(500), before, "seed {seed}");
    }
}

#[test]
fn a_required_check_that_fails_never_leaves_a_commit_green() {
    let mut green = 0;
    for seed in 0..2000 {
        let numbers = &mut Numbers(seed);
        let mut gate = any_commit(numbers);
        green += u32::from(gate.after(500).verdict == Green);
        gate.checks = Checks::Required;
        if let Required::Known(required) = &mut gate.facts.required {
            required.push(RequiredCheck::by_anybody("the last straw"));
        }
        let failing = numbers.of(&["failure", "cancelled", "timed_out", "an invention"]);
        let gate = match numbers.below(2) {
            0 => gate.run_of(numbers.below(9), 9, 99, "the last straw", failing),
            _ => gate.status("The Last Straw", "failure"),
        };
        assert_ne!(gate.after(500).verdict, Green, "seed {seed}");
    }
    assert!(green > 200, "only {green} of the commits were green before: this test shows little");
}
