//! Who may do what: each address of the service, for each kind of asker.

mod askers;
mod routes;

use std::collections::{BTreeMap, BTreeSet};

use reqwest::Method;
use serde_json::{Value, json};
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::sign_in::Answer;
use crate::world::World;
use askers::{Asker, Askers, LAB, UNKNOWN};

/// What stands in the place of whoever asks.
const EVERYBODY: &[&str] = &[];
/// What GitHub signs is let in by its signature, or by its token: by nobody's token of ours.
const BY_ITSELF: &[&str] = &["nobody's token"];
const PEOPLE: &[&str] = &["reader", "registrar", "deployer", "admin"];
const HOSTS: &[&str] =
    &["reader", "registrar", "deployer", "admin", "token of another stage", "token of another project"];
const LOOK: &[&str] = &["job", "later job", "trusted job", "reader", "registrar", "deployer", "admin"];
const REGISTER: &[&str] = &["job", "later job", "trusted job", "registrar", "admin"];
const DEPLOY: &[&str] = &["job", "later job", "trusted job", "deployer", "admin"];
/// One job's deployment is none of another's.
const CANCEL: &[&str] = &["job", "trusted job", "deployer", "admin"];
const NAMED: &[&str] = &["trusted job", "deployer", "admin"];
/// A job reads what its own tasks wrote.
const TASK_LOG: &[&str] = &["trusted job", "reader", "registrar", "deployer", "admin"];
const CLEAN_UP: &[&str] = &["deployer", "admin"];

const S: &str = "/api/v1/projects/acme/shop/stages/{stage}";

/// Every address, and who is let in. Nobody else is: without a token they are told 401, with another one 403.
const TABLE: &[(&str, &str, &[&str])] = &[
    ("POST", "/webhooks/github", BY_ITSELF),
    ("GET", "/healthz", EVERYBODY),
    ("GET", "/readyz", EVERYBODY),
    // Whoever has the link may look: an id cannot be guessed.
    ("GET", "/deployments/{id}", EVERYBODY),
    ("GET", "/deployments/{id}/events", EVERYBODY),
    ("GET", "/deployments/{id}/log", EVERYBODY),
    ("GET", "/api/v1/version", EVERYBODY),
    ("GET", "/api/v1/openapi.json", EVERYBODY),
    ("POST", "/api/v1/auth/oidc", BY_ITSELF),
    ("GET", "/api/v1/hosts", HOSTS),
    ("GET", "S", LOOK),
    ("GET", "S/gate", LOOK),
    ("POST", "S/plan", PEOPLE),
    ("GET", "S/lock", LOOK),
    ("PUT", "S/lock", NAMED),
    ("GET", "S/apps/{app}/releases", LOOK),
    ("POST", "S/apps/{app}/releases", REGISTER),
    ("PUT", "S/apps/{app}/maintenance", CLEAN_UP),
    ("DELETE", "S/apps/{app}/maintenance", CLEAN_UP),
    ("GET", "S/deployments", LOOK),
    ("POST", "S/deployments", DEPLOY),
    ("GET", "/api/v1/deployments/{id}", LOOK),
    ("GET", "/api/v1/deployments/{id}/events", LOOK),
    ("GET", "/api/v1/deployments/{id}/log", LOOK),
    ("GET", "S/tasks", PEOPLE),
    ("POST", "S/tasks", NAMED),
    ("GET", "/api/v1/tasks/{id}/log", TASK_LOG),
    ("POST", "/api/v1/tasks/{id}/stop", NAMED),
    ("GET", "S/stale", PEOPLE),
    ("DELETE", "S/stale", CLEAN_UP),
    // Last: what they end, those above need.
    ("POST", "/api/v1/deployments/{id}/cancel", CANCEL),
    ("DELETE", "S/lock", NAMED),
    ("DELETE", "S/hold", NAMED),
];

