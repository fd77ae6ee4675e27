//! The rules of docs/architecture.md that a machine can check: which room knows which, which crate is confined where,
//! and the house's own habits.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use toml::Table;

/// Each package and the ones of ours that it knows. `?` marks an optional one.
const ROOMS: [(&str, &[&str]); 13] = [
    (
        "windlass",
        &[
            "windlass-core",
            "windlass-demo?",
            "windlass-engine?",
            "windlass-gateway?",
            "windlass-images",
            "windlass-registry",
            "windlass-webhook?",
        ],
    ),
    ("windlass-core", &[]),
    ("windlass-demo", &[]),
    ("windlass-docker", &["windlass-core"]),
    ("windlass-engine", &["windlass-core", "windlass-docker", "windlass-registry"]),
    ("windlass-fuzz", &["windlass-core", "windlass-gateway", "windlass-listen", "windlass-webhook"]),
    ("windlass-gateway", &["windlass-core", "windlass-listen"]),
    ("windlass-images", &["windlass-core", "windlass-docker", "windlass-registry"]),
    ("windlass-listen", &[]),
    ("windlass-registry", &["windlass-core"]),
    ("windlass-sample-app", &[]),
    ("windlass-testing", &["windlass-demo"]),
    ("windlass-webhook", &["windlass-core", "windlass-engine", "windlass-listen", "windlass-registry"]),
];

/// Each heavy dependency and the only packages that may name it. Tests may name more.
const CONFINED: [(&str, &[&str]); 9] = [
    ("axum", &["windlass-demo", "windlass-testing", "windlass-webhook"]),
    ("bollard", &["windlass-docker", "windlass-engine", "windlass-images"]),
    (
        "hyper",
        &[
            "windlass-docker",
            "windlass-engine",
            "windlass-gateway",
            "windlass-images",
            "windlass-listen",
            "windlass-registry",
            "windlass-testing",
        ],
    ),
    (
        "hyper-util",
        &[
            "windlass-docker",
            "windlass-engine",
            "windlass-gateway",
            "windlass-images",
            "windlass-listen",
            "windlass-testing",
        ],
    ),
    ("gix", &["windlass"]),
    ("oci-client", &["windlass-registry"]),
    ("octocrab", &["windlass-webhook"]),
    ("sqlx", &["windlass-webhook"]),
    ("tonic", &["windlass-images"]),
];

/// What could do I/O or tell the time: nothing for `windlass-core`.
const IMPURE_CRATES: [&str; 9] =
    ["tokio", "tokio-util", "hyper", "hyper-util", "axum", "bollard", "sqlx", "octocrab", "reqwest"];
const IMPURE_CODE: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::net::Tcp",
    "std::os",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "Timestamp::now",
];

const LONGEST_FILE: usize = 400;
/// Longer ones, each with its reason.
const LONGER_FILES: [(&str, &str); 0] = [];

/// `cfg(test)` on something else than a module, each with its reason.
const TEST_ONLY_ITEMS: [(&str, &str); 4] = [
    ("crates/core/src/config/project.rs", SECTIONS),
    ("crates/core/src/config/project/read.rs", SECTIONS),
    ("crates/core/src/config/server.rs", SECTIONS),
    ("crates/core/src/config/server/read.rs", SECTIONS),
];
const SECTIONS: &str = "the readers' own lists of keys, for the test that the references have them all";

const NAMES_THAT_SAY_NOTHING: [&str; 8] =
    ["common", "helper", "helpers", "manager", "misc", "util", "utilities", "utils"];

#[test]
fn each_room_knows_only_the_rooms_below_it() {
    let rooms: BTreeMap<&str, BTreeSet<String>> =
        ROOMS.iter().map(|(room, below)| (*room, below.iter().map(ToString::to_string).collect())).collect();
    let packages = packages();
    let found: BTreeMap<&str, BTreeSet<String>> =
        packages.iter().map(|package| (package.name.as_str(), package.rooms_below())).collect();
    assert_eq!(found, rooms);
}

