//! Repositories, branches and what rules say of branches.

use serde_json::{Map, Value, json};

use super::super::model::{Model, Repository};
use super::{HTML, app, commits, time, with};

/// The members that are addresses: name and what follows the repository's own address.
const ADDRESSES: [(&str, &str); 36] = [
    ("archive_url", "/{archive_format}{/ref}"),
    ("assignees_url", "/assignees{/user}"),
    ("blobs_url", "/git/blobs{/sha}"),
    ("branches_url", "/branches{/branch}"),
    ("collaborators_url", "/collaborators{/collaborator}"),
    ("comments_url", "/comments{/number}"),
    ("commits_url", "/commits{/sha}"),
    ("compare_url", "/compare/{base}...{head}"),
    ("contents_url", "/contents/{+path}"),
    ("contributors_url", "/contributors"),
    ("deployments_url", "/deployments"),
    ("downloads_url", "/downloads"),
    ("events_url", "/events"),
    ("forks_url", "/forks"),
    ("git_commits_url", "/git/commits{/sha}"),
    ("git_refs_url", "/git/refs{/sha}"),
    ("git_tags_url", "/git/tags{/sha}"),
    ("hooks_url", "/hooks"),
    ("issue_comment_url", "/issues/comments{/number}"),
    ("issue_events_url", "/issues/events{/number}"),
    ("issues_url", "/issues{/number}"),
    ("keys_url", "/keys{/key_id}"),
    ("labels_url", "/labels{/name}"),
    ("languages_url", "/languages"),
    ("merges_url", "/merges"),
    ("milestones_url", "/milestones{/number}"),
    ("notifications_url", "/notifications{?since,all,participating}"),
    ("pulls_url", "/pulls{/number}"),
    ("releases_url", "/releases{/id}"),
    ("stargazers_url", "/stargazers"),
    ("statuses_url", "/statuses/{sha}"),
    ("subscribers_url", "/subscribers"),
    ("subscription_url", "/subscription"),
    ("tags_url", "/tags"),
    ("teams_url", "/teams"),
    ("trees_url", "/git/trees{/sha}"),
];

/// The repository as other objects name it.
pub(in crate::github) fn minimal(repository: &Repository, api: &str) -> Value {
    let url = url(repository, api);
    let addresses: Map<String, Value> =
        ADDRESSES.iter().map(|(name, rest)| ((*name).to_owned(), json!(format!("{url}{rest}")))).collect();
    with(
        json!({
            "id": repository.id,
            "node_id": format!("R_{}", repository.id),
            "name": repository.name(),
            "full_name": repository.full_name,
            "private": true,
            "owner": app::user(repository.owner(), app::Kind::Organization, api),
            "html_url": html(repository),
            "description": null,
            "fork": false,
            "url": url
        }),
        Value::Object(addresses),
    )
}

/// What both the API and the events add when they mean the repository itself.
fn whole(repository: &Repository, api: &str) -> Value {
    let name = &repository.full_name;
    let at = time(repository.created_at);
    with(
        minimal(repository, api),
        json!({
            "created_at": at,
            "updated_at": at,
            "pushed_at": at,
            "git_url": format!("git://github.com/{name}.git"),
            "ssh_url": format!("git@github.com:{name}.git"),
            "clone_url": format!("{HTML}/{name}.git"),
            "svn_url": format!("{HTML}/{name}"),
            "homepage": null,
            "size": 1,
            "stargazers_count": 0,
            "watchers_count": 0,
            "language": null,
            "has_issues": true,
            "has_projects": true,
            "has_downloads": true,
            "has_wiki": true,
            "has_pages": false,
            "has_discussions": false,
            "forks_count": 0,
            "mirror_url": null,
            "archived": false,
            "disabled": false,
            "open_issues_count": 0,
            "license": null,
            "is_template": false,
            "web_commit_signoff_required": false,
            "topics": [],
            "visibility": "private",
            "forks": 0,
            "open_issues": 0,
            "watchers": 0,
            "default_branch": repository.default_branch
        }),
    )
}

pub(in crate::github) fn full(repository: &Repository, api: &str) -> Value {
    with(
        whole(repository, api),
        json!({
            "network_count": 0,
            "subscribers_count": 0,
            "permissions": { "admin": false, "maintain": false, "push": false, "triage": false, "pull": true }
        }),
    )
}

pub(in crate::github) fn in_events(repository: &Repository, api: &str) -> Value {
    with(whole(repository, api), json!({ "custom_properties": {} }))
}

pub(in crate::github) fn branch(repository: &Repository, name: &str, model: &Model) -> Option<Value> {
    let commit = repository.commits.get(repository.branches.get(name)?)?;
    let url = format!("{}/branches/{name}", url(repository, &model.api));
    let classic = repository.protected.get(name);
    let contexts = classic.cloned().unwrap_or_default();
    Some(json!({
        "name": name,
        "commit": commits::commit(commit, repository, &model.api),
        "_links": { "self": url, "html": format!("{}/tree/{name}", html(repository)) },
        "protected": classic.is_some() || repository.required.contains_key(name),
        "protection": {
            "enabled": classic.is_some(),
            "required_status_checks": {
                "enforcement_level": if classic.is_some() { "non_admins" } else { "off" },
                "contexts": contexts,
                "checks": checks(&contexts)
            }
        },
        "protection_url": format!("{url}/protection")
    }))
}

pub(in crate::github) fn required_status_checks(repository: &Repository, branch: &str, api: &str) -> Option<Value> {
    let contexts = repository.protected.get(branch)?;
    let url = format!("{}/branches/{branch}/protection/required_status_checks", url(repository, api));
    Some(json!({
        "url": url,
        "contexts_url": format!("{url}/contexts"),
        "strict": false,
        "contexts": contexts,
        "checks": checks(contexts)
    }))
}

fn checks(contexts: &[String]) -> Vec<Value> {
    contexts.iter().map(|context| json!({ "context": context, "app_id": null })).collect()
}

/// The rules that rulesets have for a branch.
pub(in crate::github) fn rules(repository: &Repository, branch: &str) -> Vec<Value> {
    let Some(required) = repository.required.get(branch) else { return Vec::new() };
    let checks: Vec<Value> = required.iter().map(|context| json!({ "context": context })).collect();
    let rule = json!({
        "type": "required_status_checks",
        "ruleset_source_type": "Repository",
        "ruleset_source": repository.full_name,
        "ruleset_id": repository.id + 1,
        "parameters": {
            "strict_required_status_checks_policy": false,
            "do_not_enforce_on_create": false,
            "required_status_checks": checks
        }
    });
    vec![rule]
}

pub(in crate::github) fn url(repository: &Repository, api: &str) -> String {
    format!("{api}/repos/{}", repository.full_name)
}

pub(in crate::github) fn html(repository: &Repository) -> String {
    format!("{HTML}/{}", repository.full_name)
}
