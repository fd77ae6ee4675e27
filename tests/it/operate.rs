//! What people do from their terminal, against a service that runs.

use std::process::Output;

use windlass_core::deployment::DeploymentState;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{PATIENCE, World};

pub(crate) async fn run(world: &World, arguments: &[&str]) -> Output {
    let command = world.windlass(arguments).output();
    tokio::time::timeout(PATIENCE, command).await.expect("it ends in time").unwrap()
}

/// Its standard output; panics when it did not end with 0.
pub(crate) async fn done(world: &World, arguments: &[&str]) -> String {
    let output = run(world, arguments).await;
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(output.status.success(), "windlass {arguments:?}: {}\n{out}\n{error}", output.status);
    out
}

pub(crate) fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// A world with two releases: the first serves, the second is only registered.
async fn two_releases() -> World {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let first = world.merge("first");
    world.repository.add_check_run(&first, "test", CheckState::Completed(Conclusion::Success));
    world.register(&first, &image, &world.config()).await;
    world.repository.until_status(&first, "success", PATIENCE).await.unwrap();
    let second = world.build(&[("SAMPLE_VERSION", "2")]).await;
    let commit = world.repository.push("main", "pushed, not merged");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    crate::world::write(&world.path("windlass.toml"), &world.config());
    let registered =
        done(&world, &["release", "create", "--commit", &commit, "--digest", second.as_str(), "--json"]).await;
    assert_eq!(json(&registered)["number"], 2);
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_are_listed_planned_deployed_and_rolled_back() {
    let world = two_releases().await;
    let list = done(&world, &["release", "list"]).await;
    let lines: Vec<&str> = list.lines().collect();
    assert!(lines[0].contains("DIGEST") && lines[0].contains("LAST DEPLOYMENT"), "{list}");
    let whole = json(&done(&world, &["release", "list", "--json"]).await);
    let digest = whole["items"][1]["digest"].as_str().unwrap();
    assert!(lines[2].contains(&digest[7..19]) && !lines[2].contains(&digest[7..20]), "{list}");
    assert!(lines[2].contains("active") && lines[2].contains("succeeded "), "{list}");
    assert!(whole["items"][0]["last_deployment"].is_null(), "{whole}");
    assert_eq!(whole["items"][1]["last_deployment"]["state"], "succeeded", "{whole}");

    let plan = done(&world, &["plan"]).await;
    for line in
        ["prepare: ", "boot: start 1 task of default/web on a", "switch: send shop.example.com/ on a to release 2"]
    {
        assert!(plan.contains(line), "{plan}");
    }
    assert!(world.answer().await.starts_with("release 1 "), "a plan does nothing");

    let deployed = done(&world, &["deploy", "--reason", "we want it", "--json"]).await;
    let deployed = json(&deployed);
    assert_eq!((&deployed["state"], &deployed["given_reason"]), (&"succeeded".into(), &"we want it".into()));
    assert!(world.answer().await.starts_with("release 2 "));
    let page = reqwest::get(deployed["url"].as_str().unwrap()).await.unwrap().text().await.unwrap();
    assert!(page.contains("we want it"), "{page}");
    let told = world.repository.deployments();
    assert!(told.iter().any(|it| it.description.as_deref().is_some_and(|it| it.ends_with("release 2; we want it"))));

    let status = done(&world, &["status", "--json"]).await;
    assert_eq!(json(&status)["apps"]["default"]["active"], 2);
    let why = done(&world, &["status", "--why"]).await;
    assert!(why.contains("test"), "{why}");

    let two = run(&world, &["rollback", "1", "--release", "2"]).await;
    assert_eq!(two.status.code(), Some(2), "{two:?}");
    assert!(String::from_utf8_lossy(&two.stderr).contains("two releases are given"), "{two:?}");
    done(&world, &["rollback", "1", "--release", "1"]).await;
    let list = done(&world, &["release", "list"]).await;
    assert!(list.lines().nth(2).unwrap().contains("rollback succeeded "), "{list}");
    assert!(world.answer().await.starts_with("release 1 "));
    done(&world, &["release", "activate", "2"]).await;
    done(&world, &["rollback", "--release", "default=1"]).await;
    assert!(world.answer().await.starts_with("release 1 "));
    done(&world, &["hold", "lift"]).await;
    done(&world, &["release", "activate", "2"]).await;
    assert!(world.answer().await.starts_with("release 2 "));
    assert_eq!(run(&world, &["deploy", "--release", "99"]).await.status.code(), Some(1));
    assert_eq!(run(&world, &["cancel"]).await.status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_cannot_deploy_what_is_red() {
    let world = World::start().await;
    let image = world.build(&[]).await;
    let commit = world.repository.push("main", "red");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Failure));
    world.register(&commit, &image, &world.config()).await;
    let refused = run(&world, &["deploy"]).await;
    assert_eq!(refused.status.code(), Some(3), "{refused:?}");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("test"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_off_task_streams_its_log_and_ends_with_its_own_status() {
    let world = two_releases().await;
    let echoed = done(&world, &["task", "run", "--release", "2", "--", "echo", "hello from an inactive release"]).await;
    assert!(echoed.contains("hello from an inactive release"), "{echoed}");
    let failed = run(&world, &["task", "run", "--", "exit", "42"]).await;
    assert_eq!(failed.status.code(), Some(42), "{failed:?}");
    let environment = done(&world, &["task", "run", "--release", "2", "--", "print-env", "WINDLASS_RELEASE"]).await;
    assert_eq!(environment.trim(), "2");
    let detached = done(&world, &["task", "run", "--detach", "--json", "--", "sleep", "60000"]).await;
    let id = json(&detached)["id"].as_str().unwrap().to_owned();
    let listed = done(&world, &["task", "list", "--json"]).await;
    assert!(listed.contains(&id), "{listed}");
    done(&world, &["task", "stop", &id]).await;
    let not_run = run(&world, &["task", "run", "--release", "99", "--", "echo"]).await;
    assert_eq!(not_run.status.code(), Some(125), "{not_run:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_and_their_logs_are_shown() {
    let world = two_releases().await;
    let table = done(&world, &["app", "ps"]).await;
    for column in [
        "ID",
        "ROLE",
        "RELEASE",
        "LAST STATUS",
        "HEALTH",
        "STARTED",
        "STOPPED",
        "RUNNING",
        "HEALTHY",
        "active",
        "desired",
        "pending",
    ] {
        assert!(table.contains(column), "{column} in\n{table}");
    }
    let tasks = json(&done(&world, &["app", "ps", "--json"]).await);
    assert!(tasks.to_string().contains("RUNNING"), "{tasks}");
    let log = done(&world, &["app", "logs", "--lines", "50"]).await;
    assert!(log.contains("listening on"), "{log}");
    let none = done(&world, &["app", "logs", "--since", "1s"]).await;
    assert!(!none.contains("listening on"), "{none}");

    let mut follow = world.windlass(&["app", "logs", "--follow"]).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut lines = tokio::io::BufReader::new(follow.stdout.take().unwrap());
    let mut line = String::new();
    let read = tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut line);
    tokio::time::timeout(PATIENCE, read).await.unwrap().unwrap();
    assert!(!line.is_empty());
    follow.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_made_listed_and_ended_beside_a_running_service() {
    let world = World::start().await;
    let config = world.path("windlass-server.toml").display().to_string();
    let token = ["token", "create", "--config", &config, "--name", "reader", "--scopes", "read", "--json"];
    let created = json(&done(&world, &token).await);
    let value = created["token"].as_str().unwrap().to_owned();
    let with = |value: &str, path: &str, method: reqwest::Method| {
        let url = format!("http://{}/api/v1{path}", world.service_address);
        reqwest::Client::new().request(method, url).bearer_auth(value).json(&serde_json::json!({})).send()
    };
    let stage = crate::world::stage_path();
    assert_eq!(with(&value, &stage, reqwest::Method::GET).await.unwrap().status(), 200);
    let deployments = format!("{stage}/deployments");
    assert_eq!(with(&value, &deployments, reqwest::Method::POST).await.unwrap().status(), 403);
    assert_eq!(with("wnd_nonsense", &stage, reqwest::Method::GET).await.unwrap().status(), 401);

    let list = done(&world, &["token", "list", "--config", &config]).await;
    assert!(list.contains("reader") && !list.contains(&value), "{list}");
    let stored = std::fs::read(world.path("data").join("windlass.db")).unwrap();
    assert!(!String::from_utf8_lossy(&stored).contains(&value), "only its hash is kept");
    let tokens = json(&done(&world, &["token", "list", "--config", &config, "--json"]).await);
    let id = tokens.as_array().unwrap().iter().find(|token| token["name"] == "reader").unwrap()["id"].to_string();
    done(&world, &["token", "revoke", "--config", &config, &id]).await;
    assert_eq!(with(&value, &stage, reqwest::Method::GET).await.unwrap().status(), 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_doctor_finds_everything_well_on_a_server_that_is() {
    let world = World::start().await;
    crate::world::write(&world.path("windlass.toml"), &world.config());
    let config = world.path("windlass-server.toml").display().to_string();
    let report = done(&world, &["doctor", "--config", &config]).await;
    for found in ["gateway of a", "project acme/shop", "host a"] {
        assert!(report.contains(found), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commit_again_is_the_same_release_and_another_image_for_it_a_conflict() {
    let world = two_releases().await;
    let commit = world.repository.head("main");
    let list = json(&done(&world, &["release", "list", "--json"]).await);
    let releases = list.as_array().or_else(|| list["items"].as_array()).unwrap();
    let image = releases.iter().find(|release| release["number"] == 2).unwrap()["digest"].as_str().unwrap();
    let again = ["release", "create", "--commit", &commit, "--digest", image, "--json"];
    assert_eq!(json(&done(&world, &again).await)["number"], 2);
    let other = world.build(&[("SAMPLE_VERSION", "other")]).await;
    let conflict = run(&world, &["release", "create", "--commit", &commit, "--digest", other.as_str()]).await;
    assert_eq!(conflict.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&conflict.stderr).contains("registered already"), "{conflict:?}");
    let rebuilt =
        done(&world, &["release", "create", "--commit", &commit, "--digest", other.as_str(), "--rebuild", "--json"])
            .await;
    assert_eq!(json(&rebuilt)["number"], 3);
    let all = world.deployments().await;
    assert!(all.iter().all(|deployment| deployment.state == DeploymentState::Succeeded), "{all:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_stage_waits_and_says_for_whom_until_that_lock_is_released() {
    let world = two_releases().await;
    let path = format!("{}/lock", crate::world::stage_path());
    let lock = |header: &'static str, value: String| {
        let request = world.request(reqwest::Method::PUT, &path).header(header, value);
        request.json(&serde_json::json!({ "reason": "the auditors are here" })).send()
    };
    let taken = lock("if-none-match", "*".to_owned()).await.unwrap();
    assert_eq!(taken.status(), 200);
    let etag = taken.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(lock("if-none-match", "*".to_owned()).await.unwrap().status(), 412);
    assert_eq!(lock("if-match", "\"another\"".to_owned()).await.unwrap().status(), 412);

    let started = json(&done(&world, &["deploy", "--detach", "--json"]).await);
    let id = started["id"].as_str().unwrap();
    world.repository.until_deployment(|it| it.state() == Some("queued"), PATIENCE).await.unwrap();
    let status = loop {
        let status = json(&done(&world, &["status", "--json"]).await);
        if status["deployment"]["reason"] == "lock" {
            break status;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    };
    assert!(status["deployment"]["why"].as_str().unwrap().contains("the auditors are here"), "{status}");
    let release = world.request(reqwest::Method::DELETE, &path).header("if-match", etag).send().await.unwrap();
    assert_eq!(release.status(), 204);
    assert_eq!(world.until_ended(id).await.state, DeploymentState::Succeeded);
}
