//! Answers that a healthy GitHub never gives, word for word.

use std::sync::Arc;

use axum::Router;
use axum::http::{Method, StatusCode, Uri};
use secrecy::SecretString;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use windlass_core::Timestamp;
use windlass_core::names::{CommitSha, DeploymentId, ProjectName};
use windlass_core::verdict::{CheckState, CommitFacts, Required, RequiredCheck};
use windlass_webhook::github::{GitHub, GitHubCredentials, GitHubError, NewGitHubDeployment};

/// A server that gives these answers by the end of the path, and an empty list to everything else.
struct Canned {
    github: GitHub,
    server: JoinHandle<()>,
}

impl Drop for Canned {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Canned {
    async fn start(answers: Vec<(&'static str, u16, Value)>) -> Self {
        let answers = Arc::new(answers);
        let router = Router::new().fallback(move |_: Method, uri: Uri| {
            let answers = Arc::clone(&answers);
            async move {
                let on_a_later_page =
                    uri.query().is_some_and(|query| query.contains("&page=") && !query.ends_with("&page=1"));
                let found = answers.iter().find(|(end, ..)| uri.path().ends_with(end) && !on_a_later_page);
                let (status, body) =
                    found.map_or((200, empty(uri.path())), |(_, status, body)| (*status, body.clone()));
                (StatusCode::from_u16(status).unwrap(), body.to_string())
            }
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/api/v3", listener.local_addr().unwrap()).parse().unwrap();
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let github = GitHub::connect(&url, GitHubCredentials::Token(SecretString::from("token"))).unwrap();
        Self { github, server }
    }

    async fn facts(&self) -> Result<CommitFacts, GitHubError> {
        self.github.commit_facts(&project(), &commit(), "main", Timestamp::UNIX_EPOCH).await
    }

    async fn create(&self) -> Result<u64, GitHubError> {
        self.github.create_deployment(&project(), &deployment()).await
    }
}

fn empty(path: &str) -> Value {
    match path.rsplit('/').next() {
        Some("status") => json!({ "state": "pending", "total_count": 0, "statuses": [] }),
        Some("check-runs") => json!({ "total_count": 0, "check_runs": [] }),
        Some("check-suites") => json!({ "total_count": 0, "check_suites": [] }),
        Some("runs") => json!({ "total_count": 0, "workflow_runs": [] }),
        Some("required_status_checks") => json!({ "contexts": [], "checks": [] }),
        _ => json!([]),
    }
}

fn project() -> ProjectName {
    "acme/shop".parse().unwrap()
}

fn commit() -> CommitSha {
    "a".repeat(40).parse().unwrap()
}

fn deployment() -> NewGitHubDeployment {
    NewGitHubDeployment {
        commit: commit(),
        commits: std::collections::BTreeMap::new(),
        task: "deploy".to_owned(),
        environment: "production".parse().unwrap(),
        description: String::new(),
        deployment: DeploymentId::from_random([7; 16]),
        production: true,
        transient: false,
    }
}

#[tokio::test]
async fn rule_050_a_list_that_is_shorter_than_announced_is_an_error() {
    for (path, rows) in [
        ("/status", "statuses"),
        ("/check-runs", "check_runs"),
        ("/check-suites", "check_suites"),
        ("/actions/runs", "workflow_runs"),
    ] {
        let canned = Canned::start(vec![(path, 200, json!({ "total_count": 1, rows: [] }))]).await;
        let error = canned.facts().await.unwrap_err();
        assert!(matches!(error, GitHubError::Malformed { .. }) && error.is_temporary(), "{path}: {error}");
    }
}

#[tokio::test]
async fn rule_050_a_page_of_a_proxy_is_an_error() {
    let canned = Canned::start(vec![("/check-runs", 200, json!("<html>be right back</html>"))]).await;
    let error = canned.facts().await.unwrap_err();
    assert!(matches!(error, GitHubError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn rule_038_words_that_nobody_knows_yet_are_read_and_do_not_pass() {
    let run = json!({ "id": 1, "name": "test", "status": "completed", "conclusion": "invented", "app": null, "check_suite": null });
    let suite = json!({ "id": 1, "status": null, "conclusion": null, "created_at": null, "app": null });
    let canned = Canned::start(vec![
        ("/check-runs", 200, json!({ "total_count": 1, "check_runs": [run] })),
        ("/check-suites", 200, json!({ "total_count": 1, "check_suites": [suite] })),
        ("/status", 200, json!({ "total_count": 1, "statuses": [{ "context": "ci", "state": "invented" }] })),
    ]);
    let facts = canned.await.facts().await.unwrap();
    let failed = CheckState::Failed("invented".to_owned());
    assert_eq!((&facts.check_runs[0].state, &facts.statuses[0].state), (&failed, &failed));
    assert_eq!(facts.suites[0].state, CheckState::Queued);
}

#[tokio::test]
async fn rule_042_an_app_that_a_check_is_pinned_to_is_read_from_both_kinds_of_rules() {
    let checks =
        json!([{ "context": "a", "integration_id": 7 }, { "context": "b" }, { "context": "c", "integration_id": -1 }]);
    let rules = json!([
        { "type": "required_status_checks", "parameters": { "required_status_checks": checks } },
        { "type": "deletion" },
        { "type": "invented", "parameters": { "required_status_checks": "something else" } },
    ]);
    let protection = json!({
        "contexts": ["d", "e", "f"], "checks": [{ "context": "d", "app_id": 9 }, { "context": "e", "app_id": null }]
    });
    let canned = Canned::start(vec![
        ("/rules/branches/main", 200, rules),
        ("/protection/required_status_checks", 200, protection),
    ]);
    let required = [("a", Some(7)), ("b", None), ("c", None), ("d", Some(9)), ("e", None), ("f", None)];
    let required =
        required.map(|(context, integration_id)| RequiredCheck { context: context.to_owned(), integration_id });
    assert_eq!(canned.await.facts().await.unwrap().required, Required::Known(required.to_vec()));
}

#[tokio::test]
async fn rule_044_where_the_plan_has_no_rules_none_are_required() {
    let offer = json!({ "message": "Upgrade to GitHub Pro or make this repository public to enable this feature." });
    let other = json!({ "message": "Resource not accessible by integration" });
    let known = |answer: &Value| {
        let answers = vec![
            ("/rules/branches/main", 403, answer.clone()),
            ("/protection/required_status_checks", 403, answer.clone()),
        ];
        async { Canned::start(answers).await.facts().await.unwrap().required }
    };
    assert_eq!(known(&offer).await, Required::Known(Vec::new()));
    assert!(matches!(known(&other).await, Required::Unknown(why) if why.contains("not accessible")));
}

#[tokio::test]
async fn rule_044_a_limit_met_while_reading_the_rules_is_told_as_one() {
    let limit = json!({ "message": "You have exceeded a secondary rate limit." });
    let canned = Canned::start(vec![("/rules/branches/main", 403, limit)]).await;
    assert!(matches!(canned.facts().await, Err(GitHubError::RateLimited { .. })));
}

#[tokio::test]
async fn rule_059_a_merge_instead_of_a_deployment_is_refused_in_githubs_words() {
    let canned = Canned::start(vec![("/deployments", 202, json!({ "message": "Auto-merged main into x" }))]).await;
    let error = canned.create().await.unwrap_err();
    let expected = "GitHub refused POST /repos/acme/shop/deployments with status 202: Auto-merged main into x";
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn rule_060_a_deployment_of_another_commit_is_told_with_its_id() {
    let other = "b".repeat(40);
    let canned = Canned::start(vec![("/deployments", 201, json!({ "id": 5_000_000_001_u64, "sha": other }))]).await;
    let error = canned.create().await.unwrap_err();
    assert!(matches!(error, GitHubError::WrongCommit { id: 5_000_000_001, .. }) && !error.is_temporary(), "{error}");
}

#[tokio::test]
async fn a_payload_that_comes_back_as_text_is_read() {
    let payload = json!({ "windlass_deployment": deployment().deployment }).to_string();
    let row =
        |id: u64, payload: Value| json!({ "id": id, "sha": commit(), "environment": "production", "payload": payload });
    let rows = json!([row(3, json!("")), row(2, json!(payload)), row(1, json!("no json"))]);
    let canned = Canned::start(vec![("/deployments", 200, rows)]).await;
    assert_eq!(canned.github.find_deployment(&project(), &deployment()).await.unwrap(), Some(2));
}

#[tokio::test]
async fn rule_021_a_renamed_branchs_successor_is_another_branch() {
    let successor = json!({ "name": "trunk", "commit": { "sha": commit() } });
    let canned = Canned::start(vec![("/branches/main", 200, successor)]).await;
    assert_eq!(canned.github.branch_head(&project(), "main").await.unwrap(), None);
}
