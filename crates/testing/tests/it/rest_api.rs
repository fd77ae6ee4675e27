use reqwest::Method;
use serde_json::json;
use windlass_testing::FakeGitHub;
use windlass_testing::github::{CheckState, CommitState, Conclusion};

use crate::{PATIENCE, answer, client, get, post, request};

#[tokio::test]
async fn lists_come_in_pages_whose_links_lead_through_all_of_them() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.push("main", "Sell things");
    for number in 0..120 {
        shop.add_check_run(&sha, &format!("check-{number}"), CheckState::Queued);
    }
    let mut next = Some(format!("{}/repos/acme/shop/commits/main/check-runs?per_page=50", github.url()));
    let mut sizes = Vec::new();
    while let Some(url) = next.take() {
        let response = client().get(url).bearer_auth(github.token()).send().await.unwrap();
        next = link(&response, "next");
        let body: serde_json::Value = response.json().await.unwrap();
        assert_eq!(body["total_count"], 120);
        sizes.push(body["check_runs"].as_array().unwrap().len());
    }
    assert_eq!(sizes, [50, 50, 20]);

    let (_, default) = get(&github, "/repos/acme/shop/commits/main/check-runs").await;
    assert_eq!(default["check_runs"].as_array().unwrap().len(), 30);
    let (_, too_many) = get(&github, "/repos/acme/shop/commits/main/check-runs?per_page=1000").await;
    assert_eq!(too_many["check_runs"].as_array().unwrap().len(), 100);
    let (_, behind) = get(&github, "/repos/acme/shop/commits/main/check-runs?page=9").await;
    assert_eq!(behind["check_runs"], json!([]));
}

fn link(response: &reqwest::Response, relation: &str) -> Option<String> {
    let header = response.headers().get("link")?.to_str().unwrap();
    let (url, _) = header
        .split(", ")
        .filter_map(|part| part.split_once(">; rel="))
        .find(|(_, rel)| rel.trim_matches('"') == relation)?;
    Some(url.trim_start_matches('<').to_owned())
}

#[tokio::test]
async fn a_deployment_is_refused_while_a_context_is_not_green_unless_the_client_says_otherwise() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.push("main", "Sell things");
    shop.set_status(&sha, "lint", CommitState::Success);
    let run = shop.add_check_run(&sha, "test", CheckState::InProgress);

    let (status, refusal) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": sha })).await;
    assert_eq!(status, 409);
    assert_eq!(refusal["errors"][0]["field"], "required_contexts");
    assert_eq!(refusal["errors"][0]["contexts"], json!([{ "context": "test", "state": "pending" }]));
    let only_lint = json!({ "ref": sha, "required_contexts": ["lint"] });
    assert_eq!(post(&github, "/repos/acme/shop/deployments", only_lint).await.0, 201);
    let none = json!({ "ref": sha, "required_contexts": [] });
    assert_eq!(post(&github, "/repos/acme/shop/deployments", none).await.0, 201);

    shop.complete_check_run(run, Conclusion::Skipped);
    assert_eq!(post(&github, "/repos/acme/shop/deployments", json!({ "ref": sha })).await.0, 409);
    shop.complete_check_run(run, Conclusion::Success);
    assert_eq!(post(&github, "/repos/acme/shop/deployments", json!({ "ref": sha })).await.0, 201);
    assert_eq!(shop.deployments().len(), 3);
}

#[tokio::test]
async fn a_ref_behind_the_default_branch_is_merged_into_instead_of_deployed() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let feature = shop.push("feature", "Add a cart");
    shop.push("main", "Something else");

    let (status, answer) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": feature })).await;
    assert_eq!((status, &answer["message"]), (409, &json!(format!("Conflict merging main into {feature}."))));
    let (status, answer) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": "feature" })).await;
    assert_eq!((status, &answer["message"]), (202, &json!("Auto-merged main into feature on deployment.")));
    assert_ne!(shop.head("feature"), feature);
    assert_eq!(shop.deployments(), []);
    let asked = json!({ "ref": feature, "auto_merge": false });
    assert_eq!(post(&github, "/repos/acme/shop/deployments", asked).await.0, 201);
}

#[tokio::test]
async fn a_deployment_keeps_what_it_was_told_and_defaults_to_production() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.push("main", "Sell things");
    let (_, plain) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": "main" })).await;
    assert_eq!(plain["environment"], "production");
    assert_eq!((&plain["production_environment"], &plain["task"]), (&json!(true), &json!("deploy")));
    assert!(plain["id"].as_u64().unwrap() > u64::from(u32::MAX));
    let preview = json!({
        "ref": sha, "environment": "pr-1", "transient_environment": true, "payload": { "release": 3 }
    });
    post(&github, "/repos/acme/shop/deployments", preview).await;

    let (_, newest_first) = get(&github, "/repos/acme/shop/deployments").await;
    assert_eq!(newest_first[0]["environment"], "pr-1");
    let (_, filtered) = get(&github, "/repos/acme/shop/deployments?environment=production").await;
    assert_eq!(filtered.as_array().unwrap().len(), 1);
    let record = &shop.deployments()[1];
    assert_eq!((record.transient, record.production, &record.payload), (true, false, &json!({ "release": 3 })));

    let unknown = json!({ "ref": "0123456789012345678901234567890123456789" });
    assert_eq!(post(&github, "/repos/acme/shop/deployments", unknown).await.0, 422);
    assert_eq!(post(&github, "/repos/acme/shop/deployments", json!({})).await.0, 422);
}

