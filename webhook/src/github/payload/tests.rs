use serde_json::{Value, json};

use super::{PayloadError, json_of_form, parse};
use crate::github::event::{GitHubEvent, RepositoryRef};

const SHA: &str = "6dcb09b5b57875f334f61aebed695e2e4193db5e";
const BEFORE: &str = "d6fde92930d4715a2b49857d24b940956b26d2d3";
const ZERO: &str = "0000000000000000000000000000000000000000";

/// A delivery of acme/shop by octavia, with `more` beside that.
fn delivery(more: Value) -> Value {
    let mut body = json!({
        "repository": { "id": 5_000_000_001_u64, "full_name": "acme/shop", "private": true },
        "sender": { "login": "octavia", "id": 1 },
        "installation": { "id": 7 },
    });
    let (Value::Object(all), Value::Object(more)) = (&mut body, more) else { panic!("objects") };
    all.extend(more);
    body
}

fn read(event: &str, more: Value) -> GitHubEvent {
    parse(event, delivery(more).to_string().as_bytes()).unwrap()
}

fn is_ignored(event: &str, more: Value) -> bool {
    matches!(read(event, more), GitHubEvent::Ignored { .. })
}

fn shop() -> RepositoryRef {
    RepositoryRef { id: windlass_core::names::RepositoryId(5_000_000_001), name: "acme/shop".parse().unwrap() }
}

fn push(more: &[(&str, Value)]) -> Value {
    let mut push = json!({ "ref": "refs/heads/main", "before": BEFORE, "after": SHA, "deleted": false });
    for (name, value) in more {
        push[name] = value.clone();
    }
    push
}

fn closed(merged: bool, base: &str) -> Value {
    json!({ "action": "closed", "pull_request": {
        "number": 12,
        "title": "Sell more",
        "merged": merged,
        "merge_commit_sha": SHA,
        "merged_by": if merged { json!({ "login": "mona" }) } else { Value::Null },
        "head": { "ref": "fix", "sha": BEFORE, "repo": null },
        "base": { "ref": base, "sha": BEFORE },
    } })
}

#[test]
fn rule_008_a_body_that_is_no_json_is_an_error_whatever_the_event() {
    for event in ["push", "ping", "check_run", "invented"] {
        assert!(matches!(parse(event, b"{"), Err(PayloadError::Json { .. })), "{event}");
        assert!(matches!(parse(event, b""), Err(PayloadError::Json { .. })), "{event}");
    }
}

#[test]
fn rule_009_a_form_says_the_same_as_json() {
    let json = delivery(push(&[("head_commit", json!({ "message": "a & b = c + d é 🚀" }))])).to_string();
    let form = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &json).finish();
    let read = json_of_form(form.as_bytes()).unwrap();
    assert_eq!(String::from_utf8(read).unwrap(), json);
    assert!(matches!(json_of_form(b"other=1"), Err(PayloadError::NoPayload)));
}

