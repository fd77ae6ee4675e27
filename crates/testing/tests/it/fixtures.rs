use std::collections::BTreeSet;

use serde_json::Value;
use windlass_testing::github::{CheckState, CommitState, Conclusion};
use windlass_testing::{FakeGitHub, fixture, fixture_path};

use crate::PATIENCE;

/// Set it to have the fixtures written anew.
const REWRITE: &str = "WINDLASS_REWRITE_FIXTURES";

/// Nobody listens there: what would have been delivered is on record all the same.
const NOWHERE: &str = "http://127.0.0.1:9/hooks";

#[tokio::test]
async fn the_webhook_fixtures_have_the_members_that_are_delivered() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    shop.push("feature", "Add a cart");
    let number = shop.open_pull_request("feature");
    github.set_webhook(NOWHERE, "secret");
    github.ping();
    let sha = shop.merge_pull_request(number);
    shop.set_status(&sha, "lint", CommitState::Success);
    shop.add_check_run(&sha, "test", CheckState::Completed(Conclusion::Success));
    shop.complete_workflow_run(&sha, "ci", Conclusion::Success);
    let deliveries = github.until_delivered(PATIENCE).await.unwrap();
    assert_eq!(deliveries.len(), 7);
    for delivery in deliveries {
        let action = delivery.action.map(|action| format!("_{action}")).unwrap_or_default();
        let merged = if delivery.event == "pull_request" { "_merged" } else { "" };
        let name = format!("webhook/{}{action}{merged}.json", delivery.event);
        let delivered = String::from_utf8(delivery.body).unwrap().replace(&github.url(), "https://api.github.com");
        let delivered: Value = serde_json::from_str(&delivered).unwrap();
        if std::env::var_os(REWRITE).is_some() {
            rewrite(&name, &delivered);
        }
        let kept: Value = serde_json::from_slice(&fixture(&name)).unwrap();
        assert_eq!(members(&kept), members(&delivered), "{name}: {REWRITE}=1 writes it anew");
    }
}

#[expect(clippy::disallowed_methods, reason = "git has the old one")]
fn rewrite(name: &str, payload: &Value) {
    let pretty = serde_json::to_string_pretty(payload).unwrap();
    std::fs::write(fixture_path(name), pretty + "\n").unwrap();
}

/// Every member's path and kind of value, list entries alike.
fn members(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(String::new(), value)];
    while let Some((path, value)) = open.pop() {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(entries) => {
                open.extend(entries.iter().map(|entry| (format!("{path}[]"), entry)));
                "list"
            }
            Value::Object(object) => {
                open.extend(object.iter().map(|(name, value)| (format!("{path}.{name}"), value)));
                "object"
            }
        };
        found.insert(format!("{path}: {kind}"));
    }
    found
}
