//! The proxy between Windlass and an engine.

use std::path::Path;
use std::time::Duration;

use reqwest::Method;
use windlass_core::secrets::Secrets;
use windlass_engine::{BootOutcome, Engine, EngineError, GatewayClient, GatewayError};
use windlass_testing::docker::App;
use windlass_testing::faults::{Fault, FaultProxy, Rule};

use crate::PATIENCE;
use crate::docker_host::{Host, ask, connect};

async fn between(host: &Host) -> (FaultProxy, Engine) {
    let proxy = FaultProxy::start(host.fake.socket());
    let engine = connect(proxy.socket(), &host.fake, host.engine.installation()).await;
    (proxy, engine)
}

fn once(method: Method, path: &str, answer: Fault) -> Rule {
    Rule { method: Some(method), path_contains: path.to_owned(), times: Some(1), answer }
}

#[tokio::test]
async fn without_a_rule_everything_passes_also_what_stays_open() {
    let host = Host::with(App::healthy()).await;
    let (proxy, engine) = between(&host).await;
    let task = host.task("web-1");
    assert_eq!(engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::Created);
    let wait = tokio::spawn(async move { engine.ended("web-1").await });
    while !proxy.seen().iter().any(|(_, path)| path.contains("/wait")) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    host.fake.exit("web-1", 9);
    assert_eq!(tokio::time::timeout(PATIENCE, wait).await.unwrap().unwrap().unwrap().code, 9);
    let create = |(method, path): &(Method, String)| *method == Method::POST && path.contains("create?name=web-1");
    assert_eq!(proxy.seen().iter().filter(|seen| create(seen)).count(), 1);

    let socket = proxy.socket().to_owned();
    drop(proxy);
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_status_is_answered_as_often_as_asked_with_nothing_done() {
    let host = Host::with(App::healthy()).await;
    let (proxy, engine) = between(&host).await;
    proxy.fail(once(Method::POST, "/containers/create", Fault::Status(500, "no space left on device".to_owned())));
    let failure = engine.boot(&host.task("web-1"), &Secrets::default()).await.unwrap_err();
    assert!(failure.summary.contains("no space left on device"), "{failure:?}");
    assert_eq!((host.fake.containers(), proxy.struck()), (vec![], 1));
    assert_eq!(engine.boot(&host.task("web-1"), &Secrets::default()).await.unwrap(), BootOutcome::Created);
}

#[tokio::test]
async fn a_gateways_client_understands_a_status_too() {
    let proxy = FaultProxy::start(Path::new("/nowhere"));
    let gateway = GatewayClient::new(proxy.socket().to_owned());
    assert!(matches!(gateway.status().await, Err(GatewayError::Unreachable { .. })));
    proxy.fail(once(Method::GET, "/v1/", Fault::Status(503, "busy".to_owned())));
    let refused = gateway.status().await.unwrap_err();
    assert!(matches!(&refused, GatewayError::Refused(problem) if problem.title == "busy"), "{refused:?}");
}

#[tokio::test]
async fn a_connection_is_cut_before_or_after_the_effect() {
    let host = Host::with(App::healthy()).await;
    let (proxy, engine) = between(&host).await;
    let task = host.task("web-1");
    for (fault, exists) in [(Fault::CutBefore, false), (Fault::CutAfter, true)] {
        proxy.fail(once(Method::POST, "/containers/create", fault));
        assert!(engine.boot(&task, &Secrets::default()).await.is_err());
        assert_eq!(host.fake.container("web-1").is_some(), exists);
    }
    proxy.reached().await;
    // The second try finds the first one's work.
    assert_eq!(engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::Created);
    proxy.fail(Rule { times: None, ..once(Method::GET, "", Fault::CutBefore) });
    for _ in 0..2 {
        assert!(matches!(engine.observe().await, Err(EngineError::Unreachable { .. })));
    }
    proxy.clear();
    assert_eq!(engine.observe().await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_hangs_goes_on_when_the_proxy_is_cleared_unless_its_client_has_gone() {
    let host = Host::with(App::healthy()).await;
    let (proxy, engine) = between(&host).await;
    host.boot(&host.task("web-1")).await;
    let hang = Rule { times: None, ..once(Method::POST, "/kill", Fault::Hang) };
    proxy.fail(hang);
    let kill = "POST /containers/web-1/kill?signal=KILL";
    assert!(tokio::time::timeout(Duration::from_millis(100), ask(proxy.socket(), kill, "")).await.is_err());
    proxy.reached().await;
    engine.ping().await.unwrap();
    proxy.clear();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(host.fake.container("web-1").unwrap().is_running());

    proxy.fail(once(Method::POST, "/kill", Fault::Hang));
    let socket = proxy.socket().to_owned();
    let hanging = tokio::spawn(async move { ask(&socket, kill, "").await });
    proxy.reached().await;
    assert!(host.fake.container("web-1").unwrap().is_running());
    proxy.clear();
    assert_eq!(hanging.await.unwrap().0, 204);
    assert_eq!(host.fake.container("web-1").unwrap().exit_code, 137);
}