#[tokio::test]
async fn statuses_are_checked_as_github_checks_them() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let (_, deployment) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": "main" })).await;
    let path = format!("/repos/acme/shop/deployments/{}/statuses", deployment["id"]);
    let refused = [
        json!({}),
        json!({ "state": "succeeded" }),
        json!({ "state": "success", "description": "é".repeat(141) }),
        json!({ "state": "success", "log_url": "deploy.example.com/1" }),
        json!({ "state": "success", "environment_url": "javascript:alert(1)" }),
    ];
    for status in refused {
        assert_eq!(post(&github, &path, status.clone()).await.0, 422, "{status}");
    }
    let taken =
        json!({ "state": "success", "description": "é".repeat(140), "log_url": "https://deploy.example.com/1" });
    assert_eq!(post(&github, &path, taken).await.0, 201);
    assert_eq!(post(&github, "/repos/acme/shop/deployments/7/statuses", json!({ "state": "error" })).await.0, 404);
    assert_eq!(shop.deployments()[0].states(), ["success"]);
    assert_eq!(shop.deployments()[0].statuses[0].log_url, "https://deploy.example.com/1");
}

#[tokio::test]
async fn a_success_retires_what_was_before_except_in_production() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    for environment in ["staging", "production", "staging", "production"] {
        let asked = json!({ "ref": "main", "environment": environment });
        let (_, deployment) = post(&github, "/repos/acme/shop/deployments", asked).await;
        let path = format!("/repos/acme/shop/deployments/{}/statuses", deployment["id"]);
        assert_eq!(post(&github, &path, json!({ "state": "success" })).await.0, 201);
    }
    let states: Vec<_> = shop.deployments().iter().map(|it| it.states().join(" ")).collect();
    assert_eq!(states, ["success inactive", "success", "success", "success"]);
    assert!(shop.deployments()[0].statuses[1].automatic);
}

#[tokio::test]
async fn waiting_for_a_status_ends_when_it_is_written() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.head("main");
    let (_, deployment) = post(&github, "/repos/acme/shop/deployments", json!({ "ref": sha })).await;
    let path = format!("/repos/acme/shop/deployments/{}/statuses", deployment["id"]);
    let (found, _) =
        tokio::join!(shop.until_status(&sha, "queued", PATIENCE), post(&github, &path, json!({ "state": "queued" })));
    assert_eq!(found.unwrap().state(), Some("queued"));
    let error = shop.until_status(&sha, "success", std::time::Duration::from_millis(1)).await.unwrap_err();
    assert!(error.to_string().contains("queued"), "{error}");
}

