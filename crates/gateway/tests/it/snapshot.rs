use std::fs;
use std::os::unix::fs::PermissionsExt;

use windlass_core::gateway::{ServiceKey, TargetState};

use crate::backend::Backend;
use crate::harness::{Front, route, spec};

#[tokio::test]
async fn a_gateway_serves_again_after_a_restart_with_nobody_to_tell_it() {
    let front = Front::start().await;
    let (old, app) = (Backend::start("old").await, Backend::start("app").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    front.control.switch(spec(2, &[&app])).await.unwrap();
    app.set_healthy(false);
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(front.get("/").await, (200, "app".to_owned()), "presumed healthy");
    let status = front.control.status().await.services.remove(0);
    assert_eq!((status.generation.0, status.release.0, status.targets.len()), (2, 2, 1));
    assert_eq!(front.control.switch(spec(1, &[&old])).await.unwrap_err().code, "older_generation");
    front.control.switch(spec(2, &[&app])).await.unwrap();
    crate::harness::eventually("it is probed", async || {
        front.control.state_of("app").await == Some(TargetState::Unhealthy)
    })
    .await;
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "half a file is just what is wanted here")]
async fn a_broken_snapshot_is_put_aside_and_the_gateway_starts() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("gateway.json"), "{\"services\": [").unwrap();
    let front = Front::start_in(folder).await;
    assert_eq!(front.get("/").await.0, 404);
    assert!(front.folder().join("gateway.json.broken").exists());
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(front.get("/").await.1, "app");
}

#[tokio::test]
async fn a_switch_that_cannot_be_recorded_is_not_made() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    // A folder where the new file is to be written: that fails for root too.
    fs::create_dir(front.folder().join("gateway.json.new")).unwrap();
    let problem = front.control.switch(spec(2, &[&new])).await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (500, "snapshot_failed"));
    assert_eq!(front.control.remove(&spec(2, &[])).await.unwrap_err().code, "snapshot_failed");
    assert_eq!(front.get("/").await.1, "old");
    assert_eq!(front.control.state_of("old").await, Some(TargetState::Healthy));

    fs::remove_dir(front.folder().join("gateway.json.new")).unwrap();
    front.control.switch(spec(2, &[&new])).await.unwrap();
    assert_eq!(front.get("/").await.1, "new");
}

#[tokio::test]
async fn the_control_socket_is_its_owners_alone() {
    let front = Front::start().await;
    let mode = fs::metadata(&front.control.path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a snapshot of another time")]
async fn what_was_taken_away_is_known_for_thirty_days_and_then_leaves_the_snapshot() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let service = spec(2, &[&app]);
    front.control.switch(service.clone()).await.unwrap();
    front.control.remove(&service).await.unwrap();
    let mut folder = front.stop().await;
    let days_ago = |days: i64| jiff::Timestamp::now().checked_sub(jiff::SignedDuration::from_hours(days * 24)).unwrap();
    // An older gateway has not written down when it was.
    for (days, is_known) in [(None, true), (Some(29), true), (Some(31), false)] {
        let file = folder.path().join("gateway.json");
        let mut snapshot: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(snapshot["removed"].as_array().unwrap().len(), 1, "{snapshot}");
        snapshot["removed"][0]["at"] = serde_json::json!(days.map(days_ago));
        fs::write(&file, snapshot.to_string()).unwrap();
        let front = Front::start_in(folder).await;
        assert_eq!(front.control.status().await.removed.contains_key(&service.key), is_known, "{days:?}");
        if is_known {
            assert_eq!(front.control.switch(spec(1, &[&app])).await.unwrap_err().code, "older_generation");
        } else {
            front.control.switch(spec(1, &[&app])).await.unwrap();
            let written = fs::read_to_string(&file).unwrap();
            assert!(written.contains(r#""removed":[]"#), "{written}");
        }
        folder = front.stop().await;
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "a damaged file is just what is wanted here")]
async fn a_service_that_is_damaged_in_the_snapshot_is_lost_alone_and_can_be_written_again() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let mut other = spec(5, &[&app]);
    other.key = ServiceKey("2/production/default".to_owned());
    other.routes = vec![route("other.test", "/")];
    front.control.switch(spec(3, &[&app])).await.unwrap();
    front.control.switch(other.clone()).await.unwrap();
    let folder = front.stop().await;
    let file = folder.path().join("gateway.json");
    let mut snapshot: serde_json::Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(snapshot["services"][0]["key"], spec(3, &[]).key.0);
    snapshot["services"][0]["drain"] = serde_json::json!({});
    fs::write(&file, snapshot.to_string()).unwrap();

    let front = Front::start_in(folder).await;
    assert_eq!(front.get("/").await.0, 404);
    assert_eq!(crate::client::fetch(front.http(), "other.test", "/").await, (200, "app".to_owned()));
    assert!(front.folder().join("gateway.json.broken").exists());
    let status = front.control.status().await;
    assert_eq!((status.lost, status.services.len()), (vec![spec(3, &[]).key], 1));
    assert!(status.removed.is_empty(), "nobody has taken it away");
    assert_eq!(front.control.switch(spec(2, &[&app])).await.unwrap_err().code, "older_generation");
    front.control.switch(spec(3, &[&app])).await.expect("the write that was lost, or a newer one");
    assert_eq!(front.get("/").await, (200, "app".to_owned()));
    assert!(front.control.status().await.lost.is_empty());
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(front.control.status().await.services.len(), 2);
}
