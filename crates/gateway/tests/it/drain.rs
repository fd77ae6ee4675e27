use std::time::{Duration, Instant};

use windlass_core::gateway::TargetState;
use windlass_core::quantity::Duration as Span;

use crate::backend::Backend;
use crate::client::Client;
use crate::harness::{Front, HOST, eventually, spec};

/// A request that is under way at `backend`, which is the gateway's active one.
async fn slow_request(front: &Front, backend: &Backend) -> tokio::task::JoinHandle<hyper::Result<(u16, String)>> {
    let (http, before) = (front.http(), backend.hits());
    let request = tokio::spawn(async move { Client::connect(http).await.get(HOST, "/slow").await });
    eventually("the request arrives", async || backend.hits() > before).await;
    request
}

#[tokio::test]
async fn a_replaced_target_finishes_what_it_has() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let slow = slow_request(&front, &old).await;
    let next = spec(2, &[&new]);
    assert_eq!(front.control.switch(next.clone()).await.unwrap().draining, ["old"]);
    assert_eq!(front.get("/").await.1, "new");
    assert_eq!(front.control.state_of("old").await, Some(TargetState::Draining));
    assert_eq!(front.control.switch(next.clone()).await.unwrap().draining, ["old"], "the same answer again");

    let drained = front.control.drained(&next, &["old"]);
    let (drained, ()) = tokio::join!(drained, async {
        tokio::time::sleep(Duration::from_millis(100)).await;
        old.knobs.gate.add_permits(1);
    });
    assert_eq!(drained.unwrap().cut, 0);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "old".to_owned()));
    assert_eq!(front.control.state_of("old").await, None);
    assert_eq!(front.control.drained(&next, &["old", "unknown"]).await.unwrap().cut, 0);
}

#[tokio::test]
async fn what_outlasts_the_drain_is_cut_and_counted() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let cut = [slow_request(&front, &old).await, slow_request(&front, &old).await];
    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(200);
    let started = Instant::now();
    front.control.switch(next.clone()).await.unwrap();
    assert!(started.elapsed() < Duration::from_millis(200), "the switch does not wait for the drain");
    assert_eq!(front.control.drained(&next, &["old"]).await.unwrap().cut, 2);
    assert!(started.elapsed() >= Duration::from_millis(200));
    for request in cut {
        assert_eq!(request.await.unwrap().unwrap().0, 502);
    }
    assert_eq!(front.control.drained(&next, &["old"]).await.unwrap().cut, 2, "for those who ask late too");
}

#[tokio::test]
async fn a_switch_back_revives_what_drains() {
    let front = Front::start().await;
    let (old, new) = (Backend::start("old").await, Backend::start("new").await);
    front.control.switch(spec(1, &[&old])).await.unwrap();
    let slow = slow_request(&front, &old).await;
    let mut next = spec(2, &[&new]);
    next.drain = Span::from_millis(300);
    front.control.switch(next.clone()).await.unwrap();
    let waiting = front.control.drained(&next, &["old"]);
    let (waiting, back) = tokio::join!(waiting, front.control.switch_unchecked(spec(3, &[&old])));
    assert_eq!(back.unwrap().draining, ["new"]);
    assert_eq!(waiting.unwrap_err().code, "in_use", "whoever would stop it must not");
    assert_eq!(front.get("/").await.1, "old");

    tokio::time::sleep(Duration::from_millis(400)).await;
    old.knobs.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().unwrap(), (200, "old".to_owned()), "the drain that was called off cuts nothing");
}

#[tokio::test]
async fn a_stop_lets_requests_under_way_end() {
    let front = Front::start().await;
    let app = Backend::start("app").await;
    front.control.switch(spec(1, &[&app])).await.unwrap();
    let slow = slow_request(&front, &app).await;
    let ((), folder) = tokio::join!(
        async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            app.knobs.gate.add_permits(1);
        },
        front.stop()
    );
    assert_eq!(slow.await.unwrap().unwrap(), (200, "app".to_owned()));
    assert!(!folder.path().join("gateway.sock").exists());
}