#[test]
fn what_is_optional_comes_with_the_service_and_what_the_demo_needs_with_the_demo_alone() {
    let root = manifest(&repository().join("Cargo.toml"));
    let feature = |name: &str| -> BTreeSet<String> {
        let features = root["features"][name].as_array().expect("a feature is a list");
        features.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
    };
    assert_eq!(feature("default"), BTreeSet::from(["demo".to_owned()]));
    let demo = BTreeSet::from(["service".to_owned(), "dep:windlass-demo".to_owned()]);
    assert_eq!(feature("demo"), demo);
    let optional: BTreeSet<String> = dependencies(&root, &["dependencies"])
        .into_iter()
        .filter(|(_, dependency)| dependency.get("optional").and_then(toml::Value::as_bool) == Some(true))
        .map(|(name, _)| format!("dep:{name}"))
        .collect();
    assert_eq!(feature("service"), optional.difference(&demo).cloned().collect());
}

#[test]
fn a_heavy_dependency_stays_where_it_is_confined() {
    let mut strays = Vec::new();
    for package in packages() {
        for (name, rooms) in CONFINED {
            if package.depends_on(name) && !rooms.contains(&package.name.as_str()) {
                strays.push(format!("{} depends on {name}, which is for {} only", package.name, rooms.join(", ")));
            }
        }
    }
    assert_eq!(strays, [""; 0]);
}

#[test]
fn core_does_no_io_and_does_not_know_the_time() {
    let packages = packages();
    let core = packages.iter().find(|package| package.name == "windlass-core").expect("there is a core");
    let crates: Vec<&str> = IMPURE_CRATES.into_iter().filter(|name| core.depends_on(name)).collect();
    assert_eq!(crates, [""; 0]);
    let mut found = Vec::new();
    for (path, text) in sources().into_iter().filter(|(path, _)| path.starts_with("crates/core/src/")) {
        for (number, line) in (1..).zip(without_tests(&text).lines()) {
            let code = line.split("//").next().unwrap_or_default();
            found.extend(IMPURE_CODE.iter().filter(|word| code.contains(**word)).map(|word| at(&path, number, word)));
        }
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn unsafe_code_is_forbidden_and_every_package_has_the_workspaces_lints() {
    let root = manifest(&repository().join("Cargo.toml"));
    assert_eq!(root["workspace"]["lints"]["rust"]["unsafe_code"].as_str(), Some("forbid"));
    for Package { name, manifest } in packages() {
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{name} needs `[lints] workspace = true`");
    }
}

#[test]
fn what_is_compiled_for_tests_only_is_a_module() {
    let mut found = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (index, line) in lines.iter().enumerate() {
            let attribute = line.starts_with("#[cfg") || line.starts_with("#![cfg") || line.contains("cfg!(");
            let names_test = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == "test");
            let declares = lines.get(index + 1).copied().unwrap_or_default();
            let module = *line == "#[cfg(test)]" && declares.split_whitespace().any(|word| word == "mod");
            if attribute && names_test && !module {
                found.push((path.clone(), index + 1));
            }
        }
    }
    let expected: BTreeSet<&str> = TEST_ONLY_ITEMS.iter().map(|(path, _)| *path).collect();
    let strays: Vec<_> = found.iter().filter(|(path, _)| !expected.contains(path.as_str())).collect();
    assert!(strays.is_empty(), "production code must not know of tests: {strays:?}");
    let gone: Vec<_> = expected.iter().filter(|path| !found.iter().any(|(found, _)| found == *path)).collect();
    assert!(gone.is_empty(), "take them off the list: {gone:?}");
}

#[test]
fn a_source_file_can_be_read_in_one_go() {
    let mut long: BTreeMap<String, usize> = BTreeMap::new();
    for (path, text) in sources() {
        let lines = without_tests(&text).lines().count();
        if lines > LONGEST_FILE {
            long.insert(path, lines);
        }
    }
    let expected: BTreeSet<&str> = LONGER_FILES.iter().map(|(path, _)| *path).collect();
    let strays: Vec<_> = long.iter().filter(|(path, _)| !expected.contains(path.as_str())).collect();
    assert!(strays.is_empty(), "longer than {LONGEST_FILE} lines: {strays:?}");
    let gone: Vec<_> = expected.iter().filter(|path| !long.contains_key(**path)).collect();
    assert!(gone.is_empty(), "take them off the list: {gone:?}");
}

