//! docs/rules.md has every rule, and every rule that has to be shown by a test is: a test's name begins with its number.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// So many rules there are.
const LAST: u32 = 110;
/// The ones that say more of the one before.
const LETTERED: [&str; 2] = ["036a", "036b"];
/// About Swarm, which Windlass does not drive. Every other rule has a test.
const WITHOUT_A_TEST: [&str; 2] = ["094", "095"];

#[test]
fn the_document_has_every_rule_once_and_in_order() {
    let mut expected: Vec<String> = (1..=LAST).map(|number| format!("{number:03}")).collect();
    expected.extend(LETTERED.map(str::to_owned));
    let found: Vec<String> = documented().into_iter().map(|(number, _)| number).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn the_document_says_something_of_each_rule() {
    let silent: Vec<String> =
        documented().into_iter().filter(|(_, text)| text.split_whitespace().count() < 5).map(|it| it.0).collect();
    assert_eq!(silent, [""; 0]);
}

#[test]
fn every_numbered_test_shows_a_rule_of_the_document() {
    let rules = rules();
    let strays: Vec<String> = tests().into_iter().filter(|(rule, _)| !rules.contains(rule)).map(|it| it.1).collect();
    assert_eq!(strays, [""; 0]);
}

#[test]
fn every_rule_is_shown_by_a_test() {
    let shown: BTreeMap<String, String> = tests().into_iter().collect();
    let must = documented().into_iter().map(|(number, _)| number);
    let must = must.filter(|rule| !WITHOUT_A_TEST.contains(&rule.as_str()));
    let missing: Vec<String> = must.filter(|rule| !shown.contains_key(rule)).collect();
    assert!(missing.is_empty(), "no test is named `rule_NNN_…` after {}", missing.join(", "));
}

/// Number and text of each rule in the document: `- **036a** …`, and the lines below it that are indented.
fn documented() -> Vec<(String, String)> {
    let text = fs::read_to_string(repository().join("docs/rules.md")).unwrap();
    let mut rules: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        if let Some((number, rest)) = line.strip_prefix("- **").and_then(|line| line.split_once("** ")) {
            rules.push((number.to_owned(), rest.to_owned()));
        } else if let (Some((_, text)), Some(more)) = (rules.last_mut(), line.strip_prefix("  ")) {
            text.push_str(more);
        }
    }
    rules
}

fn rules() -> BTreeSet<String> {
    documented().into_iter().map(|(number, _)| number).collect()
}

/// The rule and the name of every test in the workspace that bears a number. A letter that no rule has tells several
/// tests of one rule apart.
fn tests() -> Vec<(String, String)> {
    let rules = rules();
    let numbered = numbered_functions().into_iter().map(|(number, name)| match number.get(..3) {
        Some(rule) if !rules.contains(&number) => (rule.to_owned(), name),
        _ => (number, name),
    });
    numbered.collect()
}

fn numbered_functions() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().unwrap().is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(entry.path());
                }
            } else if name.ends_with(".rs") {
                found.extend(tests_in(&entry.path()));
            }
        }
    }
    found
}

fn tests_in(path: &PathBuf) -> Vec<(String, String)> {
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut found = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        let Some((_, name)) = line.split_once("fn rule_") else { continue };
        let name = name.split('(').next().unwrap_or_default();
        // A function that is called so and is no test would show nothing.
        let is_test = lines[..index].iter().rev().take_while(|it| it.starts_with('#')).any(|it| it.contains("test"));
        if is_test {
            found.push((name.split('_').next().unwrap_or_default().to_owned(), format!("rule_{name}")));
        }
    }
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
