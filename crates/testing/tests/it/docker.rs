//! Containers on the stand-in engine, driven by Windlass' own client.

use std::time::{Duration, Instant};

use serde_json::json;
use windlass_core::config::HealthCheck;
use windlass_core::deployment::FailureCode;
use windlass_core::names::ReleaseNumber;
use windlass_core::secrets::{Masker, Secrets};
use windlass_core::task::{TaskHealth, TaskStatus};
use windlass_engine::{BootOutcome, EngineError, LogOptions, Prepared, TimeLimit};
use windlass_testing::docker::{App, Behaviour, FakeEngine, Health, OneOff};

use crate::client;
use crate::docker_host::{Host, check, connect, health, image};

#[tokio::test]
async fn a_booted_task_serves_at_its_address_and_is_observed_as_it_was_asked_for() {
    let host = Host::with(App::healthy()).await;
    let task = host.task("web-1");
    host.boot(&task).await;
    let answer = client().get(host.url("web-1").await).send().await.unwrap();
    assert_eq!(answer.headers()["x-task"], "web-1");
    assert_eq!(answer.text().await.unwrap(), "release 7\n");

    let observed = host.engine.observe().await.unwrap();
    let [found] = observed.as_slice() else { panic!("{observed:?}") };
    assert_eq!((&found.name, &found.labels, found.status), (&task.name, &task.labels, TaskStatus::Running));
    assert_eq!(host.engine.boot(&task, &Secrets::default()).await.unwrap(), BootOutcome::AlreadyDone);
    let fake = host.fake.container("web-1").unwrap();
    assert_eq!((fake.starts, fake.env["WINDLASS_RELEASE"].as_str(), fake.restart_policy), (1, "7", "no"));
    assert_eq!(fake.address.map(Into::into), found.address);
}

#[tokio::test]
async fn an_image_is_pulled_once_and_missing_when_nobody_has_it() {
    let fake = FakeEngine::start("alpha", 202).await;
    let engine = connect(fake.socket(), &fake, windlass_core::names::InstallationId(uuid::Uuid::new_v4())).await;
    let failure = engine.prepare(&image(), None).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::ImageMissing, "{failure:?}");
    fake.add_pullable(&image().reference(), App::healthy().with_health_check());
    assert_eq!(engine.prepare(&image(), None).await.unwrap(), Prepared::Pulled);
    assert_eq!(engine.prepare(&image(), None).await.unwrap(), Prepared::Present);
    assert_eq!(fake.pulls(), [image().reference()]);
    let facts = engine.inspect_image(&image().reference()).await.unwrap().unwrap();
    assert!(facts.health_check.is_some() && facts.digests == [image().reference()]);
    engine.remove_image(&facts.id).await.unwrap();
    assert_eq!(engine.inspect_image(&image().reference()).await.unwrap(), None);
}