#[tokio::test]
async fn commits_are_compared_by_their_history() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let base = shop.head("main");
    let main = shop.push("main", "On");
    let number = {
        shop.push("feature/cart", "Aside");
        shop.open_pull_request("feature/cart")
    };
    shop.push("main", "And on");
    for (range, status, ahead, behind) in [
        (format!("{base}...main"), "ahead", 2, 0),
        (format!("main...{base}"), "behind", 0, 2),
        ("main...main".to_owned(), "identical", 0, 0),
        ("main...feature%2Fcart".to_owned(), "diverged", 1, 1),
    ] {
        let (_, comparison) = get(&github, &format!("/repos/acme/shop/compare/{range}")).await;
        let found = (&comparison["status"], &comparison["ahead_by"], &comparison["behind_by"]);
        assert_eq!(found, (&json!(status), &json!(ahead), &json!(behind)), "{range}");
    }
    let (_, diverged) = get(&github, "/repos/acme/shop/compare/main...feature/cart").await;
    assert_eq!(diverged["merge_base_commit"]["sha"], json!(main));
    let merge = shop.merge_pull_request(number);
    let (_, merged) = get(&github, "/repos/acme/shop/commits/heads/main").await;
    assert_eq!(merged["sha"], json!(merge));
    assert_eq!(merged["parents"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn the_combined_status_knows_nothing_of_check_runs() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.head("main");
    shop.add_check_run(&sha, "test", CheckState::Completed(Conclusion::Success));
    let path = format!("/repos/acme/shop/commits/{sha}/status");
    let (_, none) = get(&github, &path).await;
    assert_eq!((&none["state"], &none["total_count"]), (&json!("pending"), &json!(0)));
    shop.set_status(&sha, "Lint", CommitState::Failure);
    shop.set_status(&sha, "lint", CommitState::Success);
    let (_, latest) = get(&github, &path).await;
    assert_eq!((&latest["state"], &latest["total_count"]), (&json!("success"), &json!(1)));
    let (_, all) = get(&github, &format!("/repos/acme/shop/commits/{sha}/statuses")).await;
    assert_eq!(all.as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_second_try_of_a_check_hides_the_first_and_a_suite_stands_as_its_runs_do() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let sha = shop.head("main");
    let suite = shop.add_check_suite(&sha, "github-actions");
    shop.add_check_suite(&sha, "some-app");
    shop.add_check_run_in(suite, "test", CheckState::Completed(Conclusion::Failure));
    let again = shop.add_check_run_in(suite, "test", CheckState::Queued);
    let suites = async |which: usize| {
        let (_, list) = get(&github, &format!("/repos/acme/shop/commits/{sha}/check-suites")).await;
        let suite = &list["check_suites"][which];
        (suite["status"].clone(), suite["conclusion"].clone(), suite["latest_check_runs_count"].clone())
    };
    assert_eq!(suites(0).await, (json!("queued"), json!(null), json!(1)));
    shop.complete_check_run(again, Conclusion::Success);
    assert_eq!(suites(0).await, (json!("completed"), json!("success"), json!(1)));
    assert_eq!(suites(1).await, (json!("queued"), json!(null), json!(0)));
    let runs = format!("/repos/acme/shop/commits/{sha}/check-runs");
    assert_eq!(get(&github, &runs).await.1["total_count"], 1);
    assert_eq!(get(&github, &format!("{runs}?filter=all")).await.1["total_count"], 2);
    assert_eq!(get(&github, &format!("{runs}?check_name=lint")).await.1["total_count"], 0);
}

#[tokio::test]
async fn required_checks_come_from_rulesets_and_from_classic_protection() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let classic = "/repos/acme/shop/branches/main/protection/required_status_checks";
    assert_eq!(get(&github, "/repos/acme/shop/rules/branches/main").await.1, json!([]));
    assert_eq!(get(&github, classic).await.0, 404);
    shop.require_checks("main", &["test"]);
    shop.protect_branch("main", &["lint"]);
    let (_, rules) = get(&github, "/repos/acme/shop/rules/branches/main").await;
    assert_eq!(rules[0]["parameters"]["required_status_checks"], json!([{ "context": "test" }]));
    assert_eq!(get(&github, classic).await.1["contexts"], json!(["lint"]));
}

#[tokio::test]
async fn a_wrong_token_gets_401_and_what_is_not_there_404_and_both_are_on_record() {
    let github = FakeGitHub::start().await;
    let shop = github.add_repository("acme/shop");
    let wrong = client().get(format!("{}/repos/acme/shop", github.url())).bearer_auth("wrong");
    let (status, body) = answer(wrong).await;
    assert_eq!((status, &body["message"]), (401, &json!("Bad credentials")));
    let (status, body) = get(&github, "/repos/acme/shop/actions/workflows?page=2").await;
    assert_eq!((status, &body["message"]), (404, &json!("Not Found")));
    assert_eq!(get(&github, "/repos/acme/nothing").await.0, 404);
    assert_eq!(get(&github, &format!("/repositories/{}", shop.id())).await.1["full_name"], "acme/shop");
    let record: Vec<_> = github.requests().into_iter().map(|it| (it.path, it.query, it.status)).collect();
    assert_eq!(record[0], ("/repos/acme/shop".to_owned(), String::new(), 401));
    assert_eq!(record[1], ("/repos/acme/shop/actions/workflows".to_owned(), "page=2".to_owned(), 404));
}

#[tokio::test]
async fn an_app_signs_in_with_a_jwt_and_gets_a_token_that_can_expire() {
    let github = FakeGitHub::start().await;
    let _shop = github.add_repository("acme/shop");
    let now = jiff::Timestamp::now().as_second();
    let path = format!("/app/installations/{}/access_tokens", FakeGitHub::INSTALLATION_ID);
    let ask = async |token: &str| answer(client().post(format!("{}{path}", github.url())).bearer_auth(token)).await;
    assert_eq!(ask(github.token()).await.0, 401);
    assert_eq!(ask(&jwt(now - 60, now + 3600)).await.0, 401);
    assert_eq!(ask(&jwt(now - 700, now - 100)).await.0, 401);
    let (status, body) = ask(&jwt(now - 60, now + 540)).await;
    assert_eq!(status, 201);
    let token = body["token"].as_str().unwrap();
    let read = async || {
        let request = request(&github, Method::GET, "/repos/acme/shop");
        let (client, request) = request.build_split();
        let mut request = request.unwrap();
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        client.execute(request).await.unwrap().status().as_u16()
    };
    assert_eq!(read().await, 200);
    github.expire_tokens();
    assert_eq!(read().await, 401);
}

/// Signed by nobody: whose key it would be the stand-in does not know.
fn jwt(issued: i64, expires: i64) -> String {
    use base64::Engine as _;
    let part = |value: serde_json::Value| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(value.to_string());
    let head = part(json!({ "alg": "RS256", "typ": "JWT" }));
    format!("{head}.{}.c2lnbmVk", part(json!({ "iss": 1, "iat": issued, "exp": expires })))
}
