//! Locks, against a service whose lock changes hands.

use serde_json::json;

use super::Place;
use super::service::{self, Service};

const PATH: &str = "/api/v1/projects/acme/shop/stages/production/lock";

/// A service on which somebody else locks as soon as the lock was read.
fn changing_hands(yours: bool) -> Service {
    Service::start(move |request| {
        assert_eq!(request.path, PATH);
        match (request.method.as_str(), request.header("if-match"), request.header("if-none-match")) {
            ("GET", ..) => {
                let lock =
                    json!({ "by": "ada", "reason": "a freeze", "since": "2026-01-31T12:00:00Z", "yours": yours });
                service::json(200, &lock.to_string()).replacen("\r\n", "\r\netag: \"first\"\r\n", 1)
            }
            (_, Some("\"first\""), None) | (_, None, Some("*")) => service::json(
                412,
                r#"{ "status": 412, "code": "lock_changed", "title": "it is another", "detail": "bob locked it: mine" }"#,
            ),
            other => {
                service::json(400, &json!({ "status": 400, "code": "x", "title": format!("{other:?}") }).to_string())
            }
        }
    })
}

#[test]
fn rule_055_only_the_lock_that_was_read_is_released_and_another_is_said_to_be_in_the_way() {
    let service = changing_hands(true);
    let place = Place::with(&service);
    place.run(&["lock", "release"]).with(3).saying("it is another one by now").saying("bob locked it: mine");
    place.run(&["lock", "acquire", "--reason", "x"]).with(3).saying("bob locked it: mine");
    place.run(&["lock", "acquire", "--reason", "x", "--force"]).with(3).saying("bob locked it: mine");
    place.run(&["lock", "acquire"]).with(2).saying("--reason");
}

#[test]
fn rule_055_somebody_else_s_lock_is_not_released_by_accident() {
    let service = changing_hands(false);
    let place = Place::with(&service);
    place.run(&["lock", "release"]).with(3).saying("it was locked by ada").saying("--force");
    assert_eq!(place.run(&["lock", "status", "--json"]).with(0).json()["lock"]["by"], "ada");
}
