//! What Docker does by itself: starts what has ended, and everything when it restarts; and tells of it.

use std::time::Duration;

use futures_util::StreamExt as _;
use windlass_core::task::TaskStatus;
use windlass_engine::{EngineError, HostEvent, TaskChange};
use windlass_testing::docker::{App, Behaviour, FakeContainer, LiveRestore, State};

use crate::PATIENCE;
use crate::docker_host::Host;

fn named<'a>(containers: &'a [FakeContainer], name: &str) -> &'a FakeContainer {
    containers.iter().find(|container| container.name == name).unwrap()
}

#[tokio::test]
async fn only_a_kept_container_is_started_again_and_at_its_own_address() {
    let host = Host::with(App::healthy()).await;
    for name in ["kept", "left"] {
        host.boot(&host.task(name)).await;
    }
    let url = host.url("kept").await;
    host.engine.keep("kept").await.unwrap();
    host.fake.exit("left", 1);
    host.fake.exit("kept", 1);
    assert_eq!(host.fake.container("kept").unwrap().state, State::Restarting);
    assert_eq!(host.engine.look("kept").await.unwrap().status, TaskStatus::Activating);
    host.fake.until(|containers| named(containers, "kept").starts == 2).await;
    assert_eq!(host.url("kept").await, url);
    assert_eq!((host.fake.starts("left"), host.fake.container("left").unwrap().state), (1, State::Exited));
    host.engine.stop("kept", "SIGTERM", Duration::from_secs(5)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((host.fake.starts("kept"), host.fake.container("kept").unwrap().state), (2, State::Exited));
}

#[tokio::test]
async fn one_that_dies_again_and_again_is_started_again_and_again() {
    let host = Host::that(Behaviour::DiesAfter(Duration::from_millis(30))).await;
    host.boot(&host.task("web-1")).await;
    host.engine.keep("web-1").await.unwrap();
    // Its first end may have come before that.
    host.ask("POST /containers/web-1/start", "").await;
    host.fake.until(|containers| containers[0].starts >= 4).await;
    assert_eq!(host.fake.container("web-1").unwrap().restart_policy, "unless-stopped");
}

#[tokio::test]
async fn a_restart_of_the_daemon_brings_back_what_was_kept() {
    let host = Host::with(App::healthy()).await;
    for name in ["kept", "left"] {
        host.boot(&host.task(name)).await;
    }
    let url = host.url("kept").await;
    host.engine.keep("kept").await.unwrap();
    host.fake.restart(LiveRestore::Off).await;
    let containers = host.fake.containers();
    assert_eq!((named(&containers, "kept").state, named(&containers, "left").state), (State::Running, State::Exited));
    assert_eq!(host.url("kept").await, url);
    assert_eq!((host.fake.starts("kept"), host.fake.starts("left")), (2, 1));
    host.fake.restart(LiveRestore::On).await;
    assert_eq!(host.url("kept").await, url);
    assert_eq!(host.fake.starts("kept"), 2);
}

#[tokio::test]
async fn a_wait_and_the_events_outlive_an_outage() {
    let host = Host::with(App::healthy()).await;
    let mut events = Box::pin(host.engine.events());
    let mut next = async || tokio::time::timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    // Told of before it was asked for: the stream begins with what came since it was made.
    host.boot(&host.task("web-1")).await;
    assert!(matches!(next().await, HostEvent::Task(event) if event.change == TaskChange::Started));
    let wait = tokio::spawn({
        let engine = host.engine.clone();
        async move { engine.ended("web-1").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;

    host.fake.go_down(LiveRestore::On).await;
    assert!(matches!(host.engine.observe().await, Err(EngineError::Unreachable { .. })));
    host.fake.come_up().await;
    assert_eq!(next().await, HostEvent::Reconnected);
    host.fake.exit("web-1", 5);
    assert!(matches!(next().await, HostEvent::Task(event) if event.change == TaskChange::Died(5)));
    assert_eq!(tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap().unwrap().code, 5);
    host.engine.remove("web-1").await.unwrap();
    assert!(matches!(next().await, HostEvent::Task(event) if event.change == TaskChange::Removed));
}