#[test]
fn rule_011_a_ping_an_unknown_event_and_an_unknown_action_are_no_errors() {
    assert_eq!(read("ping", json!({ "zen": "Design for failure.", "hook_id": 1 })), GitHubEvent::Pinged);
    assert_eq!(parse("ping", br#"{"zen":"no repository"}"#).unwrap(), GitHubEvent::Pinged);
    assert!(is_ignored("invented", json!({ "action": "new" })));
    for event in
        ["pull_request", "check_run", "check_suite", "workflow_run", "repository", "installation", "merge_group"]
    {
        assert!(is_ignored(event, json!({ "action": "invented" })), "{event}");
        assert!(is_ignored(event, json!({})), "{event} without an action");
    }
}

#[test]
fn a_push_to_a_branch_tells_its_commit_and_the_one_before() {
    let expected = GitHubEvent::BranchPushed {
        repository: shop(),
        branch: "main".to_owned(),
        commit: SHA.parse().unwrap(),
        before: Some(BEFORE.parse().unwrap()),
        by: "octavia".to_owned(),
    };
    assert_eq!(read("push", push(&[])), expected);
    let GitHubEvent::BranchPushed { before, .. } = read("push", push(&[("before", json!(ZERO))])) else { panic!() };
    assert_eq!(before, None, "a new branch had no head");
}

#[test]
fn rule_020_deleted_branches_and_tags_are_no_pushes() {
    assert!(is_ignored("push", push(&[("deleted", json!(true)), ("after", json!(ZERO))])));
    assert!(is_ignored("push", push(&[("after", json!(ZERO))])));
    assert!(is_ignored("push", push(&[("ref", json!("refs/tags/v1"))])));
}

fn pushed_branch(git_ref: &str) -> String {
    match read("push", push(&[("ref", json!(git_ref))])) {
        GitHubEvent::BranchPushed { branch, .. } => branch,
        other => panic!("{other:?}"),
    }
}

#[test]
fn rule_021_a_branch_is_all_that_stands_behind_refs_heads() {
    for branch in ["x", "feature/x", "Main", "refs/heads/main", "ünï"] {
        assert_eq!(pushed_branch(&format!("refs/heads/{branch}")), branch);
    }
}

#[test]
fn rule_022_a_tag_of_the_same_name_is_not_the_branch() {
    assert!(is_ignored("push", push(&[("ref", json!("refs/tags/main"))])));
    assert!(is_ignored("push", push(&[("ref", json!("main"))])));
}

#[test]
fn rule_023_a_pull_request_that_was_closed_without_a_merge_is_nothing() {
    assert!(is_ignored("pull_request", closed(false, "main")));
}

#[test]
fn rule_023_a_merge_names_the_branch_that_it_went_into() {
    let GitHubEvent::PullRequestMerged { base_branch, .. } = read("pull_request", closed(true, "release/1")) else {
        panic!("a merge")
    };
    assert_eq!(base_branch, "release/1");
}

#[test]
fn rule_024_a_merge_is_of_the_commit_that_the_branch_got() {
    let expected = GitHubEvent::PullRequestMerged {
        repository: shop(),
        number: 12,
        title: "Sell more".to_owned(),
        base_branch: "main".to_owned(),
        commit: SHA.parse().unwrap(),
        by: "mona".to_owned(),
    };
    assert_eq!(read("pull_request", closed(true, "main")), expected);
}

#[test]
fn rule_026_the_merge_queues_branch_is_another_branch() {
    assert_eq!(pushed_branch("refs/heads/gh-readonly-queue/main/pr-12-abc"), "gh-readonly-queue/main/pr-12-abc");
    assert!(is_ignored("merge_group", json!({ "action": "checks_requested" })));
}

#[test]
fn rule_027_checks_of_a_fork_have_no_branch_and_are_read_all_the_same() {
    let expected = GitHubEvent::ChecksChanged { repository: shop(), commit: SHA.parse().unwrap() };
    let head = json!({ "head_sha": SHA, "head_branch": null, "pull_requests": [], "conclusion": "an invention" });
    for event in ["check_suite", "check_run", "workflow_run"] {
        assert_eq!(read(event, json!({ "action": "completed", event: head })), expected, "{event}");
    }
    assert_eq!(read("status", json!({ "sha": SHA, "state": "invented", "branches": [] })), expected);
    assert!(is_ignored("pull_request", json!({ "action": "opened" })));
}

#[test]
fn rule_028_a_renamed_or_transferred_repository_keeps_its_id() {
    let renamed = |changes| match read("repository", changes) {
        GitHubEvent::RepositoryRenamed { repository, previous } => {
            assert_eq!(repository, shop());
            previous.map(|name| name.to_string())
        }
        other => panic!("{other:?}"),
    };
    let name = json!({ "action": "renamed", "changes": { "repository": { "name": { "from": "store" } } } });
    assert_eq!(renamed(name).as_deref(), Some("acme/store"));
    let owner = json!({ "action": "transferred", "changes": { "owner": { "from": { "user": { "login": "mona" } } } } });
    assert_eq!(renamed(owner).as_deref(), Some("mona/shop"));
    assert_eq!(renamed(json!({ "action": "renamed" })), None);
}

#[test]
fn rule_061_numbers_beyond_32_bits_are_kept() {
    let GitHubEvent::ChecksChanged { repository, .. } = read("status", json!({ "sha": SHA })) else { panic!() };
    assert_eq!(repository.id.0, 5_000_000_001);
}

#[test]
fn what_github_would_never_send_is_an_error_that_says_where() {
    let error = parse("status", delivery(json!({ "sha": "main" })).to_string().as_bytes()).unwrap_err();
    assert_eq!(error.to_string(), "`main` is not a valid commit: expected 40 hex digits, the full SHA");
    let error = parse("push", b"{}").unwrap_err();
    assert!(error.to_string().contains("`push`"), "{error}");
}
