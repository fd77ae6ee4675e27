//! The rooms of docs/architecture.md inside the packages: which of the service's stands on which floor, and that no package's
//! modules form a circle. Read from the `crate::` of what is shipped.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The service's rooms, the lowest floor first. A room knows what is below it, and of its own floor what comes before it.
const FLOORS: [(&str, &[&str]); 8] = [
    ("what others stand on", &["at_work", "back_off", "data_folder", "sight", "wake", "work"]),
    ("what is kept, and who is asked", &["certificates", "github", "store"]),
    ("what all rooms work with", &["config", "readiness", "release_config", "service"]),
    ("what comes in, may run, is told", &["gate", "intake", "tell"]),
    ("what is done", &["deploy"]),
    ("what goes on by itself", &["background"]),
    ("what answers", &["http"]),
    ("where it begins", &["serve", "doctor", "fuzzing", "tokens"]),
];

/// Modules that know each other in a circle, by package, each with its reason.
const CIRCLES: [(&str, &[&str], &str); 4] = [
    (
        "crates/engine",
        &["boot", "docker", "engine", "execute", "images", "join", "logs", "one_off", "sandbox"],
        "an `Engine`'s methods stand beside what they work with",
    ),
    ("crates/gateway", &["body", "pool"], "a connection is free again when a request's body has ended"),
    ("crates/gateway", &["drain", "entry", "switchboard"], "a drain that ends takes itself off the switchboard"),
    (
        "crates/listen",
        &["early", "seat"],
        "who has a seat may be told something early, and loses it when that does not leave",
    ),
];

#[test]
fn the_services_rooms_know_only_what_is_below_them() {
    let heights: BTreeMap<&str, (usize, usize)> = (0..)
        .zip(FLOORS)
        .flat_map(|(floor, (_, rooms))| (0..).zip(rooms).map(move |(place, room)| (*room, (floor, place))))
        .collect();
    let edges = edges(&repository().join("webhook/src"));
    for (floor, (what, rooms)) in (0..).zip(FLOORS) {
        println!("{floor} {what}");
        for room in rooms {
            let below: Vec<&str> = edges.get(*room).into_iter().flatten().map(String::as_str).collect();
            println!("    {room}: {}", below.join(", "));
        }
    }
    let rooms: BTreeSet<&str> = edges.keys().map(String::as_str).collect();
    let without: Vec<&&str> = rooms.iter().filter(|room| !heights.contains_key(**room)).collect();
    assert!(without.is_empty(), "a room without a floor: {without:?}");
    let gone: Vec<&&str> = heights.keys().filter(|room| !rooms.contains(**room)).collect();
    assert!(gone.is_empty(), "take them off the floors: {gone:?}");
    let up: Vec<String> = edges
        .iter()
        .flat_map(|(room, known)| known.iter().map(move |known| (room, known)))
        .filter(|(room, known)| heights[room.as_str()] <= heights[known.as_str()])
        .map(|(room, known)| format!("{room} knows {known}"))
        .collect();
    assert_eq!(up, [""; 0], "what stands above, or beside and later");
}

#[test]
fn the_floors_are_those_of_the_document() {
    let text = fs::read_to_string(repository().join("docs/architecture.md")).expect("there is a document");
    for (what, rooms) in FLOORS {
        let row = text.lines().find(|line| line.starts_with(&format!("| {what} |")));
        let row = row.unwrap_or_else(|| panic!("no row for the floor: {what}"));
        // Fuzzing is compiled for itself only.
        for room in rooms.iter().filter(|room| **room != "fuzzing") {
            assert!(row.contains(&format!("`{room}`")), "{room}: {row}");
        }
    }
    let begin = text.split_once("## Where to begin reading").and_then(|(_, rest)| rest.split_once("## The house"));
    let (begin, _) = begin.expect("there is a table of where to begin");
    let paths: Vec<&str> = begin.split('`').skip(1).step_by(2).filter(|path| path.contains("src/")).collect();
    assert!(paths.len() > 15, "{paths:?}");
    let gone: Vec<&&str> = paths.iter().filter(|path| !repository().join(path).exists()).collect();
    assert!(gone.is_empty(), "nothing is there: {gone:?}");
}

