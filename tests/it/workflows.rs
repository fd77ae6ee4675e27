//! What GitHub reads, and what users copy from it: `action.yml`, `workflows/` and our own workflows agree with each other
//! and ask for no more than they need. `.ci/run` holds them to GitHub's schemas.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use serde_json::{Map, Value};

const OURS: &str = "windlass-deploy/windlass";
/// To copy, and our own.
const FOLDERS: [&str; 2] = ["workflows", ".github/workflows"];

#[test]
fn every_action_is_pinned_by_a_commit_and_says_its_version() {
    let mut found = 0;
    for workflow in workflows() {
        for line in workflow.text.lines().filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
        {
            if line.starts_with("$/") {
                continue;
            }
            let (action, version) = line.split_once(" # ").unwrap_or((line, ""));
            let (_, commit) = action.split_once('@').unwrap_or((action, ""));
            let pinned = commit.len() == 40 && commit.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            assert!(pinned, "{}: {line}", workflow.name);
            let numbers = version.strip_prefix('v').unwrap_or_default().split('.');
            assert_eq!(numbers.filter(|number| number.parse::<u32>().is_ok()).count(), 3, "{}: {line}", workflow.name);
            found += 1;
        }
        // As many as the parser sees: none was written in another way.
        let parsed = workflow.jobs().flat_map(|(_, job)| steps(job)).filter(|step| step.get("uses").is_some()).count();
        let written = workflow.text.matches("uses: ").count() - workflow.text.matches("uses: $/").count();
        assert_eq!(parsed + workflow.text.matches("#       uses: ").count(), written, "{}", workflow.name);
    }
    assert!(found >= 10, "{found}");
}

#[test]
fn our_action_is_the_same_one_everywhere() {
    let all: BTreeSet<String> =
        workflows().iter().flat_map(Workflow::our_steps).map(|step| text(&step["uses"])).collect();
    assert_eq!(all.len(), 1, "{all:?}");
}

#[test]
fn every_job_says_what_it_may_do_and_how_long_it_may_take() {
    for workflow in workflows() {
        let name = &workflow.name;
        assert_eq!(workflow.content["permissions"], Value::Object(Map::new()), "{name}: nothing unless a job says so");
        for (id, job) in workflow.jobs() {
            let permissions = job.get("permissions").and_then(Value::as_object);
            assert!(permissions.is_some_and(|permissions| !permissions.is_empty()), "{name}: {id} has no permissions");
            // The jobs of a called workflow have their own.
            let limited = job.get("timeout-minutes").is_some_and(Value::is_u64);
            assert_eq!(limited, job.get("uses").is_none(), "{name}: {id} has no timeout-minutes");
            assert_eq!(job.get("environment"), None, "{name}: {id} would make a second deployment on GitHub");
            for step in steps(job).filter(|step| uses(step).starts_with("actions/checkout@")) {
                assert_eq!(
                    step["with"]["persist-credentials"],
                    Value::Bool(false),
                    "{name}: {id} leaves a token on disk"
                );
            }
        }
    }
}

#[test]
fn a_job_that_signs_in_may_and_one_that_pushes_may() {
    for workflow in workflows() {
        for (id, job) in workflow.jobs() {
            let commands: Vec<String> =
                steps(job).filter(|step| is_ours(step)).map(|step| text(&step["with"]["command"])).collect();
            if commands.is_empty() {
                continue;
            }
            let mut expected = BTreeSet::from(["id-token: write"]);
            if commands.iter().any(|command| command == "release") {
                expected.extend(["contents: read", "packages: write"]);
            }
            let permissions = job["permissions"].as_object().expect("a table");
            let found: BTreeSet<String> =
                permissions.iter().map(|(what, access)| format!("{what}: {}", text(access))).collect();
            assert_eq!(found, expected.into_iter().map(str::to_owned).collect(), "{}: {id}", workflow.name);
        }
    }
}

#[test]
fn workflows_give_our_action_inputs_that_it_has_and_those_that_it_needs() {
    let action = yaml("action.yml");
    let inputs = action["inputs"].as_object().expect("inputs");
    let mut steps = 0;
    for workflow in workflows() {
        for step in workflow.our_steps() {
            let given = step["with"].as_object().expect("inputs");
            for name in given.keys() {
                assert!(inputs.contains_key(name), "{}: action.yml has no input `{name}`", workflow.name);
            }
            for (name, _) in inputs.iter().filter(|(_, input)| input.get("required") == Some(&Value::Bool(true))) {
                assert!(given.contains_key(name), "{}: the input `{name}` is not given", workflow.name);
            }
            assert!(given.contains_key("stage"), "{}: no stage is given", workflow.name);
            let command = text(&given["command"]);
            assert!(["release", "deploy", "rollback", "status"].contains(&command.as_str()), "{command}");
            steps += 1;
        }
    }
    assert_eq!(steps, 4);
}

