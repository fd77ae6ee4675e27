//! Commands that follow what the service does: deployments and one-off tasks.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};

use super::Place;
use super::service::{self, Service};

const ID: &str = "0123456789abcdef";

fn deployment(state: &str) -> Value {
    json!({
        "id": ID, "project": "acme/shop", "stage": "production", "kind": "deploy", "state": state,
        "releases": { "default": 13 }, "commit": "3f786850e387550fdab836ed7e6dc881de23001b", "requested_by": "anna",
        "created_at": "2026-01-31T12:00:00Z", "url": format!("https://deploy.example.com/deployments/{ID}"),
        "environment_url": "https://shop.example.com", "steps": [],
    })
}

fn failure() -> Value {
    json!({ "code": "unhealthy", "summary": "web is not healthy after 60s", "hint": "look at its log",
            "log": ["cannot reach the database"] })
}

fn event(seq: u64, text: &str, body: Value) -> (u64, Value) {
    let at = format!("2026-01-31T12:00:0{seq}Z");
    (seq, json!({ "seq": seq, "at": at, "type": "event", "body": body, "text": text }))
}

fn log(seq: u64, line: &str) -> (u64, Value) {
    let at = format!("2026-01-31T12:00:0{seq}Z");
    (seq, json!({ "seq": seq, "at": at, "type": "log", "source": "web-1", "line": line }))
}

/// A service on which a deployment ends like this. The first connection to its events breaks off.
fn deploying(outcome: &'static str, failure: Option<Value>) -> Service {
    let ended = AtomicBool::new(false);
    Service::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/projects/acme/shop/stages/production/deployments") => {
            service::json(202, &deployment("waiting").to_string())
        }
        ("GET", "/api/v1/deployments/0123456789abcdef/events") => match request.header("last-event-id") {
            None => service::events(&[
                event(1, "planned 2 steps", json!({ "event": "planned", "steps": 2, "switch": 1, "retire": 1 })),
                event(2, "verify: web is healthy", json!({ "event": "step_started", "step": 0 })),
                log(3, "starting up"),
            ]),
            Some("3") => {
                ended.store(true, Ordering::Relaxed);
                let last = json!({ "event": "ended", "outcome": outcome, "failure": failure });
                service::events(&[log(3, "starting up"), event(4, &format!("it {outcome}"), last)])
            }
            Some(other) => service::json(400, &json!({ "asked_after": other }).to_string()),
        },
        ("GET", "/api/v1/deployments/0123456789abcdef") if ended.load(Ordering::Relaxed) => {
            let mut view = deployment(outcome);
            view["failure"] = json!(failure);
            service::json(200, &view.to_string())
        }
        ("GET", "/api/v1/deployments/0123456789abcdef") => service::json(200, &deployment("running").to_string()),
        _ => service::json(404, r#"{ "status": 404, "code": "not_found", "title": "nothing is there" }"#),
    })
}

#[test]
fn deploy_tells_each_event_once_although_the_connection_broke_off() {
    let service = deploying("succeeded", None);
    let ended = Place::with(&service).run(&["deploy"]).with(0);
    let told: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("    ")).map(str::trim).collect();
    let expected =
        ["1.0s  planned 2 steps", "2.0s  verify: web is healthy", "web-1 | starting up", "4.0s  it succeeded"];
    assert_eq!(told, expected, "{ended:#?}");
    assert_eq!(ended.stdout, "succeeded: release 13 is active on acme/shop production\nhttps://shop.example.com\n");
}

#[test]
fn a_deployment_that_fails_ends_with_1_and_says_why_and_what_the_app_said() {
    let service = deploying("failed", Some(failure()));
    let ended = Place::with(&service).run(&["deploy", "--release", "13"]).with(1);
    let ended = ended
        .saying("error: Deploy release 13 on acme/shop production: failed\ncaused by: web is not healthy after 60s\n")
        .saying("  cannot reach the database\n")
        .saying("hint: look at its log");
    assert_eq!(ended.stdout, "");
}

#[test]
fn the_exit_status_tells_failed_from_refused() {
    for (outcome, status) in [("failed", 1), ("cancelled", 1), ("refused", 3), ("superseded", 3), ("succeeded", 0)] {
        let service = deploying(outcome, None);
        let ended = Place::with(&service).run(&["rollback", "--json"]).with(status);
        assert_eq!(ended.json()["state"], outcome, "{ended:?}");
    }
}

#[test]
fn a_deployment_that_is_not_waited_for_is_told_and_left() {
    let service = deploying("failed", Some(failure()));
    let place = Place::with(&service);
    assert!(place.run(&["release", "activate", "13", "--detach"]).with(0).stdout.contains(ID));
    assert_eq!(place.run(&["deploy", "--detach", "--json"]).with(0).json()["state"], "waiting");
}

