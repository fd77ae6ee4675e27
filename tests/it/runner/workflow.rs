//! A workflow's jobs, step by step, as far as ours need it: `uses:` of a checkout or of our own action, `with:`, outputs
//! that later steps read, and expressions that name one value.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use windlass_testing::github::{FakeRepository, NewJob};

use super::{Finished, Job};

/// What expressions can name: `vars.WINDLASS_SERVER`, `inputs.stage`, `steps.release.outputs.release`.
pub(crate) type Context = BTreeMap<String, String>;

/// Runs all steps of a workflow's only job, and gives the end of each that ran our action, by its id (or its place).
/// A step that fails ends the job, as on GitHub.
pub(crate) async fn run(
    workflow: &str,
    mut job: Job,
    repository: &FakeRepository,
    started: NewJob,
    mut context: Context,
) -> (Job, Vec<Finished>) {
    let workflow: Value = serde_saphyr::from_str(workflow).unwrap();
    let jobs = workflow["jobs"].as_object().unwrap();
    assert_eq!(jobs.len(), 1, "one job at a time");
    let described = jobs.values().next().unwrap();
    let on_github = repository.start_job(started);
    if described["permissions"]["id-token"] == "write" {
        job = job.may_sign_in(&on_github);
    }
    let mut finished = Vec::new();
    for step in described["steps"].as_array().unwrap() {
        let uses = step["uses"].as_str().unwrap();
        if uses.starts_with("actions/checkout@") {
            // The workspace has been checked out already; with the same files.
            continue;
        }
        assert!(uses.starts_with("windlass-deploy/windlass@"), "{uses}");
        job = job.without_inputs();
        for (name, value) in step["with"].as_object().unwrap_or(&Map::new()) {
            job = job.with(name, &evaluate(value.as_str().unwrap(), &context));
        }
        let done = job.run().await;
        if let Some(id) = step["id"].as_str() {
            let outputs = done.outputs.iter();
            context.extend(outputs.map(|(name, value)| (format!("steps.{id}.outputs.{name}"), value.clone())));
        }
        let failed = done.exit_code != Some(0);
        finished.push(done);
        if failed {
            break;
        }
    }
    let conclusion = finished.iter().all(|step| step.exit_code == Some(0));
    on_github.finish(if conclusion {
        windlass_testing::github::Conclusion::Success
    } else {
        windlass_testing::github::Conclusion::Failure
    });
    (job, finished)
}

/// What a value that nobody has given is: empty, as on GitHub.
fn evaluate(text: &str, context: &Context) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, expression)) = rest.split_once("${{") {
        let (name, after) = expression.split_once("}}").unwrap();
        out.push_str(before);
        out.push_str(context.get(name.trim()).map_or("", String::as_str));
        rest = after;
    }
    out + rest
}