#[test]
fn what_builds_an_image_takes_and_leaves_its_steps_in_github_s_cache() {
    let mut builds = 0;
    for workflow in copied() {
        for step in workflow.our_steps().into_iter().filter(|step| step["with"]["command"] == "release") {
            let given = &step["with"];
            let caches = (text(&given["cache-from"]), text(&given["cache-to"]));
            // What is in the image alone are the last stage's steps.
            assert_eq!(caches, ("type=gha".to_owned(), "type=gha,mode=max".to_owned()), "{}", workflow.name);
            builds += 1;
        }
    }
    assert_eq!(builds, 2);
}

#[test]
fn everything_that_our_action_takes_and_gives_is_described() {
    let action = yaml("action.yml");
    for kind in ["inputs", "outputs"] {
        for (name, entry) in action[kind].as_object().expect("a table") {
            assert!(!text(&entry["description"]).is_empty(), "{name}");
            assert!(name.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{name}");
        }
    }
    assert_eq!(action["inputs"]["github-token"]["default"], "${{ github.token }}");
}

#[test]
fn no_group_of_concurrency_can_drop_a_deployment() {
    for workflow in copied() {
        let (_, job) = workflow.jobs().next().expect("a job");
        let concurrency = workflow.content.get("concurrency").or_else(|| job.get("concurrency")).expect("concurrency");
        let group = text(&concurrency["group"]);
        // A group that several commits share has one place for those that wait.
        let own = ["${{ github.sha }}", "${{ github.run_id }}"].into_iter().any(|one| group.ends_with(one));
        assert!(own, "{}: {group}", workflow.name);
        // What a caller calls itself is `github.workflow` in both, and then each waits for the other.
        assert!(!group.contains("github.workflow"), "{}: {group}", workflow.name);
        assert_eq!(concurrency["cancel-in-progress"], Value::Bool(false), "{}", workflow.name);
    }
}

#[test]
fn no_pull_request_starts_what_users_copy() {
    for workflow in copied() {
        let events = workflow.content["on"].as_object().expect("events").keys().map(String::as_str).collect::<Vec<_>>();
        let allowed: &[&str] = match workflow.name.as_str() {
            "workflows/deploy.yml" => &["push"],
            "workflows/auto-deploy.yml" => &["workflow_call"],
            "workflows/rollback.yml" => &["workflow_dispatch"],
            other => panic!("what may start {other}?"),
        };
        assert_eq!(events, allowed, "{}", workflow.name);
    }
}

#[test]
fn nothing_that_others_wrote_becomes_part_of_a_script() {
    for workflow in workflows() {
        for (id, job) in workflow.jobs() {
            for script in steps(job).filter_map(|step| step.get("run")) {
                assert!(!text(script).contains("${{"), "{}: {id}: pass it through `env:`", workflow.name);
            }
        }
    }
}

#[test]
fn every_expression_names_something_that_is_there() {
    let given = yaml("action.yml")["outputs"].as_object().expect("outputs").keys().cloned().collect::<BTreeSet<_>>();
    let mut found = 0;
    for workflow in copied() {
        let triggers = workflow.content["on"].as_object().expect("events");
        let declared = |kind: &str| -> BTreeSet<String> {
            let tables = triggers.values().filter_map(|event| event.get(kind)?.as_object());
            tables.flat_map(|table| table.keys().cloned()).collect()
        };
        for expression in workflow.expressions() {
            let path: Vec<&str> = expression.split('.').collect();
            let known = match path[..] {
                ["inputs", input] => declared("inputs").contains(input),
                ["secrets", secret] => declared("secrets").contains(secret),
                ["vars", variable] => variable == "WINDLASS_SERVER",
                ["github", "sha" | "run_id"] => true,
                ["jobs", job, "outputs", output] => workflow.content["jobs"][job]["outputs"].get(output).is_some(),
                ["steps", step, "outputs", output] => {
                    workflow.step(step).is_some_and(is_ours) && given.contains(output)
                }
                _ => false,
            };
            assert!(known, "{}: {expression}", workflow.name);
            found += 1;
        }
    }
    assert!(found >= 30, "{found}");
}

#[test]
fn what_is_called_gives_the_deployment_to_its_caller() {
    let workflow = Workflow::read("workflows/auto-deploy.yml");
    let outputs = workflow.content["on"]["workflow_call"]["outputs"].as_object().expect("outputs");
    let names: Vec<&str> = outputs.keys().map(String::as_str).collect();
    assert_eq!(names, ["deployment-id", "deployment-url", "environment-url", "release", "status"]);
    for (name, output) in outputs {
        assert_eq!(output["value"], format!("${{{{ jobs.deploy.outputs.{name} }}}}"));
        let step = if name == "release" { "release" } else { "deploy" };
        let inner = &workflow.content["jobs"]["deploy"]["outputs"][name];
        assert_eq!(*inner, format!("${{{{ steps.{step}.outputs.{name} }}}}"));
    }
    let commands: Vec<String> = workflow.our_steps().iter().map(|step| text(&step["with"]["command"])).collect();
    assert_eq!(commands, ["release", "deploy"]);
    assert_eq!(workflow.our_steps()[1]["with"]["release"], "${{ steps.release.outputs.release }}");
}

#[test]
fn a_release_finds_what_it_changes_and_builds() {
    let action = fs::read_to_string(repository().join("action.yml")).expect("action.yml");
    assert_eq!(action.lines().filter(|line| *line == "  image: Dockerfile").count(), 1);
    let release = Workflow::read(".github/workflows/release.yml");
    assert!(release.text.contains("s|^  image: Dockerfile$|"), "the release looks for another line");
    let dockerfile = fs::read_to_string(repository().join("Dockerfile")).expect("Dockerfile");
    let stages: BTreeSet<&str> =
        dockerfile.lines().filter_map(|line| line.split_once(" AS ")).map(|(_, name)| name).collect();
    let targets: BTreeSet<String> = release
        .jobs()
        .flat_map(|(_, job)| steps(job))
        .filter_map(|step| step["with"].get("target"))
        .map(text)
        .collect();
    assert_eq!(targets.iter().map(String::as_str).collect::<Vec<_>>(), ["action", "service"]);
    assert!(targets.iter().all(|target| stages.contains(target.as_str())), "{stages:?}");
}

struct Workflow {
    name: String,
    text: String,
    content: Value,
}

impl Workflow {
    fn read(name: &str) -> Self {
        let text = fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Self { name: name.to_owned(), content: yaml(name), text }
    }

    fn jobs(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.content["jobs"].as_object().expect("jobs").iter()
    }

    fn our_steps(&self) -> Vec<&Value> {
        self.jobs().flat_map(|(_, job)| steps(job)).filter(|step| is_ours(step)).collect()
    }

    fn step(&self, id: &str) -> Option<&Value> {
        self.jobs().flat_map(|(_, job)| steps(job)).find(|step| step.get("id").is_some_and(|found| found == id))
    }

    /// What stands between `${{` and `}}`, comments included: they are copied too.
    fn expressions(&self) -> Vec<&str> {
        let rest = self.text.split("${{").skip(1);
        rest.map(|rest| rest.split_once("}}").expect("an expression ends").0.trim()).collect()
    }
}

fn workflows() -> Vec<Workflow> {
    let mut names = Vec::new();
    for folder in FOLDERS {
        for entry in fs::read_dir(repository().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}")) {
            let name = entry.expect("a folder's entry").file_name().into_string().expect("UTF-8");
            names.push(format!("{folder}/{name}"));
        }
    }
    names.sort();
    assert!(names.len() >= 5, "{names:?}");
    names.iter().map(|name| Workflow::read(name)).collect()
}

