//! Deployments, with the defaults that a careless client falls over: all contexts must be green, and the default
//! branch is merged in.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::exchange::{Answer, Call, Refusal};
use super::super::json::deployments;
use super::super::model::{Deployment, DeploymentStatus, Model, Repository};
use super::super::state::{CheckState, CommitState, Conclusion};

const LONGEST_DESCRIPTION: usize = 140;
const STATES: [&str; 7] = ["error", "failure", "inactive", "in_progress", "queued", "pending", "success"];

pub(in crate::github) fn list(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let newest_first = repository
        .deployments
        .iter()
        .rev()
        .filter(|it| call.lets_through("sha", &it.sha) && call.lets_through("ref", &it.reference))
        .filter(|it| call.lets_through("task", &it.task) && call.lets_through("environment", &it.environment))
        .collect();
    let page = call.page(newest_first, id, model);
    Ok(Answer::list(page, |it| deployments::deployment(it, repository, &model.api)))
}

pub(in crate::github) fn show(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    Ok(Answer::ok(deployments::deployment(find(repository, call)?, repository, &model.api)))
}

pub(in crate::github) fn list_statuses(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    let repository = model.repository(id);
    let of = find(repository, call)?;
    let page = call.page(of.statuses.iter().rev().collect(), id, model);
    Ok(Answer::list(page, |status| deployments::status(status, of, repository, &model.api)))
}

fn find<'a>(repository: &'a Repository, call: &Call) -> Result<&'a Deployment, Refusal> {
    let id = call.rest.parse().ok();
    repository.deployments.iter().find(|it| Some(it.id) == id).ok_or_else(Refusal::not_found)
}

pub(in crate::github) fn create(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    const RESOURCE: &str = "Deployment";
    let body = &call.body;
    let reference = text(body, "ref", RESOURCE)?
        .ok_or_else(|| Refusal::invalid(RESOURCE, "ref", "missing_field", "ref is missing"))?;
    let environment = text(body, "environment", RESOURCE)?.unwrap_or("production").to_owned();
    let task = text(body, "task", RESOURCE)?.unwrap_or("deploy").to_owned();
    let description = description(body, RESOURCE)?.map(str::to_owned);
    let production = flag(body, "production_environment", RESOURCE)?.unwrap_or(environment == "production");
    let transient = flag(body, "transient_environment", RESOURCE)?.unwrap_or(false);
    let payload = match body.get("payload").unwrap_or(&Value::Null) {
        Value::Null => json!(""),
        payload @ (Value::Object(_) | Value::String(_)) => payload.clone(),
        _ => return Err(Refusal::invalid(RESOURCE, "payload", "invalid", "payload is neither an object nor a string")),
    };
    let sha = model
        .repository(id)
        .resolve(reference)
        .map(|commit| commit.sha.clone())
        .ok_or_else(|| Refusal::unprocessable(format!("No ref found for: {reference}")))?;
    if flag(body, "auto_merge", RESOURCE)?.unwrap_or(true)
        && let Some(merged) = merge_default_branch(model, id, reference, &sha)?
    {
        return Ok(merged);
    }
    must_be_green(model.repository(id), reference, &sha, body)?;
    let sha = model.repository(id).deploys.clone().unwrap_or(sha);
    let deployment = Deployment {
        id: model.new_id(),
        sha,
        reference: reference.to_owned(),
        task,
        environment,
        description,
        payload,
        transient,
        production,
        at: Timestamp::now(),
        statuses: Vec::new(),
    };
    let answer = deployments::deployment(&deployment, model.repository(id), &model.api);
    model.repository_mut(id).deployments.push(deployment);
    Ok(Answer::new(StatusCode::CREATED, answer))
}

/// A ref that is behind the default branch is not deployed: a branch is merged into and that is the answer, and into
/// anything else nothing can be merged.
fn merge_default_branch(model: &mut Model, id: u64, reference: &str, sha: &str) -> Result<Option<Answer>, Refusal> {
    let repository = model.repository(id);
    let default = repository.default_branch.clone();
    let head =
        repository.branches.get(&default).filter(|head| !repository.history(sha).contains(head.as_str())).cloned();
    let Some(head) = head else { return Ok(None) };
    if !repository.branches.contains_key(reference) {
        let message = format!("Conflict merging {default} into {reference}.");
        return Err(Refusal::new(StatusCode::CONFLICT, message));
    }
    let merge = model.add_commit(id, &format!("Merge {default} into {reference}"), &[sha, &head]);
    model.repository_mut(id).branches.insert(reference.to_owned(), merge);
    let message = format!("Auto-merged {default} into {reference} on deployment.");
    Ok(Some(Answer::new(StatusCode::ACCEPTED, json!({ "message": message }))))
}

