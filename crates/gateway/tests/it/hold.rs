use std::time::{Duration, Instant};

use windlass_core::gateway::Hold;
use windlass_core::quantity::Duration as Span;

use crate::backend::Backend;
use crate::client;
use crate::harness::{Front, HOST, spec};

#[tokio::test]
async fn requests_wait_for_the_next_target() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[])).await.unwrap();
    let http = front.http();
    let waiting: Vec<_> = (0..3).map(|_| tokio::spawn(client::fetch(http, HOST, "/"))).collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(waiting.iter().all(|request| !request.is_finished()));
    front.control.switch(spec(2, &[&app])).await.unwrap();
    for request in waiting {
        assert_eq!(request.await.unwrap(), (200, "app".to_owned()));
    }
}

#[tokio::test]
async fn requests_wait_for_an_app_that_starts_again() {
    let front = Front::start().await;
    let app = Backend::start("before").await;
    let address = app.address;
    let mut service = spec(1, &[&app]);
    service.probe.interval = Span::from_secs(3600);
    front.control.switch(service).await.unwrap();
    drop(app);
    let waiting = tokio::spawn(client::fetch(front.http(), HOST, "/"));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    let _app = Backend::start_at("after", address).await;
    assert_eq!(waiting.await.unwrap(), (200, "after".to_owned()));
}

#[tokio::test]
async fn no_more_requests_wait_and_no_longer_than_allowed() {
    let front = Front::start().await;
    let mut service = spec(1, &[]);
    service.hold = Hold { requests: 1, time: Span::from_millis(400) };
    front.control.switch(service).await.unwrap();
    let started = Instant::now();
    let first = tokio::spawn(client::fetch(front.http(), HOST, "/"));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(front.get("/").await.0, 503);
    assert!(started.elapsed() < Duration::from_millis(400), "the second did not wait");
    assert_eq!(first.await.unwrap().0, 503);
    assert!(started.elapsed() >= Duration::from_millis(400));
}

#[tokio::test]
async fn without_a_hold_a_refused_connection_is_a_bad_gateway() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    let mut service = spec(1, &[&app]);
    service.hold.requests = 0;
    front.control.switch(service).await.unwrap();
    drop(app);
    assert_eq!(front.get("/").await.0, 502);
}