#[tokio::test]
async fn refusals_have_dockers_status_and_words() {
    let host = Host::with(App::healthy()).await;
    let mut task = host.task("web-1");
    host.boot(&task).await;
    let id = host.fake.container("web-1").unwrap().id;
    let create = json!({ "Image": image().reference() }).to_string();
    let message = |body: &str| serde_json::from_str::<serde_json::Value>(body).unwrap()["message"].clone();

    let (status, body) = host.ask("POST /v1.41/containers/create?name=web-1", &create).await;
    let taken = format!("The container name \"/web-1\" is already in use by container \"{id}\"");
    assert!(status == 409 && message(&body).as_str().unwrap().contains(&taken), "{status} {body}");
    let (status, body) = host.ask("POST /containers/create?name=web-2", r#"{"Image":"none:1"}"#).await;
    assert_eq!((status, message(&body)), (404, "No such image: none:1".into()));
    let (status, body) = host.ask("GET /containers/web-9/json", "").await;
    assert_eq!((status, message(&body)), (404, "No such container: web-9".into()));
    assert_eq!(host.ask("POST /containers/web-1/start", "").await.0, 304);
    assert_eq!(host.ask("DELETE /containers/web-1", "").await.0, 409);
    assert_eq!(host.ask(&format!("DELETE /images/{}?force=1", image().reference()), "").await.0, 409);

    host.fake.exit("web-1", 1);
    let (status, body) = host.ask("POST /containers/web-1/kill?signal=SIGTERM", "").await;
    assert!(status == 409 && body.contains("is not running"), "{status} {body}");
    let address = host.fake.container("web-1").unwrap().address.unwrap().to_string();
    let network = host.engine.network_name(&task.labels);
    let endpoint = json!({ network: { "IPAMConfig": { "IPv4Address": address } } });
    let same_address = json!({ "Image": image().reference(), "NetworkingConfig": { "EndpointsConfig": endpoint } });
    assert_eq!(host.ask("POST /containers/create?name=other", &same_address.to_string()).await.0, 201);
    assert_eq!(host.ask("POST /containers/other/start", "").await.0, 204);
    let (status, body) = host.ask("POST /containers/web-1/start", "").await;
    assert_eq!((status, message(&body)), (500, "Address already in use".into()));

    task.labels.release = ReleaseNumber(8);
    let failure = host.engine.boot(&task, &Secrets::default()).await.unwrap_err();
    assert!(failure.summary.contains("another task's"), "{failure:?}");
}

#[tokio::test]
async fn a_polite_end_lets_requests_finish_and_a_deaf_app_is_killed() {
    let host = Host::with(App::healthy()).await;
    host.boot(&host.task("web-1")).await;
    let url = host.url("web-1").await;
    let under_way = tokio::spawn(client().get(format!("{url}/slow/400")).send());
    until_asked(&host).await;
    host.engine.stop("web-1", "SIGTERM", Duration::from_secs(10)).await.unwrap();
    assert_eq!(under_way.await.unwrap().unwrap().status(), 200);
    assert_eq!(host.fake.container("web-1").unwrap().exit_code, 0);
    assert!(client().get(url).send().await.unwrap_err().is_connect());

    let deaf = Host::that(Behaviour::IgnoresSignals).await;
    deaf.boot(&deaf.task("web-1")).await;
    let url = deaf.url("web-1").await;
    let under_way = tokio::spawn(client().get(format!("{url}/slow/20000")).send());
    until_asked(&deaf).await;
    deaf.engine.stop("web-1", "SIGTERM", Duration::from_millis(200)).await.unwrap();
    assert_eq!(deaf.engine.exit("web-1").await.unwrap().unwrap().code, 137);
    assert!(under_way.await.unwrap().is_err());
}

async fn until_asked(host: &Host) {
    while host.fake.container("web-1").unwrap().requests == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_container_can_go_behind_the_back_and_everything_else_on_request() {
    let host = Host::with(App::healthy()).await;
    host.boot(&host.task("web-1")).await;
    host.boot(&host.task("web-2")).await;
    let wait = tokio::spawn({
        let engine = host.engine.clone();
        async move { engine.ended("web-1").await }
    });
    tokio::time::sleep(Duration::from_millis(50)).await;
    host.fake.remove_behind_the_back("web-1");
    assert!(matches!(wait.await.unwrap(), Err(EngineError::NoContainer { .. })));
    host.engine.remove_everything().await.unwrap();
    assert_eq!(host.engine.leftovers().await.unwrap(), [""; 0]);
    assert_eq!(host.fake.containers(), []);
    assert_eq!((host.fake.starts("web-1"), host.fake.starts("web-2")), (1, 1));
}

#[tokio::test]
async fn health_is_told_as_the_check_says() {
    let host = Host::with(App::healthy().with_health_check()).await;
    let mut task = host.task("web-1");
    task.health = Some(health(HealthCheck::Command(vec!["/app".to_owned(), "health".to_owned()])));
    host.boot(&task).await;
    host.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap();
    assert_eq!(host.fake.container("web-1").unwrap().health, Some(Health::Healthy));
    host.fake.set_health("web-1", Health::Unhealthy);
    host.fake.until(|containers| containers[0].health == Some(Health::Unhealthy)).await;
    assert_eq!(host.engine.look("web-1").await.unwrap().health, TaskHealth::Unhealthy);
    assert_eq!(client().get(format!("{}/up", host.url("web-1").await)).send().await.unwrap().status(), 503);

    let (mut own, mut none) = (host.task("web-2"), host.task("web-3"));
    (own.health, none.health) = (Some(health(HealthCheck::Docker)), Some(health(HealthCheck::Port)));
    host.boot(&own).await;
    host.boot(&none).await;
    host.engine.await_healthy(&check(&own), &Masker::default()).await.unwrap();
    assert_eq!(host.fake.container("web-3").unwrap().health, None);

    let sick = Host::that(Behaviour::NeverHealthy).await;
    let impatient = task.health.map(|health| windlass_core::config::Health {
        deadline: windlass_core::quantity::Duration::from_secs(1),
        ..health
    });
    let task = windlass_core::task::TaskSpec { health: impatient, ..sick.task("web-1") };
    sick.boot(&task).await;
    let failure = sick.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap_err();
    assert!(failure.summary.contains("HTTP 503"), "{failure:?}");
}

#[tokio::test]
async fn an_end_at_boot_has_its_code_and_its_last_lines() {
    let lines = vec!["loading".to_owned(), "boom".to_owned()];
    let host = Host::with(App::new(Behaviour::ExitsAtBoot { code: 3, lines }).with_health_check()).await;
    let mut task = host.task("web-1");
    task.health = Some(health(HealthCheck::Docker));
    host.boot(&task).await;
    let failure = host.engine.await_healthy(&check(&task), &Masker::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::TaskExited);
    assert!(failure.summary.contains('3') && failure.log == ["loading", "boom"], "{failure:?}");
    let (masker, tail) = (Masker::default(), LogOptions { tail: Some(1), ..Default::default() });
    let last = futures_util::StreamExt::next(&mut host.engine.logs("web-1", tail, &masker)).await;
    assert_eq!(last.unwrap().unwrap().line, "boom");
}

#[tokio::test]
async fn a_migration_runs_once_however_often_it_is_waited_for() {
    let lines = ["one", "two", "three"].map(str::to_owned).to_vec();
    let one_off = OneOff { time: Duration::from_millis(600), lines, code: 4 };
    let host = Host::with(App::healthy().one_off(one_off)).await;
    let limit =
        TimeLimit { time: windlass_core::quantity::Duration::from_secs(10), code: FailureCode::MigrationTimeout };
    let (task, secrets) = (host.migration("migrate-7"), Secrets::default());
    let run = async || {
        let (sender, mut lines) = tokio::sync::mpsc::channel(16);
        let exit = host.engine.run_to_end(&task, &secrets, limit, sender).await.unwrap();
        let mut read = Vec::new();
        while let Some(line) = lines.recv().await {
            read.push(line.line);
        }
        (exit.code, read)
    };
    // The first one's service stops half way.
    assert!(tokio::time::timeout(Duration::from_millis(300), run()).await.is_err());
    for _ in 0..2 {
        assert_eq!(run().await, (4, vec!["one".to_owned(), "two".to_owned(), "three".to_owned()]));
    }
    assert_eq!(host.fake.runs_of("migrate"), 1);

    let slow = Host::with(App::healthy().one_off(OneOff { time: Duration::from_secs(60), ..OneOff::default() })).await;
    let begun = Instant::now();
    let limit = TimeLimit { time: windlass_core::quantity::Duration::from_millis(100), ..limit };
    let (sender, _lines) = tokio::sync::mpsc::channel(16);
    let failure = slow.engine.run_to_end(&slow.migration("migrate-7"), &secrets, limit, sender).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::MigrationTimeout);
    assert!(begun.elapsed() < Duration::from_secs(10));
}