/// Left out, every context that the commit has must be a success; check runs count, and skipped is no success.
fn must_be_green(repository: &Repository, reference: &str, sha: &str, body: &Value) -> Result<(), Refusal> {
    let statuses = repository
        .latest_statuses(sha)
        .into_iter()
        .map(|status| (status.context.as_str(), status.state.as_str(), status.state == CommitState::Success));
    let runs = repository.suites.iter().filter(|suite| suite.sha == sha).flat_map(|suite| {
        repository.latest_runs(suite.id).into_iter().map(|run| {
            let state = run.state.conclusion_str().unwrap_or("pending");
            (run.name.as_str(), state, run.state == CheckState::Completed(Conclusion::Success))
        })
    });
    let there: Vec<(&str, &str, bool)> = statuses.chain(runs).collect();
    let not_green: Vec<Value> = match body.get("required_contexts") {
        None | Some(Value::Null) => there
            .iter()
            .filter(|(_, _, green)| !green)
            .map(|(context, state, _)| json!({ "context": context, "state": state }))
            .collect(),
        Some(Value::Array(required)) => required
            .iter()
            .filter(|name| !there.iter().any(|(context, _, green)| *green && *name == context))
            .map(|name| json!({ "context": name, "state": "pending" }))
            .collect(),
        Some(_) => {
            return Err(Refusal::invalid("Deployment", "required_contexts", "invalid", "required_contexts is no list"));
        }
    };
    if not_green.is_empty() {
        return Ok(());
    }
    let message = format!("Conflict: Commit status checks failed for {reference}.");
    Err(Refusal::new(StatusCode::CONFLICT, message).because(json!({
        "contexts": not_green, "resource": "Deployment", "field": "required_contexts", "code": "invalid"
    })))
}

pub(in crate::github) fn create_status(model: &mut Model, id: u64, call: &Call) -> Result<Answer, Refusal> {
    const RESOURCE: &str = "DeploymentStatus";
    let body = &call.body;
    let of = find(model.repository(id), call)?;
    let (deployment, environment, now) = (of.id, of.environment.clone(), Timestamp::now());
    let state = text(body, "state", RESOURCE)?
        .filter(|state| STATES.contains(state))
        .ok_or_else(|| Refusal::invalid(RESOURCE, "state", "invalid", "state is not one of GitHub's"))?;
    let log_url = match url(body, "log_url", RESOURCE)? {
        "" => url(body, "target_url", RESOURCE)?,
        log_url => log_url,
    };
    let status = DeploymentStatus {
        id: model.new_id(),
        state: state.to_owned(),
        description: description(body, RESOURCE)?.unwrap_or_default().to_owned(),
        environment: text(body, "environment", RESOURCE)?.map_or(environment, str::to_owned),
        environment_url: url(body, "environment_url", RESOURCE)?.to_owned(),
        log_url: log_url.to_owned(),
        automatic: false,
        at: now,
    };
    let retires = state == "success" && flag(body, "auto_inactive", RESOURCE)?.unwrap_or(true);
    if retires {
        retire_others(model, id, deployment, &status.environment);
    }
    let repository = model.repository(id);
    let answer = deployments::status(&status, find(repository, call)?, repository, &model.api);
    if let Some(of) = model.repository_mut(id).deployments.iter_mut().find(|it| it.id == deployment) {
        of.statuses.push(status);
    }
    Ok(Answer::new(StatusCode::CREATED, answer))
}

/// By the letter of the documentation: what was deployed to production, or to an environment that will vanish, is not
/// made inactive by itself.
fn retire_others(model: &mut Model, id: u64, but: u64, environment: &str) {
    let mut inactive = Vec::new();
    for other in &model.repository(id).deployments {
        let succeeded = other.statuses.last().is_some_and(|last| last.state == "success");
        if other.id != but && succeeded && !other.transient && !other.production && other.environment == environment {
            inactive.push(other.id);
        }
    }
    for other in inactive {
        let status = DeploymentStatus {
            id: model.new_id(),
            state: "inactive".to_owned(),
            description: String::new(),
            environment: environment.to_owned(),
            environment_url: String::new(),
            log_url: String::new(),
            automatic: true,
            at: Timestamp::now(),
        };
        if let Some(other) = model.repository_mut(id).deployments.iter_mut().find(|it| it.id == other) {
            other.statuses.push(status);
        }
    }
}

fn text<'a>(body: &'a Value, field: &str, resource: &str) -> Result<Option<&'a str>, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(Refusal::invalid(resource, field, "invalid", &format!("{field} is not a string"))),
    }
}

fn flag(body: &Value, field: &str, resource: &str) -> Result<Option<bool>, Refusal> {
    match body.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(Refusal::invalid(resource, field, "invalid", &format!("{field} is neither true nor false"))),
    }
}

fn description<'a>(body: &'a Value, resource: &str) -> Result<Option<&'a str>, Refusal> {
    let description = text(body, "description", resource)?;
    if description.is_some_and(|text| text.chars().count() > LONGEST_DESCRIPTION) {
        let message = "description is too long (maximum is 140 characters)";
        return Err(Refusal::invalid(resource, "description", "custom", message));
    }
    Ok(description)
}

fn url<'a>(body: &'a Value, field: &str, resource: &str) -> Result<&'a str, Refusal> {
    let url = text(body, field, resource)?.unwrap_or_default();
    if url.is_empty() || url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    let message = format!("{field} must use http(s) scheme");
    Err(Refusal::invalid(resource, field, "custom", &message))
}