fn written_out(path: &str) -> String {
    match path.strip_prefix('S') {
        Some(below) => format!("{S}{below}"),
        None => path.to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_104_every_route_of_the_service_stands_in_the_table_of_who_may() {
    let of_table: BTreeSet<(String, String)> = TABLE
        .iter()
        .map(|(method, path, _)| ((*method).to_owned(), written_out(path).replace("acme/shop", "{owner}/{repository}")))
        .collect();
    assert_eq!(of_table.len(), TABLE.len(), "a route stands in it twice");
    let world = World::start().await;
    assert_eq!(of_table, routes::of_the_service(&world).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_104_each_route_lets_in_whom_the_table_names_and_nobody_else() {
    let world = World::start_with(&askers::config()).await;
    let askers = Askers::prepare(&world).await;
    let mut wrong = Vec::new();
    for (method, path, who) in TABLE {
        for asker in askers.all() {
            let answer = ask(&world, &askers, asker, method, path).await;
            let expected = match (*who, asker.token.is_some()) {
                (EVERYBODY, _) => None,
                (BY_ITSELF, _) => Some(401),
                (who, _) if who.contains(&asker.name) => None,
                (_, true) if asker.name != UNKNOWN => Some(403),
                (_, _) => Some(401),
            };
            let let_in = !matches!(answer, 401 | 403 | 500..);
            if expected.map_or(!let_in, |status| status != answer) {
                wrong.push(format!("{method} {path}: {} was answered {answer}", asker.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn ask(world: &World, askers: &Askers, asker: &Asker, method: &str, path: &str) -> u16 {
    let (deployment, task) = &askers.has[asker.stage];
    let id = if path.contains("/tasks/") { task } else { deployment };
    let url = written_out(path).replace("{stage}", asker.stage).replace("{app}", "default").replace("{id}", id);
    let body = match (method, path) {
        ("PUT", "S/lock") => json!({ "reason": "a freeze" }),
        ("PUT", "S/apps/{app}/maintenance") => json!({ "message": "soon" }),
        ("POST", "S/apps/{app}/releases") => askers.release.clone(),
        ("POST", "S/deployments" | "S/plan") => json!({ "releases": { "default": 1 } }),
        ("POST", "S/tasks") => json!({ "release": 1, "command": ["/sample-app", "--help"] }),
        ("POST", "/api/v1/auth/oidc") => json!({ "token": "a.b.c", "project": "acme/shop", "stage": asker.stage }),
        _ => Value::Null,
    };
    let query = if path == "S/gate" { format!("?commit={}", askers.commit) } else { String::new() };
    let method: Method = method.parse().unwrap();
    let request = reqwest::Client::new().request(method, format!("http://{}{url}{query}", world.service_address));
    let request = if body.is_null() { request } else { request.json(&body) };
    let request = asker.token.iter().fold(request, |request, token| request.bearer_auth(token));
    // What streams has no end of its own: the head says it.
    request.send().await.unwrap().status().as_u16()
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_104_a_jobs_task_is_of_a_commit_that_the_gate_lets_pass_on_a_stage_that_nobody_has_locked() {
    let world = World::start_with(&askers::config()).await;
    let image = world.build(&[]).await;
    let commit = world.repository.head("main");
    let job = askers::sign_in(&world, "acme/shop", LAB, &world.repository.start_job(NewJob::on_push(&commit))).await;
    let by_job = |path: String, body: Value| askers::send(&world, Method::POST, path, Some(&job), body);
    let stage = format!("/api/v1/projects/acme/shop/stages/{LAB}");
    let release = json!({ "commit": commit, "digest": image, "config": askers::CONFIG });
    assert_eq!(by_job(format!("{stage}/apps/default/releases"), release).await.status, 201);
    let run = || by_job(format!("{stage}/tasks"), json!({ "release": 1, "command": ["/sample-app", "--help"] }));
    let refused_as = |answer: Answer, why: &str| {
        let said = answer.body["title"].as_str().unwrap_or_default().to_owned();
        assert_eq!((answer.status, &answer.body["code"]), (403, &json!("policy_refused")), "{answer:?}");
        assert!(said.contains(why), "{why}: {answer:?}");
    };

    let check = world.repository.add_check_run(&commit, "test", CheckState::InProgress);
    refused_as(run().await, "waiting");
    world.repository.complete_check_run(check, Conclusion::Failure);
    refused_as(run().await, "blocked: test failed");
    let person = json!({ "release": 1, "command": ["/sample-app", "--help"] });
    let by_person = askers::send(&world, Method::POST, format!("{stage}/tasks"), Some(&world.token), person).await;
    assert_eq!(by_person.status, 202, "{by_person:?}");

    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    let lock = |method| {
        askers::send(&world, method, format!("{stage}/lock"), Some(&world.token), json!({ "reason": "a freeze" }))
    };
    assert_eq!(lock(Method::PUT).await.status, 200);
    refused_as(run().await, "a freeze");
    assert_eq!(lock(Method::DELETE).await.status, 204);
    let started = run().await;
    assert_eq!(started.status, 202, "{started:?}");

    world.repository.force_push("main", "another history");
    refused_as(run().await, "main");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_104_a_job_takes_no_lock_away_but_its_own_runs() {
    let world = World::start_with(&askers::config()).await;
    let commit = world.repository.head("main");
    let path = format!("/api/v1/projects/acme/shop/stages/{LAB}/lock");
    let first = world.repository.start_job(NewJob::on_push(&commit));
    let (mut jobs, runs) = (
        BTreeMap::new(),
        [
            ("first", first.clone()),
            ("again", first.again()),
            ("other", world.repository.start_job(NewJob::dispatched(&commit))),
        ],
    );
    for (name, job) in runs {
        jobs.insert(name, askers::sign_in(&world, "acme/shop", LAB, &job).await);
    }
    let change = |method: Method, token: &str, condition: Option<(&'static str, String)>| {
        let url = format!("http://{}{path}", world.service_address);
        let request = reqwest::Client::new().request(method, url).bearer_auth(token).json(&json!({ "reason": "x" }));
        condition.into_iter().fold(request, |request, (name, value)| request.header(name, value)).send()
    };
    let etag = |answer: &reqwest::Response| answer.headers()["etag"].to_str().unwrap().to_owned();

    let of_person = etag(&change(Method::PUT, &world.token, None).await.unwrap());
    for (method, condition) in [
        (Method::DELETE, None),
        (Method::DELETE, Some(("if-match", of_person.clone()))),
        (Method::DELETE, Some(("if-match", "*".to_owned()))),
        (Method::PUT, None),
        (Method::PUT, Some(("if-match", of_person.clone()))),
        (Method::PUT, Some(("if-none-match", "*".to_owned()))),
    ] {
        let answer = change(method.clone(), &jobs["first"], condition.clone()).await.unwrap();
        assert_eq!(answer.status(), 403, "{method} {condition:?}");
    }
    assert_eq!(change(Method::DELETE, &world.token, Some(("if-match", of_person))).await.unwrap().status(), 204);

    let of_job = etag(&change(Method::PUT, &jobs["first"], None).await.unwrap());
    let is_it = || Some(("if-match", of_job.clone()));
    assert_eq!(change(Method::DELETE, &jobs["other"], is_it()).await.unwrap().status(), 403, "another run's");
    assert_eq!(change(Method::DELETE, &jobs["again"], None).await.unwrap().status(), 428, "it must say which");
    assert_eq!(change(Method::DELETE, &world.token, None).await.unwrap().status(), 428, "somebody else's lock");
    assert_eq!(change(Method::DELETE, &jobs["again"], is_it()).await.unwrap().status(), 204, "the same run's");
}
