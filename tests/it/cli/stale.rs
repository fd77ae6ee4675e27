//! `windlass app stale`

use super::{Place, Service, service};

const STALE: &str = r#"{
    "tasks": [
        { "id": "0123456789ab", "name": "shop-web-9-1", "app": "default", "role": "web", "kind": "service",
          "release": 9, "host": "b", "last_status": "RUNNING", "health": "UNKNOWN",
          "started_at": "2026-01-31T12:00:00Z" },
        { "id": "ba9876543210", "name": "shop-web-8-1", "app": "default", "role": "web", "kind": "service",
          "release": 8, "host": "b", "last_status": "PENDING", "health": "UNKNOWN" }
    ]
}"#;

/// Answers a list, and what was stopped.
fn service(stopped: &'static str) -> Service {
    Service::start(move |request| match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/api/v1/projects/acme/shop/stages/production/stale") => service::json(200, STALE),
        ("DELETE", "/api/v1/projects/acme/shop/stages/production/stale") => service::json(200, stopped),
        _ => service::json(404, r#"{ "status": 404, "code": "not_found", "title": "nothing is there" }"#),
    })
}

#[test]
fn what_is_stale_is_listed_with_the_way_to_stop_it() {
    let service = service("{}");
    let place = Place::with(&service);
    let ended = place.run(&["app", "stale"]).with(0);
    let mut lines = ended.stdout.lines();
    let header: Vec<&str> = lines.next().unwrap().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(header, ["HOST", "NAME", "RELEASE", "LAST STATUS", "STARTED"]);
    let first = lines.next().unwrap();
    assert!(first.starts_with("b") && first.contains("shop-web-9-1") && first.ends_with(" ago"), "{ended:?}");
    assert!(lines.next().unwrap().contains("PENDING"), "{ended:?}");
    assert!(ended.stdout.ends_with("2 tasks of no deployment; `windlass app stale --stop` stops and removes them\n"));
    assert_eq!(place.run(&["app", "stale", "--json"]).with(0).json()["tasks"][1]["release"], 8);
}

#[test]
fn what_was_stopped_is_said_and_what_was_not_is_a_failure() {
    let all = service(STALE);
    let ended = Place::with(&all).run(&["app", "stale", "--stop"]).with(0);
    assert!(ended.stdout.ends_with("2 tasks stopped and removed\n"), "{ended:?}");
    let none = service(r#"{ "tasks": [], "warnings": ["host b does not answer"] }"#);
    let ended = Place::with(&none).run(&["app", "stale", "--stop"]).with(1).saying("warning: host b does not answer");
    assert_eq!(ended.stdout, "no task stopped and removed\n");
}

#[test]
fn nothing_stale_is_said_too() {
    let service = Service::start(|_| service::json(200, r#"{ "tasks": [] }"#));
    assert_eq!(Place::with(&service).run(&["app", "stale"]).with(0).stdout, "every task is accounted for\n");
}