/// Those that users copy.
fn copied() -> Vec<Workflow> {
    workflows().into_iter().filter(|workflow| workflow.name.starts_with("workflows/")).collect()
}

fn steps(job: &Value) -> impl Iterator<Item = &Value> {
    job.get("steps").and_then(Value::as_array).into_iter().flatten()
}

fn uses(step: &Value) -> &str {
    step.get("uses").and_then(Value::as_str).unwrap_or_default()
}

fn is_ours(step: &Value) -> bool {
    uses(step).strip_prefix(OURS).is_some_and(|rest| rest.starts_with('@'))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value} is not a string")).to_owned()
}

fn yaml(name: &str) -> Value {
    let text = fs::read_to_string(repository().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn docs_action_md_has_every_input_and_output_and_the_same_pin() {
    let docs = fs::read_to_string(repository().join("docs/action.md")).unwrap();
    let action: Value = serde_saphyr::from_str(&fs::read_to_string(repository().join("action.yml")).unwrap()).unwrap();
    for kind in ["inputs", "outputs"] {
        for name in action[kind].as_object().unwrap().keys() {
            assert!(docs.contains(&format!("`{name}`")), "docs/action.md does not say what `{name}` is");
        }
    }
    let pin = workflows().iter().flat_map(Workflow::our_steps).map(|step| text(&step["uses"])).next().unwrap();
    assert!(docs.contains(&pin), "docs/action.md does not pin {pin}");
}