#[test]
fn no_packages_modules_form_a_circle_but_those_that_are_listed() {
    let mut found = BTreeSet::new();
    for package in packages() {
        let path = package.strip_prefix(repository()).expect("below the root").display().to_string();
        let edges = edges(&package.join("src"));
        for module in edges.keys() {
            let circle: BTreeSet<String> = edges
                .keys()
                .filter(|other| reaches(&edges, module, other) && reaches(&edges, other, module))
                .cloned()
                .collect();
            if !circle.is_empty() {
                found.insert((path.clone(), circle));
            }
        }
    }
    let listed: BTreeSet<(String, BTreeSet<String>)> = CIRCLES
        .into_iter()
        .map(|(package, modules, _)| (package.to_owned(), modules.iter().map(ToString::to_string).collect()))
        .collect();
    assert_eq!(found, listed);
}

/// Whether a module knows another, by however many between them.
fn reaches(edges: &BTreeMap<String, BTreeSet<String>>, from: &str, to: &str) -> bool {
    let mut seen = BTreeSet::new();
    let mut left = vec![from];
    while let Some(module) = left.pop() {
        for known in &edges[module] {
            if known == to {
                return true;
            }
            if seen.insert(known.as_str()) {
                left.push(known);
            }
        }
    }
    false
}

/// Each of a package's modules, and which others it names.
fn edges(source: &Path) -> BTreeMap<String, BTreeSet<String>> {
    let mut edges: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files(source) {
        let below = path.strip_prefix(source).expect("below the sources").display().to_string();
        let module = below.split(['/', '.']).next().unwrap_or_default().to_owned();
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let known = edges.entry(module.clone()).or_default();
        // In a file right below the root, `super` is the root.
        let super_is_root = !below.contains('/');
        known.extend(named(&text, "crate::"));
        if super_is_root {
            known.extend(named(&text, "super::"));
        }
    }
    let modules: BTreeSet<String> = edges.keys().cloned().collect();
    for (module, known) in &mut edges {
        known.retain(|known| known != module && modules.contains(known));
    }
    edges
}

/// The first names behind a prefix, one or several in braces, without what is for tests and without comments.
fn named(text: &str, prefix: &str) -> BTreeSet<String> {
    let text = text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code);
    let code: String =
        text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect::<Vec<_>>().join("\n");
    let word = |text: &str| text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let mut names = BTreeSet::new();
    for (at, _) in code.match_indices(prefix) {
        if code[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':') {
            continue;
        }
        let rest = &code[at + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(several) => {
                let several = several.split_once(';').map_or(several, |(several, _)| several);
                names.extend(several.split(',').map(|one| word(one.trim())));
            }
            None => {
                names.insert(word(rest));
            }
        }
    }
    names
}

/// The folders of packages whose sources are modules.
fn packages() -> Vec<PathBuf> {
    let crates = fs::read_dir(repository().join("crates")).expect("there are crates");
    let mut found: Vec<PathBuf> = crates.map(|entry| entry.expect("a folder's entry").path()).collect();
    found.extend([repository().join("webhook"), repository().to_owned()]);
    found.retain(|package| package.join("src").is_dir());
    found.sort();
    found
}

/// Every file of code that is shipped; the roots only list the modules.
fn files(source: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![source.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let is_root = folder == *source && ["lib.rs", "main.rs"].contains(&name.as_str());
            if path.is_dir() {
                folders.push(path);
            } else if name.ends_with(".rs") && !is_root && !FOR_TESTS.contains(&name.as_str()) {
                found.push(path);
            }
        }
    }
    found
}

/// Modules behind `cfg(test)`.
const FOR_TESTS: [&str; 4] = ["tests.rs", "told.rs", "scene.rs", "testing.rs"];

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