#[test]
fn the_releases_that_are_asked_for_are_the_ones_that_are_sent() {
    let service = Service::start(|request| {
        let asked: Value = serde_json::from_str(&request.body).unwrap();
        let expected = json!({ "releases": { "api": 12, "web": 7 }, "kind": "deploy", "reason": "why not" });
        let state = if asked == expected { "waiting" } else { "refused" };
        service::json(202, &deployment(state).to_string())
    });
    let place = Place::with(&service);
    place.run(&["deploy", "-r", "api=12", "-r", "web=7", "--reason", "why not", "--detach"]).with(0);
    place.run(&["deploy", "-r", "api=12", "-r", "api=7", "--detach"]).with(2).saying("two releases");
}

#[test]
fn ctrl_c_leaves_the_deployment_alone_and_says_how_to_end_it() {
    // Its events never come: the deployment waits for its gate.
    let service = Service::start(|request| match request.path.ends_with("/events") {
        true => service::events(&[event(1, "waiting for CI", json!({ "event": "waiting", "on": "gate", "why": "x" }))]),
        false => service::json(200, &deployment("waiting").to_string()),
    });
    let place = Place::with(&service);
    let mut child = place.command(&["deploy"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    told.find(|line| line.contains("waiting for CI")).unwrap();
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    let rest: Vec<String> = told.collect();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(rest.concat().contains(&format!("windlass cancel {ID}")), "{rest:?}");
}

/// A service whose one-off task ends like this.
fn running(last: Value) -> Service {
    let line = |stream, line| json!({ "type": "line", "at": "2026-01-31T12:00:00Z", "stream": stream, "line": line });
    Service::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("POST", "/api/v1/projects/acme/shop/stages/production/tasks") => {
            service::json(202, &json!({ "id": ID, "release": 12 }).to_string())
        }
        ("GET", "/api/v1/tasks/0123456789abcdef/log") => match request.header("last-event-id") {
            None => service::events(&[(1, line("stdout", "out")), (2, line("stderr", "err"))]),
            Some(_) => service::events(&[(3, line("stdout", "\u{1b}[1mout\u{1b}[0m again")), (4, last.clone())]),
        },
        _ => service::json(404, r#"{ "status": 404, "code": "not_found", "title": "nothing is there" }"#),
    })
}

#[test]
fn a_task_ends_with_its_own_status_and_its_lines_go_where_it_wrote_them() {
    let service = running(json!({ "type": "exit", "code": 7 }));
    let place = Place::with(&service);
    let ended = place.run(&["task", "run", "--", "bin/check", "--all"]).with(7).saying("err\n");
    assert_eq!(ended.stdout, "out\n\u{1b}[1mout\u{1b}[0m again\n", "a file gets what was written");
    let job = place.command(&["task", "run", "--", "bin/check"]).env("GITHUB_ACTIONS", "true").output().unwrap();
    assert_eq!(super::Ended::new(job).with(7).stdout, "out\nout again\n", "a job's log gets text");
    let ended = place.run(&["task", "run", "--json", "--", "bin/check"]).with(7).saying("out again\n");
    assert_eq!(ended.json(), json!({ "id": ID, "release": 12, "exit_code": 7 }));
    assert_eq!(place.run(&["task", "run", "--detach", "--json", "--", "x"]).with(0).json()["id"], ID);
}

#[test]
fn a_task_that_windlass_could_not_run_ends_with_125() {
    let service = running(json!({ "type": "failed", "code": "boot_failed", "summary": "no such program: bin/check" }));
    Place::with(&service).run(&["task", "run", "--", "bin/check"]).with(125).saying("no such program");
    let service =
        Service::start(|_| service::json(409, r#"{ "status": 409, "code": "no_release", "title": "nothing runs" }"#));
    Place::with(&service).run(&["task", "run", "--", "x"]).with(125).saying("nothing runs");
}

#[test]
fn the_logs_of_several_tasks_are_merged_by_time() {
    let line = |second, line: &str| {
        (0, json!({ "type": "line", "at": format!("2026-01-31T12:00:0{second}Z"), "stream": "stdout", "line": line }))
    };
    let service = Service::start(move |request| match request.path.as_str() {
        "/api/v1/tasks/shop-web-12-1/log" => service::events(&[line(1, "first"), line(3, "third")]),
        "/api/v1/tasks/shop-web-12-2/log" => service::events(&[line(2, "second")]),
        _ => {
            let stage: Value = serde_json::from_str(&service::STAGE.replace("PENDING", "RUNNING")).unwrap();
            service::json(200, &stage["apps"]["default"]["tasks"].to_string())
        }
    });
    let place = Place::with(&service);
    let all = place.run(&["app", "logs"]).with(0).stdout;
    assert_eq!(all, "shop-web-12-1 | first\nshop-web-12-2 | second\nshop-web-12-1 | third\n");
    let last = place.run(&["app", "logs", "--lines", "1", "--json"]).with(0).json();
    assert_eq!((last.as_array().unwrap().len(), &last[0]["line"]), (1, &json!("third")));
    place.run(&["app", "logs", "--role", "worker"]).with(1).saying("no task");
    place.run(&["app", "logs", "--since", "yesterday"]).with(2).saying("10m");
}
