//! Commits, their statuses, and comparisons of them.

use serde_json::{Value, json};

use super::super::model::{Commit, CommitStatus, Repository};
use super::repositories::{html, minimal, url};
use super::{app, time, with};

pub(in crate::github) fn commit(commit: &Commit, repository: &Repository, api: &str) -> Value {
    let sha = &commit.sha;
    let (url, html) = (url(repository, api), html(repository));
    let parents: Vec<Value> = commit
        .parents
        .iter()
        .map(|parent| {
            json!({ "sha": parent, "url": format!("{url}/commits/{parent}"), "html_url": format!("{html}/commit/{parent}") })
        })
        .collect();
    let by = person(commit, true);
    json!({
        "sha": sha,
        "node_id": format!("C_{sha}"),
        "commit": {
            "author": by,
            "committer": by,
            "message": commit.message,
            "tree": { "sha": commit.tree, "url": format!("{url}/git/trees/{}", commit.tree) },
            "url": format!("{url}/git/commits/{sha}"),
            "comment_count": 0,
            "verification": {
                "verified": false, "reason": "unsigned", "signature": null, "payload": null, "verified_at": null
            }
        },
        "url": format!("{url}/commits/{sha}"),
        "html_url": format!("{html}/commit/{sha}"),
        "comments_url": format!("{url}/commits/{sha}/comments"),
        "author": app::developer(api),
        "committer": app::developer(api),
        "parents": parents
    })
}

/// As `status` events carry it: their description is older than `verified_at`.
pub(in crate::github) fn in_status_event(of: &Commit, repository: &Repository, api: &str) -> Value {
    let mut value = commit(of, repository, api);
    if let Some(verification) = value.pointer_mut("/commit/verification").and_then(Value::as_object_mut) {
        verification.remove("verified_at");
    }
    value
}

/// As check suites and workflow runs carry it.
pub(in crate::github) fn simple(commit: &Commit) -> Value {
    json!({
        "id": commit.sha,
        "tree_id": commit.tree,
        "message": commit.message,
        "timestamp": time(commit.at),
        "author": person(commit, false),
        "committer": person(commit, false)
    })
}

/// As `push` events carry it.
pub(in crate::github) fn pushed(commit: &Commit, repository: &Repository) -> Value {
    let by = with(person(commit, false), json!({ "username": app::DEVELOPER }));
    with(
        simple(commit),
        json!({
            "distinct": true,
            "url": format!("{}/commit/{}", html(repository), commit.sha),
            "author": by,
            "committer": by,
            "added": [],
            "removed": [],
            "modified": ["README.md"]
        }),
    )
}

fn person(commit: &Commit, dated: bool) -> Value {
    let by = json!({ "name": "Octavia Field", "email": "octavia@acme.example" });
    if dated { with(by, json!({ "date": time(commit.at) })) } else { by }
}

pub(in crate::github) fn status(status: &CommitStatus, repository: &Repository, api: &str) -> Value {
    with(simple_status(status, repository, api), json!({ "creator": app::developer(api) }))
}

fn simple_status(status: &CommitStatus, repository: &Repository, api: &str) -> Value {
    let at = time(status.at);
    json!({
        "id": status.id,
        "node_id": format!("SC_{}", status.id),
        "state": status.state.as_str(),
        "context": status.context,
        "description": null,
        "target_url": null,
        "url": format!("{}/statuses/{}", url(repository, api), status.sha),
        "avatar_url": "https://avatars.githubusercontent.com/u/1?v=4",
        "created_at": at,
        "updated_at": at
    })
}

/// The combined status, with one page of its statuses.
pub(in crate::github) fn combined(sha: &str, page: &[&CommitStatus], repository: &Repository, api: &str) -> Value {
    let url = format!("{}/commits/{sha}", url(repository, api));
    let statuses: Vec<Value> = page.iter().map(|status| simple_status(status, repository, api)).collect();
    json!({
        "state": repository.combined_state(sha).as_str(),
        "sha": sha,
        "total_count": repository.latest_statuses(sha).len(),
        "statuses": statuses,
        "repository": minimal(repository, api),
        "commit_url": url,
        "url": format!("{url}/status")
    })
}

/// How two commits relate; `None` when they share no history.
pub(in crate::github) fn comparison(base: &Commit, head: &Commit, repository: &Repository, api: &str) -> Option<Value> {
    let ahead = repository.commits_between(Some(&base.sha), &head.sha);
    let behind = repository.commits_between(Some(&head.sha), &base.sha);
    let shared = repository.history(&base.sha);
    let merge_base = repository
        .history(&head.sha)
        .intersection(&shared)
        .filter_map(|sha| repository.commits.get(*sha))
        .max_by_key(|commit| commit.depth)?;
    let range = format!("compare/{}...{}", base.sha, head.sha);
    let page = format!("{}/{range}", html(repository));
    let commits: Vec<Value> = ahead.iter().map(|it| commit(it, repository, api)).collect();
    Some(json!({
        "url": format!("{}/{range}", url(repository, api)),
        "html_url": page,
        "permalink_url": page,
        "diff_url": format!("{page}.diff"),
        "patch_url": format!("{page}.patch"),
        "base_commit": commit(base, repository, api),
        "merge_base_commit": commit(merge_base, repository, api),
        "status": match (ahead.is_empty(), behind.is_empty()) {
            (true, true) => "identical",
            (false, true) => "ahead",
            (true, false) => "behind",
            (false, false) => "diverged",
        },
        "ahead_by": ahead.len(),
        "behind_by": behind.len(),
        "total_commits": ahead.len(),
        "commits": commits,
        "files": []
    }))
}
