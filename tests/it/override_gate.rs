//! Past the gate: when a fix has to go out although CI is red or GitHub is down, and who answers for it.

use reqwest::Method;
use serde_json::{Value, json};
use windlass_core::api::DeploymentView;
use windlass_core::deployment::DeploymentState;
use windlass_core::plan::StepKind;
use windlass_testing::github::{CheckState, Conclusion, NewJob};

use crate::operate::{json as parsed, run};
use crate::order::{GREEN, register_light};
use crate::sign_in::Job;
use crate::world::{PATIENCE, World, stage_path};

const WHY: &str = "GitHub is down, and the checkout loses orders";

/// A token with these scopes.
async fn token(world: &World, name: &str, scopes: &str) -> String {
    let config = world.path("windlass-server.toml").display().to_string();
    let create = ["token", "create", "--config", &config, "--name", name, "--scopes", scopes, "--json"];
    let created = world.windlass(&create).output().await.unwrap();
    parsed(&String::from_utf8_lossy(&created.stdout))["token"].as_str().unwrap().to_owned()
}

async fn commit(world: &World, title: &str, state: CheckState) -> String {
    let commit = world.repository.push("main", title);
    world.repository.add_check_run_in(world.repository.add_check_suite(&commit, "some-ci"), "test", state);
    commit
}

/// The command with this token: its status, and what it said, its result first.
async fn windlass(world: &World, token: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = world.windlass(arguments).env("WINDLASS_TOKEN", token).output();
    let output = tokio::time::timeout(PATIENCE, output).await.expect("it ends in time").unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_admin_deploys_while_github_is_down_and_it_is_said_everywhere() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let red = commit(&world, "red", CheckState::Completed(Conclusion::Failure)).await;
    register_light(&world, &light, &stage_path(), &red).await;
    let admin = token(&world, "boss", "admin").await;
    world.github.go_down().await;
    let (code, said) = windlass(&world, &admin, &["deploy", "--override-gate", "--reason", WHY]).await;
    assert_eq!(code, Some(0), "{said}");
    let by = format!("the gate was overridden by boss: {WHY}");
    assert!(said.contains(&format!("warning: {by}")), "{said}");
    let deployment = world.deployments().await.remove(0);
    assert_eq!(deployment.state, DeploymentState::Succeeded);
    assert_eq!(json!(deployment.gate_override), json!({ "by": "boss", "reason": WHY }));
    let gate = deployment.steps.iter().find(|step| step.step == StepKind::Gate).unwrap();
    assert_eq!(gate.note.as_deref(), Some(by.as_str()));
    let page = reqwest::get(&deployment.url).await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("role=\"status\">{by}<")), "{page}");
    let log = world.request(Method::GET, &format!("/deployments/{}/log", deployment.id)).send().await.unwrap();
    assert!(log.text().await.unwrap().contains(&format!("gate: {by}")));
    let body = json!({ "override_gate": true, "reason": WHY });
    let plan: Value = world.post(&format!("{}/plan", stage_path()), &body).await;
    assert_eq!(plan["lines"][0], format!("gate: the gate was overridden by tester: {WHY}"), "{plan}");
    let audit = audit(&world).await;
    assert!(
        audit.contains(&("boss".to_owned(), "deployment.override_gate".to_owned(), format!("Deploy release 1: {WHY}"))),
        "{audit:?}"
    );

    world.github.come_up().await;
    let told = world.repository.until_status(&red, "success", PATIENCE).await.unwrap();
    assert_eq!(told.description, Some(format!("Deploy release 1; {by}")));
    let descriptions: Vec<&str> = told.statuses.iter().map(|it| it.description.as_str()).collect();
    assert_eq!(descriptions[0], format!("Deploy release 1: waiting for its turn; {by}"));
    assert!(descriptions.iter().all(|text| text.contains("; the gate was overridden by boss")), "{descriptions:?}");
}

