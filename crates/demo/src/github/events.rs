//! What GitHub tells its webhook.

use serde_json::{Value, json};

use super::json::repositories::{html, in_events, url};
use super::json::{actions, app, checks, commits, pull_requests, time, with};
use super::model::{CheckRun, CheckSuite, CommitStatus, Model, PullRequest, Repository};
use super::state::Conclusion;

/// No commit: before a branch's first push and after its deletion.
const NOWHERE: &str = "0000000000000000000000000000000000000000";

/// One event: its name as in `X-GitHub-Event`, and its payload.
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) payload: Value,
}

impl Event {
    fn new(name: &'static str, repository: &Repository, model: &Model, payload: Value) -> Self {
        let common = json!({
            "repository": in_events(repository, &model.api),
            "sender": app::developer(&model.api),
            "installation": { "id": app::INSTALLATION_ID, "node_id": format!("I_{}", app::INSTALLATION_ID) }
        });
        Self { name, payload: with(common, payload) }
    }
}

pub(super) fn ping(hook_url: &str, model: &Model) -> Event {
    let hook = format!("{}/app/hook", model.api);
    let at = time(jiff::Timestamp::now());
    let payload = json!({
        "zen": "Keep it logically awesome.",
        "hook_id": super::deliveries::HOOK_ID,
        "hook": {
            "type": "App",
            "id": super::deliveries::HOOK_ID,
            "name": "web",
            "active": true,
            "app_id": app::APP_ID,
            "events": ["check_run", "check_suite", "pull_request", "push", "status", "workflow_run"],
            "config": { "content_type": "json", "insecure_ssl": "0", "secret": "********", "url": hook_url },
            "updated_at": at,
            "created_at": at,
            "url": hook,
            "ping_url": format!("{hook}/pings"),
            "deliveries_url": format!("{hook}/deliveries")
        }
    });
    Event { name: "ping", payload }
}

/// A branch has moved, from a commit (none: it is new) to another (none: it is gone).
pub(super) fn push(branch: &str, before: Option<&str>, after: Option<&str>, of: &Repository, model: &Model) -> Event {
    let new = after.map(|after| of.commits_between(before, after)).unwrap_or_default();
    let new: Vec<Value> = new.into_iter().map(|commit| commits::pushed(commit, of)).collect();
    let head = after.and_then(|after| of.commits.get(after)).map(|commit| commits::pushed(commit, of));
    let (from, to) = (before.unwrap_or(NOWHERE), after.unwrap_or(NOWHERE));
    // In this event alone, these two are seconds, and the owner has a name.
    let pushed = with(
        in_events(of, &model.api),
        json!({
            "created_at": of.created_at.as_second(),
            "pushed_at": jiff::Timestamp::now().as_second(),
            "owner": with(
                app::user(of.owner(), app::Kind::Organization, &model.api),
                json!({ "name": of.owner(), "email": null })
            )
        }),
    );
    let payload = json!({
        "ref": format!("refs/heads/{branch}"),
        "before": from,
        "after": to,
        "created": before.is_none(),
        "deleted": after.is_none(),
        "forced": before.zip(after).is_some_and(|(before, after)| !of.history(after).contains(before)),
        "base_ref": null,
        "compare": format!("{}/compare/{}...{}", html(of), &from[..12], &to[..12]),
        "commits": new,
        "head_commit": head,
        "pusher": { "name": app::DEVELOPER, "email": "octavia@acme.example" },
        "repository": pushed
    });
    Event::new("push", of, model, payload)
}

/// A repository has another name, or another owner: then GitHub says `transferred` and nothing of the name.
pub(super) fn renamed(before: &str, of: &Repository, model: &Model) -> Event {
    let (owner, name) = before.split_once('/').unwrap_or_default();
    let payload = if owner == of.owner() {
        json!({ "action": "renamed", "changes": { "repository": { "name": { "from": name } } } })
    } else {
        let organization = app::organization(owner, &model.api);
        json!({ "action": "transferred", "changes": { "owner": { "from": { "organization": organization } } } })
    };
    Event::new("repository", of, model, payload)
}

/// `opened`, `synchronize` or `closed`.
pub(super) fn pull_request(action: &str, it: &PullRequest, of: &Repository, model: &Model) -> Event {
    let whole = pull_requests::pull_request(it, of, &model.api);
    let mut payload = json!({ "action": action, "number": it.number, "pull_request": whole });
    if action == "synchronize" {
        let before = of.commits.get(&it.head_sha).and_then(|commit| commit.parents.first());
        payload = with(payload, json!({ "before": before, "after": it.head_sha }));
    }
    Event::new("pull_request", of, model, payload)
}

pub(super) fn status(it: &CommitStatus, of: &Repository, model: &Model) -> Event {
    let at = time(it.at);
    let branches: Vec<Value> = of
        .branches_with(&it.sha)
        .take(10)
        .map(|(name, head)| {
            let url = format!("{}/commits/{head}", url(of, &model.api));
            let protected = of.protected.contains_key(name);
            json!({ "name": name, "commit": { "sha": head, "url": url }, "protected": protected })
        })
        .collect();
    let payload = json!({
        "id": it.id,
        "sha": it.sha,
        "name": of.full_name,
        "target_url": null,
        "avatar_url": null,
        "context": it.context,
        "description": null,
        "state": it.state.as_str(),
        "commit": of.commits.get(&it.sha).map(|commit| commits::in_status_event(commit, of, &model.api)),
        "branches": branches,
        "created_at": at,
        "updated_at": at
    });
    Event::new("status", of, model, payload)
}

/// `created` or `completed`.
pub(super) fn check_run(action: &str, it: &CheckRun, of: &Repository, model: &Model) -> Event {
    let payload = json!({ "action": action, "check_run": checks::run_in_event(it, of, &model.api) });
    Event::new("check_run", of, model, payload)
}

pub(super) fn check_suite_completed(it: &CheckSuite, of: &Repository, model: &Model) -> Event {
    let payload = json!({ "action": "completed", "check_suite": checks::suite_in_event(it, of, &model.api) });
    Event::new("check_suite", of, model, payload)
}

/// The run that made a suite of GitHub Actions has ended.
pub(super) fn workflow_run_completed(
    workflow: &str,
    conclusion: Conclusion,
    suite: &CheckSuite,
    of: &Repository,
    model: &Model,
) -> Event {
    let workflow_object = actions::workflow(workflow, suite, of, &model.api);
    let ended = json!({ "name": workflow, "status": "completed", "conclusion": conclusion.as_str() });
    let workflow_run = with(actions::run(suite, of, &model.api), ended);
    let payload = json!({ "action": "completed", "workflow": workflow_object, "workflow_run": workflow_run });
    Event::new("workflow_run", of, model, payload)
}
