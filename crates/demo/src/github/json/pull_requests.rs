//! Pull requests.

use serde_json::{Value, json};

use super::super::model::{PullRequest, Repository};
use super::repositories::{html, in_events, url};
use super::{app, time};

pub(in crate::github) fn pull_request(it: &PullRequest, repository: &Repository, api: &str) -> Value {
    let number = it.number;
    let (api_url, html_url) = (url(repository, api), html(repository));
    let (url, issue) = (format!("{api_url}/pulls/{number}"), format!("{api_url}/issues/{number}"));
    let html = format!("{html_url}/pull/{number}");
    let statuses = format!("{api_url}/statuses/{}", it.head_sha);
    let closed_at = it.closed_at.map(time);
    let merged = it.merge_commit.is_some();
    let side = |name: &str, sha: &str| {
        json!({
            "label": format!("{}:{name}", repository.owner()),
            "ref": name,
            "sha": sha,
            "user": app::user(repository.owner(), app::Kind::Organization, api),
            "repo": in_events(repository, api)
        })
    };
    json!({
        "url": url,
        "id": it.id,
        "node_id": format!("PR_{}", it.id),
        "html_url": html,
        "diff_url": format!("{html}.diff"),
        "patch_url": format!("{html}.patch"),
        "issue_url": issue,
        "number": number,
        "state": if it.closed_at.is_some() { "closed" } else { "open" },
        "locked": false,
        "title": it.title,
        "user": app::developer(api),
        "body": null,
        "created_at": time(it.created_at),
        "updated_at": time(it.closed_at.unwrap_or(it.created_at)),
        "closed_at": closed_at,
        "merged_at": if merged { closed_at.clone() } else { None },
        "merge_commit_sha": it.merge_commit,
        "assignee": null,
        "assignees": [],
        "requested_reviewers": [],
        "requested_teams": [],
        "labels": [],
        "milestone": null,
        "commits_url": format!("{url}/commits"),
        "review_comments_url": format!("{url}/comments"),
        "review_comment_url": format!("{api_url}/pulls/comments{{/number}}"),
        "comments_url": format!("{issue}/comments"),
        "statuses_url": statuses,
        "head": side(&it.head, &it.head_sha),
        "base": side(&it.base, &it.base_sha),
        "_links": {
            "self": { "href": url },
            "html": { "href": html },
            "issue": { "href": issue },
            "comments": { "href": format!("{issue}/comments") },
            "review_comments": { "href": format!("{url}/comments") },
            "review_comment": { "href": format!("{api_url}/pulls/comments{{/number}}") },
            "commits": { "href": format!("{url}/commits") },
            "statuses": { "href": statuses }
        },
        "author_association": "MEMBER",
        "auto_merge": null,
        "active_lock_reason": null,
        "draft": false,
        "merged": merged,
        "mergeable": if merged { None } else { Some(true) },
        "rebaseable": if merged { None } else { Some(true) },
        "mergeable_state": if merged { "unknown" } else { "clean" },
        "merged_by": merged.then(|| app::developer(api)),
        "comments": 0,
        "review_comments": 0,
        "maintainer_can_modify": false,
        "commits": repository.commits_between(Some(&it.base_sha), &it.head_sha).len(),
        "additions": 1,
        "deletions": 1,
        "changed_files": 1
    })
}

/// In lists a pull request has less to say.
pub(in crate::github) fn in_lists(it: &PullRequest, repository: &Repository, api: &str) -> Value {
    const ONLY_ALONE: [&str; 12] = [
        "merged",
        "mergeable",
        "rebaseable",
        "mergeable_state",
        "merged_by",
        "comments",
        "review_comments",
        "maintainer_can_modify",
        "commits",
        "additions",
        "deletions",
        "changed_files",
    ];
    let mut whole = pull_request(it, repository, api);
    if let Some(members) = whole.as_object_mut() {
        members.retain(|name, _| !ONLY_ALONE.contains(&name.as_str()));
    }
    whole
}

/// The open pull requests from a branch, as checks name them.
pub(in crate::github) fn of_branch(branch: Option<&str>, repository: &Repository, api: &str) -> Vec<Value> {
    let repo = json!({ "id": repository.id, "url": url(repository, api), "name": repository.name() });
    repository
        .pull_requests
        .iter()
        .filter(|it| it.closed_at.is_none() && Some(it.head.as_str()) == branch)
        .map(|it| {
            json!({
                "url": format!("{}/pulls/{}", url(repository, api), it.number),
                "id": it.id,
                "number": it.number,
                "head": { "ref": it.head, "sha": it.head_sha, "repo": repo },
                "base": { "ref": it.base, "sha": it.base_sha, "repo": repo }
            })
        })
        .collect()
}