#[test]
fn a_type_that_others_may_name_has_its_name_alone_in_its_package() {
    let mut places: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let Some((package, _)) = path.split_once("src/").filter(|_| !path.contains("/tests")) else { continue };
        let named = without_tests(&text).lines().filter_map(named_type);
        // A macro names what it declares by a variable.
        for name in named.filter(|name| !name.is_empty()) {
            places.entry((package.to_owned(), name)).or_default().push(path.clone());
        }
    }
    let twice: Vec<_> = places.into_iter().filter(|(_, places)| places.len() > 1).collect();
    assert!(twice.is_empty(), "one name, one meaning: {twice:#?}");
}

/// The type that a line declares, where it is not its file's alone.
fn named_type(line: &str) -> Option<String> {
    let rest = line.trim_start().strip_prefix("pub")?;
    let rest = rest.split_once(')').filter(|_| rest.starts_with('(')).map_or(rest, |(_, rest)| rest).trim_start();
    let mut words = rest.split_whitespace();
    let kind = words.next()?;
    let name = words.next()?;
    ["struct", "enum", "trait", "type", "union"]
        .contains(&kind)
        .then(|| name.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect())
}

#[test]
fn a_files_name_says_what_is_in_it() {
    let empty_name = |path: &str| {
        let words = path.split(['/', '.', '_', '-']);
        words.filter(|word| NAMES_THAT_SAY_NOTHING.contains(word)).count() > 0
    };
    let found: Vec<String> = sources().into_keys().filter(|path| empty_name(path)).collect();
    assert_eq!(found, [""; 0]);
}

struct Package {
    name: String,
    manifest: Table,
}

impl Package {
    /// Ours among the dependencies of what is shipped; tests may know everything.
    fn rooms_below(&self) -> BTreeSet<String> {
        let all = dependencies(&self.manifest, &["dependencies", "build-dependencies"]);
        let ours = all.into_iter().filter(|(name, _)| name.starts_with("windlass"));
        ours.map(|(name, dependency)| match dependency.get("optional").and_then(toml::Value::as_bool) {
            Some(true) => format!("{name}?"),
            Some(false) | None => name,
        })
        .collect()
    }

    fn depends_on(&self, name: &str) -> bool {
        dependencies(&self.manifest, &["dependencies", "build-dependencies"]).iter().any(|(found, _)| found == name)
    }
}

/// Dependencies in these sections, those of single targets included, by the crate's own name.
fn dependencies(manifest: &Table, sections: &[&str]) -> Vec<(String, toml::Value)> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let by_target = targets.into_iter().flat_map(|targets| targets.values().filter_map(toml::Value::as_table));
    let tables = std::iter::once(manifest).chain(by_target);
    let named = tables.flat_map(|table| sections.iter().filter_map(|section| table.get(*section)?.as_table()));
    let all = named.flat_map(|section| section.iter());
    all.map(|(key, value)| {
        let name = value.get("package").and_then(toml::Value::as_str).unwrap_or(key);
        (name.to_owned(), value.clone())
    })
    .collect()
}

/// Every manifest in the repository: one that nobody listed would be under no rule.
fn packages() -> Vec<Package> {
    let manifests = files("Cargo.toml");
    let package = |path: &PathBuf| {
        let manifest = manifest(path);
        Package { name: manifest["package"]["name"].as_str().expect("a package has a name").to_owned(), manifest }
    };
    manifests.iter().map(package).collect()
}

fn manifest(path: &Path) -> Table {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    text.parse().unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every Rust file in the repository, by its path from the root.
pub(crate) fn sources() -> BTreeMap<String, String> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        (path.strip_prefix(repository()).expect("below the root").display().to_string(), text)
    };
    files(".rs").into_iter().map(read).collect()
}

/// A file without the tests at its end.
pub(crate) fn without_tests(text: &str) -> &str {
    text.split_once("\n#[cfg(test)]\nmod tests {").map_or(text, |(code, _)| code)
}

fn files(ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![repository().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let entry = entry.expect("a folder's entry");
            let name = entry.file_name().to_string_lossy().into_owned();
            if entry.file_type().expect("a file's type").is_dir() {
                if name != "target" && !name.starts_with('.') {
                    folders.push(entry.path());
                }
            } else if name.ends_with(ending) {
                found.push(entry.path());
            }
        }
    }
    found
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn at(path: &str, number: usize, what: &str) -> String {
    format!("{path}:{number}: {what}")
}