/// Actor, action and detail.
async fn audit(world: &World) -> Vec<(String, String, String)> {
    use sqlx::Row;
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(world.path("data/windlass.db")).read_only(true);
    let store = sqlx::sqlite::SqlitePool::connect_with(options).await.unwrap();
    let rows = sqlx::query("SELECT actor, action, detail FROM audit ORDER BY id").fetch_all(&store).await.unwrap();
    rows.iter().map(|row| (row.get("actor"), row.get("action"), row.get("detail"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_an_admin_with_a_reason_overrides_the_gate() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let red = commit(&world, "red", CheckState::Completed(Conclusion::Failure)).await;
    let job = Job::start(&world, NewJob::dispatched(&red)).await;
    register_light(&world, &light, &stage_path(), &red).await;
    let path = format!("{}/deployments", stage_path());
    let refused = job.post(&path, &json!({ "override_gate": true, "reason": WHY })).await;
    assert_eq!((refused.status, &refused.body["code"]), (403, &json!("forbidden")), "{refused:?}");
    let admin = token(&world, "boss", "admin").await;
    let ask = async |token: &str, body: Value| {
        let url = format!("http://{}/api/v1{path}", world.service_address);
        let answer = reqwest::Client::new().post(url).bearer_auth(token).json(&body).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap()["code"].as_str().unwrap_or_default().to_owned())
    };
    let overrides = |reason: Value| json!({ "override_gate": true, "reason": reason });
    for (token, body, code) in [
        (&world.token, overrides(json!(WHY)), (403, "forbidden")),
        (&admin, overrides(Value::Null), (422, "reason_required")),
        (&admin, overrides(json!(" \n ")), (422, "reason_required")),
        (&admin, overrides(json!("é".repeat(501))), (422, "reason_too_long")),
        (&world.token, json!({ "reason": "é".repeat(501) }), (422, "reason_too_long")),
        (&admin, json!({ "kind": "rollback", "override_gate": true, "reason": WHY }), (422, "override_not_possible")),
    ] {
        let answer = ask(token, body.clone()).await;
        assert_eq!((answer.0, answer.1.as_str()), code, "{body}");
    }
    let wrong = run(&world, &["deploy", "--override-gate"]).await;
    assert_eq!(wrong.status.code(), Some(2), "{wrong:?}");
    assert!(world.deployments().await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_order_and_policy_hold_for_whoever_overrides_the_gate() {
    let world = World::start().await;
    let light = world.build(&[]).await;
    let admin = token(&world, "boss", "admin").await;
    let past = async |more: &[&str]| {
        windlass(&world, &admin, &[&["deploy", "--override-gate", "--reason", WHY], more].concat()).await
    };
    for title in ["first", "second"] {
        let commit = commit(&world, title, GREEN).await;
        register_light(&world, &light, &stage_path(), &commit).await;
    }
    assert_eq!(world.deploy("deploy", Some(2)).await.state, DeploymentState::Succeeded);
    // Order, also where only the numbers tell it.
    for down in [false, true] {
        if down {
            world.github.go_down().await;
        }
        let (code, said) = past(&["--release", "1"]).await;
        assert!(code == Some(3) && said.contains("is not newer than"), "{down}: {code:?} {said}");
        assert!(said.contains("`windlass rollback` goes back"), "{said}");
    }
    let taken = world.windlass(&["lock", "acquire", "--reason", "the auditors are here"]).output().await.unwrap();
    assert!(taken.status.success(), "{taken:?}");
    let (code, said) = past(&["--detach"]).await;
    assert_eq!(code, Some(0), "{said}");
    let id = world.deployments().await.remove(0).id.to_string();
    let locked = async {
        while world.get::<DeploymentView>(&format!("/deployments/{id}")).await.reason.as_deref() != Some("lock") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, locked).await.expect("it waits for the lock");
    let freed = world.windlass(&["lock", "release"]).output().await.unwrap();
    assert!(freed.status.success(), "{freed:?}");
    assert_eq!(world.until_ended(&id).await.state, DeploymentState::Succeeded, "what is active is deployed once more");

    world.github.come_up().await;
    let needs = commit(&world, "needs what is not there", GREEN).await;
    let config = "schema = 1\nport = 3000\nscale = 0\nsecrets = [\"NOT_THERE\"]\n";
    world.register(&needs, &light, config).await;
    let (code, said) = past(&[]).await;
    assert!(code != Some(0) && said.contains("NOT_THERE"), "{code:?} {said}");
}
