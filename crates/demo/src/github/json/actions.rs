//! Workflows of GitHub Actions and their runs. A run and its suite exist one for one here, and so do their ids.

use serde_json::{Value, json};

use super::super::model::{CheckSuite, Repository};
use super::repositories::{html, minimal, url};
use super::{app, commits, pull_requests, time};

/// The workflow that a suite is a run of.
pub(in crate::github) fn workflow(name: &str, suite: &CheckSuite, repository: &Repository, api: &str) -> Value {
    let id = workflow_id(name, repository);
    let path = path(name);
    let (api, html) = (url(repository, api), html(repository));
    let created = time(suite.created_at);
    json!({
        "id": id,
        "node_id": format!("W_{id}"),
        "name": name,
        "path": path,
        "state": "active",
        "created_at": created,
        "updated_at": created,
        "url": format!("{api}/actions/workflows/{id}"),
        "html_url": format!("{html}/blob/{}/{path}", repository.default_branch),
        "badge_url": format!("{html}/workflows/{name}/badge.svg")
    })
}

/// The run that a suite is the checks of.
pub(in crate::github) fn run(suite: &CheckSuite, repository: &Repository, api: &str) -> Value {
    let id = suite.id;
    let of = suite.workflow.as_ref();
    let (name, event) = of.map_or(("ci", "push"), |of| (&of.name, &of.event));
    let workflow_id = workflow_id(name, repository);
    let state = repository.suite_state(id);
    let head = repository.commits.get(&suite.sha);
    let (created, updated) = (time(suite.created_at), time(suite.updated_at));
    let (here, html) = (url(repository, api), html(repository));
    let run = format!("{here}/actions/runs/{id}");
    json!({
        "id": id,
        "node_id": format!("WFR_{id}"),
        "name": name,
        "path": path(name),
        "display_title": head.map(|commit| &commit.message),
        "run_number": 1,
        "run_attempt": 1,
        "event": event,
        "status": state.status(),
        "conclusion": state.conclusion_str(),
        // Unlike a suite, a run names a fork's branch too.
        "head_branch": suite.branch.as_deref().unwrap_or("patch-1"),
        "head_sha": suite.sha,
        "head_commit": head.map(commits::simple),
        "head_repository": minimal(repository, api),
        "repository": minimal(repository, api),
        "workflow_id": workflow_id,
        "workflow_url": format!("{here}/actions/workflows/{workflow_id}"),
        "check_suite_id": id,
        "check_suite_node_id": format!("CS_{id}"),
        "check_suite_url": format!("{here}/check-suites/{id}"),
        "pull_requests": pull_requests::of_branch(suite.branch.as_deref(), repository, api),
        "actor": app::developer(api),
        "triggering_actor": app::developer(api),
        "created_at": created,
        "updated_at": updated,
        "run_started_at": created,
        "previous_attempt_url": null,
        "url": run,
        "html_url": format!("{html}/actions/runs/{id}"),
        "artifacts_url": format!("{run}/artifacts"),
        "cancel_url": format!("{run}/cancel"),
        "jobs_url": format!("{run}/jobs"),
        "logs_url": format!("{run}/logs"),
        "rerun_url": format!("{run}/rerun")
    })
}

fn path(workflow: &str) -> String {
    format!(".github/workflows/{workflow}.yml")
}

/// The same for every run of it.
fn workflow_id(name: &str, repository: &Repository) -> u64 {
    app::id_of(&format!("{}/{name}", repository.full_name))
}
