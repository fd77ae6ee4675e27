//! What the documents say is so: their commands can be typed, their links lead somewhere, their configuration is valid.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use windlass_core::config::{ProjectFile, ServerConfig};

const DOCUMENTS: [&str; 3] = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"];
const FOLDER: &str = "docs";

/// Stands for what a shell would put in the place of `"$(…)"`.
const OUTPUT: &str = "sha256:5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5";

#[test]
fn every_command_in_the_documents_can_be_typed() {
    let mut wrong = Vec::new();
    let mut typed = BTreeSet::new();
    for document in documents() {
        for command in document.commands() {
            if let Err(why) = can_be_typed(&command) {
                wrong.push(format!("{}: `windlass {}`: {why}", document.name(), command.join(" ")));
            }
            typed.insert(command);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for first in ["demo", "deploy", "gateway", "release", "rollback", "serve", "token"] {
        assert!(
            typed.iter().any(|command| command.first().is_some_and(|word| word == first)),
            "no `{first}` was found"
        );
    }
}

#[test]
fn every_script_in_the_documents_can_be_run() {
    let mut found = 0;
    for document in documents() {
        for line in document.shell_lines().iter().filter(|line| line.starts_with(".ci/")) {
            let script = line.split_whitespace().next().unwrap_or_default();
            let mode = fs::metadata(repository().join(script)).map(|script| script.permissions().mode());
            assert!(mode.is_ok_and(|mode| mode & 0o111 == 0o111), "{}: {script} cannot be run", document.name());
            found += 1;
        }
    }
    assert!(found > 0);
}

#[test]
fn every_link_leads_to_a_file() {
    let mut broken = Vec::new();
    for document in documents() {
        for link in document.links() {
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let folder = document.path.parent().expect("a document lies in a folder");
            let target = if path.is_empty() { document.path.clone() } else { folder.join(path) };
            let found = if heading.is_empty() { target.exists() } else { headings(&target).contains(heading) };
            if !found {
                broken.push(format!("{}: {link}", document.name()));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_configuration_in_the_documents_is_valid() {
    let (mut projects, mut servers) = (Vec::new(), Vec::new());
    for document in documents() {
        for (language, text) in document.blocks() {
            match (language.as_str(), text.lines().next()) {
                ("toml", Some("# windlass.toml")) => {
                    projects
                        .push(ProjectFile::parse(&document.name(), &text).unwrap_or_else(|error| panic!("{error}")));
                }
                ("toml", Some("# windlass-server.toml")) => {
                    servers
                        .push(ServerConfig::parse(&document.name(), &text).unwrap_or_else(|error| panic!("{error}")));
                }
                ("toml", first) => panic!("{}: which file is the one that begins with {first:?}?", document.name()),
                _ => {}
            }
        }
    }
    let ([project], [server]) = (&projects[..], &servers[..]) else {
        panic!("the quick start has {} and {} files", projects.len(), servers.len());
    };
    let (name, policy) = server.projects.first_key_value().expect("a project");
    assert_eq!(name.as_str(), "acme/shop");
    for (stage, stage_policy) in &policy.stages {
        let config = project.resolve(stage);
        assert_eq!(policy.permits(&config), [], "the server's file of the quick start allows its app");
        let secrets = config.apps.values().flat_map(|app| &app.secrets);
        for secret in secrets {
            assert!(stage_policy.secrets.contains_key(secret), "the quick start gives no value for {secret}");
        }
    }
}

#[test]
fn the_changelog_has_something_unreleased() {
    let text = document("CHANGELOG.md").text;
    let (_, unreleased) = text.split_once("\n## [Unreleased]\n").expect("a section `## [Unreleased]`");
    let section = unreleased.split("\n## ").next().unwrap_or_default();
    assert!(section.lines().any(|line| line.starts_with("- ")), "{section}");
}

#[test]
fn the_readme_asks_for_the_rust_that_the_manifest_asks_for() {
    let manifest: toml::Table =
        fs::read_to_string(repository().join("Cargo.toml")).expect("a manifest").parse().expect("TOML");
    let rust = manifest["workspace"]["package"]["rust-version"].as_str().expect("a version");
    for name in ["README.md", "CONTRIBUTING.md"] {
        assert!(document(name).text.contains(&format!("Rust {rust}")), "{name} does not ask for Rust {rust}");
    }
}

#[test]
fn every_decision_has_its_number_and_its_parts() {
    let decisions: Vec<Document> =
        documents().into_iter().filter(|document| document.name().starts_with("docs/decisions/")).collect();
    assert!(!decisions.is_empty());
    for (number, decision) in (1..).zip(&decisions) {
        let name = decision.name();
        assert!(name.starts_with(&format!("docs/decisions/{number:04}-")), "{name} should be number {number}");
        assert!(decision.text.starts_with(&format!("# {number:04}: ")), "{name} has another number in its title");
        let parts: Vec<&str> = decision.text.lines().filter_map(|line| line.strip_prefix("## ")).collect();
        assert_eq!(parts, ["Status", "Context", "Decision", "Consequences"], "{name}");
    }
}

/// clap reads everything before it answers to `--help`, so that a wrong word is an error all the same.
fn can_be_typed(words: &[String]) -> Result<(), String> {
    let before_the_tasks_own = words.iter().take_while(|word| *word != "--");
    let output = Command::new(env!("CARGO_BIN_EXE_windlass"))
        .args(before_the_tasks_own)
        .arg("--help")
        .output()
        .map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    fn name(&self) -> String {
        self.path.strip_prefix(repository()).expect("below the root").display().to_string()
    }

    /// Fenced blocks: their language and their content.
    fn blocks(&self) -> Vec<(String, String)> {
        let mut blocks = Vec::new();
        let mut open: Option<(String, String)> = None;
        for line in self.text.lines() {
            open = match (open, line.strip_prefix("```")) {
                (None, Some(language)) => Some((language.to_owned(), String::new())),
                (None, None) => None,
                (Some(block), Some(_)) => {
                    blocks.push(block);
                    None
                }
                (Some((language, text)), None) => Some((language, text + line + "\n")),
            };
        }
        assert!(open.is_none(), "{}: a block does not end", self.name());
        blocks
    }

    /// The text without its fenced blocks.
    fn prose(&self) -> String {
        self.text.split("```").step_by(2).collect()
    }

    /// What is to be typed, continued lines joined.
    fn shell_lines(&self) -> Vec<String> {
        let shell = self.blocks().into_iter().filter(|(language, _)| language == "sh");
        shell.flat_map(|(_, text)| text.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>()).collect()
    }

    /// Arguments of `windlass`, typed in shell blocks or named in the text, through cargo too.
    fn commands(&self) -> Vec<Vec<String>> {
        let prose = self.prose();
        // A line may end within one.
        let spans = prose.split('`').skip(1).step_by(2).map(|span| span.replace('\n', " "));
        self.shell_lines().into_iter().chain(spans).filter_map(|line| arguments(&line)).collect()
    }

    /// Targets of links to files of the repository.
    fn links(&self) -> Vec<String> {
        let prose = self.prose();
        let targets = prose.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        targets.filter(|target| !target.starts_with("https://")).map(str::to_owned).collect()
    }
}

fn arguments(line: &str) -> Option<Vec<String>> {
    let line = line.trim();
    let after = ["windlass ", "cargo run -- "].into_iter().find_map(|program| line.strip_prefix(program))?;
    // A comment, as far as these documents have them.
    let after = after.split(" #").next().unwrap_or_default();
    let words = words(after);
    // `windlass.toml` and the like never get here; `windlass …` stands for anything.
    (!words.iter().any(|word| word == "…")).then_some(words)
}

/// Words as a shell would see them, as far as these documents need it.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (word, after) = if let Some(output) = rest.strip_prefix("\"$(") {
            (OUTPUT, output.split_once(")\"").map_or("", |(_, after)| after))
        } else if let Some(quoted) = rest.strip_prefix('"') {
            quoted.split_once('"').unwrap_or((quoted, ""))
        } else {
            rest.split_once(' ').unwrap_or((rest, ""))
        };
        words.push(word.to_owned());
        rest = after.trim_start();
    }
    words
}

/// The anchors that GitHub gives to a document's headings.
fn headings(path: &Path) -> BTreeSet<String> {
    let text = fs::read_to_string(path).unwrap_or_default();
    let titles = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    titles
        .map(|title| {
            let kept = title
                .to_lowercase()
                .chars()
                .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'))
                .collect::<String>();
            kept.replace(' ', "-")
        })
        .collect()
}

/// All documents, by name.
fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = DOCUMENTS.into_iter().map(document).collect();
    let mut folders = vec![repository().join(FOLDER)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("a folder's entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                documents.push(read(path));
            }
        }
    }
    documents.sort_by(|one, other| one.path.cmp(&other.path));
    documents
}

fn document(name: &str) -> Document {
    read(repository().join(name))
}

fn read(path: PathBuf) -> Document {
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    Document { path, text }
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
