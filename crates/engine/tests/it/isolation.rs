use std::time::Duration;

use futures_util::{FutureExt, StreamExt};
use windlass_core::deployment::FailureCode;
use windlass_core::hint::Hint;
use windlass_core::secrets::Secrets;
use windlass_core::task::TaskHealth;
use windlass_engine::{Engine, EngineError, HostEvent, TaskChange};
use windlass_testing::docker_client::docker;

use crate::lab::{Lab, connect, health};

#[tokio::test]
async fn two_installations_never_see_or_touch_each_others_containers() {
    let (ours, theirs) = (Lab::open().await, Lab::open().await);
    let task = ours.task("web-1");
    ours.boot(&task).await;
    assert!(theirs.engine.observe().await.unwrap().is_empty());
    let labels = task.labels.clone();
    assert_ne!(ours.engine.network_name(&labels), theirs.engine.network_name(&labels));

    let refused = |error: EngineError| assert!(matches!(error, EngineError::Foreign { .. }), "{error}");
    refused(theirs.engine.stop(&task.name, "SIGTERM", Duration::from_secs(1)).await.unwrap_err());
    refused(theirs.engine.remove(&task.name).await.unwrap_err());
    refused(theirs.engine.keep(&task.name).await.unwrap_err());
    let mut same_name = theirs.task("web-1");
    same_name.name.clone_from(&task.name);
    let failure = theirs.engine.boot(&same_name, &Secrets::default()).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::BootFailed);
    assert!(ours.engine.look(&task.name).await.unwrap().status.is_alive());
}

#[tokio::test]
async fn many_who_make_the_network_at_once_end_with_one() {
    let lab = Lab::open().await;
    let mut engines = Vec::new();
    for _ in 0..4 {
        // Each a process of its own, as far as the engine can tell.
        engines.push(connect(lab.engine.installation()).await);
    }
    let labels = lab.task("web-1").labels;
    let ids =
        futures_util::future::join_all(engines.iter().map(|engine: &Engine| engine.ensure_network(&labels))).await;
    let ids: Vec<String> = ids.into_iter().map(Result::unwrap).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let name = format!("name={}", lab.engine.network_name(&labels));
    assert_eq!(docker(&["network", "ls", "--quiet", "--no-trunc", "--filter", &name]), ids[0]);
}

#[tokio::test]
async fn events_tell_of_this_installations_containers_only() {
    let (ours, theirs) = (Lab::open().await, Lab::open().await);
    let mut events = Box::pin(ours.engine.events());
    // Subscribed to, even though nobody has looked at the stream yet.
    theirs.boot(&theirs.one_off("exit", &["exit", "1"])).await;
    let mut task = ours.task("web-1");
    task.health =
        Some(health(windlass_core::config::HealthCheck::Command(vec!["/app".to_owned(), "health".to_owned()])));
    task.env.insert("SAMPLE_EXIT_AFTER_MS".to_owned(), "1500".to_owned());
    task.env.insert("SAMPLE_EXIT_CODE".to_owned(), "9".to_owned());
    ours.boot(&task).await;
    ours.engine.ended(&task.name).await.unwrap();
    ours.engine.remove(&task.name).await.unwrap();

    let mut changes = Vec::new();
    while changes.last() != Some(&TaskChange::Removed) {
        let event = tokio::time::timeout(Duration::from_secs(10), events.next()).await.expect("an event").unwrap();
        let HostEvent::Task(event) = event else { panic!("{event:?}") };
        assert_eq!((&event.name, &event.labels), (&task.name, &task.labels));
        changes.push(event.change);
    }
    let wanted =
        [TaskChange::Started, TaskChange::Health(TaskHealth::Healthy), TaskChange::Died(9), TaskChange::Removed];
    assert_eq!(changes, wanted);
    assert!(events.next().now_or_never().is_none());
}

#[tokio::test]
async fn an_engine_that_is_not_there_says_so_and_what_to_do() {
    let host = || "a".parse().unwrap();
    let id = windlass_core::names::InstallationId(uuid::Uuid::new_v4());
    let nowhere = windlass_core::config::DockerEndpoint::Unix("/nowhere/docker.sock".into());
    let error = Engine::connect(host(), &nowhere, id).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("/nowhere/docker.sock") && error.hint().unwrap().contains("[hosts.a]"));
    assert_eq!(error.into_failure(FailureCode::BootFailed).code, FailureCode::HostUnreachable);
}

#[tokio::test]
async fn no_secret_is_left_in_what_can_be_seen_of_a_container_but_its_environment() {
    let lab = Lab::open().await;
    let mut task = lab.task("web-1");
    task.secrets = vec!["KEY".to_owned()];
    lab.engine.boot(&task, &crate::lab::secret("KEY", "hunter2")).await.unwrap();
    let all = docker(&["inspect", &task.name]);
    assert_eq!(all.matches("hunter2").count(), 1, "once, in the environment");
    assert!(!format!("{:?}", lab.engine.observe().await.unwrap()).contains("hunter2"));
}
