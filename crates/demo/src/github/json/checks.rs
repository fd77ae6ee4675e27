//! Check suites and check runs.

use serde_json::{Value, json};

use super::super::model::{CheckRun, CheckSuite, Repository};
use super::repositories::{html, minimal, url};
use super::{app, commits, pull_requests, time, with};

pub(in crate::github) fn run(run: &CheckRun, repository: &Repository, api: &str) -> Value {
    let suite = repository.suite(run.suite);
    with(run_alone(run, repository, api), json!({ "check_suite": { "id": suite.id } }))
}

pub(in crate::github) fn run_in_event(run: &CheckRun, repository: &Repository, api: &str) -> Value {
    let suite = repository.suite(run.suite);
    with(run_alone(run, repository, api), json!({ "check_suite": suite_alone(suite, repository, api) }))
}

fn run_alone(run: &CheckRun, repository: &Repository, api: &str) -> Value {
    let suite = repository.suite(run.suite);
    let url = format!("{}/check-runs/{}", url(repository, api), run.id);
    let html = format!("{}/runs/{}", html(repository), run.id);
    json!({
        "id": run.id,
        "node_id": format!("CR_{}", run.id),
        "head_sha": suite.sha,
        "name": run.name,
        "external_id": "",
        "url": url,
        "html_url": html,
        "details_url": html,
        "status": run.state.status(),
        "conclusion": run.state.conclusion_str(),
        "started_at": time(run.started_at),
        "completed_at": run.completed_at.map(time),
        "output": {
            "title": null,
            "summary": null,
            "text": null,
            "annotations_count": 0,
            "annotations_url": format!("{url}/annotations")
        },
        "app": app::app(&suite.app, api),
        "pull_requests": pull_requests::of_branch(suite.branch.as_deref(), repository, api)
    })
}

pub(in crate::github) fn suite(suite: &CheckSuite, repository: &Repository, api: &str) -> Value {
    with(suite_in_event(suite, repository, api), json!({ "repository": minimal(repository, api) }))
}

pub(in crate::github) fn suite_in_event(suite: &CheckSuite, repository: &Repository, api: &str) -> Value {
    with(
        suite_alone(suite, repository, api),
        json!({
            "latest_check_runs_count": repository.latest_runs(suite.id).len(),
            "check_runs_url": format!("{}/check-suites/{}/check-runs", url(repository, api), suite.id),
            "head_commit": repository.commits.get(&suite.sha).map(commits::simple)
        }),
    )
}

fn suite_alone(suite: &CheckSuite, repository: &Repository, api: &str) -> Value {
    let state = repository.suite_state(suite.id);
    let before = repository.commits.get(&suite.sha).and_then(|commit| commit.parents.first());
    json!({
        "id": suite.id,
        "node_id": format!("CS_{}", suite.id),
        "head_branch": suite.branch,
        "head_sha": suite.sha,
        "status": state.status(),
        "conclusion": state.conclusion_str(),
        "url": format!("{}/check-suites/{}", url(repository, api), suite.id),
        "before": before,
        "after": suite.sha,
        "pull_requests": pull_requests::of_branch(suite.branch.as_deref(), repository, api),
        "app": app::app(&suite.app, api),
        "created_at": time(suite.created_at),
        "updated_at": time(suite.updated_at)
    })
}
