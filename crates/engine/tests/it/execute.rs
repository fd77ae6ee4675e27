//! Whole plans, as the planner makes them, on one host with a real gateway.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use windlass_core::config::{DockerEndpoint, HostConfig};
use windlass_core::deployment::{Failure, FailureCode};
use windlass_core::hint::Hint;
use windlass_core::plan::{Step, StepKind};
use windlass_core::secrets::Secrets;
use windlass_core::subnet::Subnet;
use windlass_core::task::TaskStatus;
use windlass_engine::{EngineError, Hosts, Progress};
use windlass_testing::docker_client::docker;

use crate::lab::secret;
use crate::stage::{Deployment, Stage};

const WEB: &str = r#"
watch = "300ms"
[roles.web]
port = 3000
health = { path = "/up", interval = "100ms", timeout = "1s", deadline = "15s" }
stop = { grace = "5s", drain = "5s" }
"#;

fn web(environment: &str) -> String {
    WEB.replace("[roles.web]", &format!("env = {{ {environment} }}\n[roles.web]"))
}

async fn active_release_1() -> Stage {
    let mut stage = Stage::open().await;
    let first = stage.plan(WEB, Secrets::default()).await;
    stage.run(&first).await.unwrap();
    stage.succeeded(&first, WEB);
    assert!(stage.get("/").await.contains("release 1 "));
    stage
}

#[tokio::test]
async fn every_step_can_be_done_twice_on_the_way_from_one_release_to_the_next() {
    let mut stage = active_release_1().await;
    let file = format!("migrate = {{ command = [\"migrate\"], timeout = \"20s\" }}\n{WEB}");
    let mut second = stage.plan(&file, Secrets::default()).await;
    stage.run(&second).await.unwrap();
    assert!(stage.get("/").await.contains("release 2 "));

    let observed = stage.lab.engine.observe().await.unwrap();
    let states: Vec<_> = observed.iter().map(|task| (task.labels.release.0, task.status)).collect();
    assert_eq!(states, [(1, TaskStatus::Stopped), (2, TaskStatus::Running)], "and no migration is left");
    assert_eq!(observed[0].exit.map(|exit| exit.code), Some(0), "it was asked politely");
    let mut logged = Vec::new();
    while let Ok(progress) = second.progress.try_recv() {
        if let Progress::Log { line, .. } = progress {
            logged.push(line.line);
        }
    }
    let runs = logged.iter().filter(|line| line.contains("migrated to release 2")).count();
    assert_eq!(runs, 2, "the second time is the first run's log again: {logged:?}");
    let note = stage.step(&second.plan.steps[0], &second).await.unwrap();
    assert_eq!(note.as_deref(), Some("present on a"));
}

#[tokio::test]
async fn a_migration_that_fails_says_why_and_nothing_new_is_left() {
    let mut stage = active_release_1().await;
    let file =
        format!("migrate = {{ command = [\"migrate\"], timeout = \"20s\" }}\n{}", web("SAMPLE_MIGRATE_EXIT = \"4\""));
    let second = stage.plan(&file, Secrets::default()).await;
    let (step, failure) = stage.run(&second).await.unwrap_err();
    assert_eq!((step, failure.code), (StepKind::Migrate, FailureCode::MigrationFailed));
    assert!(failure.summary.contains("`migrate` ended with exit status 4") && !failure.log.is_empty(), "{failure:?}");
    stage.revert(&second, false).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_release_that_is_never_healthy_is_refused_with_its_probe_and_its_own_words() {
    let mut stage = active_release_1().await;
    let file = web("SAMPLE_NEVER_HEALTHY = \"1\"").replace("15s", "2s");
    let second = stage.plan(&file, secret("WORD", "healthy")).await;
    let (step, failure) = stage.run(&second).await.unwrap_err();
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::Unhealthy));
    assert!(failure.summary.starts_with("http://"), "{failure:?}");
    assert!(failure.summary.ends_with("/up answered HTTP 503 for 2s"), "{failure:?}");
    assert!(!failure.log.is_empty() && !failure.log.concat().contains("healthy"), "{failure:?}");
    stage.revert(&second, false).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_task_that_dies_while_its_gateway_asks_ends_the_wait_at_once() {
    let mut stage = active_release_1().await;
    let file = web("SAMPLE_NEVER_HEALTHY = \"1\", SAMPLE_EXIT_AFTER_MS = \"800\", SAMPLE_EXIT_CODE = \"5\"");
    let second = stage.plan(&file.replace("15s", "60s"), Secrets::default()).await;
    let begun = Instant::now();
    let (step, failure) = stage.run(&second).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::TaskExited));
    assert!(failure.summary.contains("exit status 5") && !failure.log.is_empty(), "{failure:?}");
    stage.revert(&second, false).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_task_that_dies_in_the_watch_brings_the_old_release_back() {
    let mut stage = active_release_1().await;
    let second = stage.plan(&WEB.replace("300ms", "60s"), Secrets::default()).await;
    let failure = dies_in_the_watch(&stage, &second).await;
    assert!(failure.summary.contains("exit status 137"), "{failure:?}");
    stage.revert(&second, true).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_first_release_that_fails_after_the_switch_leaves_no_route_and_no_container() {
    let mut stage = Stage::open().await;
    let first = stage.plan(&WEB.replace("300ms", "60s"), Secrets::default()).await;
    dies_in_the_watch(&stage, &first).await;
    stage.revert(&first, true).await;
    assert!(stage.names().await.is_empty());
    assert!(stage.get("/").await.starts_with("HTTP/1.1 404"));
}

#[tokio::test]
async fn going_back_starts_an_old_target_that_has_ended_meanwhile() {
    let mut stage = active_release_1().await;
    let old = stage.names().await.remove(0);
    let second = stage.plan(WEB, Secrets::default()).await;
    for step in &second.plan.steps[..=second.plan.switch_index()] {
        stage.step(step, &second).await.unwrap();
    }
    stage.lab.engine.stop(&old, "SIGTERM", Duration::from_secs(5)).await.unwrap();
    stage.revert(&second, true).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_task_that_has_passed_the_watch_is_kept_and_not_before() {
    let mut stage = Stage::open().await;
    let first = stage.plan(WEB, Secrets::default()).await;
    let policy = |name: &str| docker(&["inspect", "--format", "{{.HostConfig.RestartPolicy.Name}}", name]);
    for step in &first.plan.steps {
        stage.step(step, &first).await.unwrap();
        let kept = match step.kind() {
            StepKind::Boot | StepKind::Verify | StepKind::Switch => "no",
            StepKind::Watch => "unless-stopped",
            _ => continue,
        };
        assert_eq!(policy(&stage.names().await[0]), kept, "after {}", step.kind());
    }
}

#[tokio::test]
async fn a_gateway_that_does_not_answer_fails_the_step_and_is_no_reason_to_keep_what_was_not_switched_to() {
    let mut stage = Stage::open().await;
    let first = stage.plan(WEB, Secrets::default()).await;
    stage.stop_gateway().await;
    let (step, failure) = stage.run(&first).await.unwrap_err();
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::HostUnreachable));
    assert!(failure.summary.contains("gateway.sock"), "{failure:?}");
    assert!(failure.hint.unwrap().contains("windlass gateway"));

    let kept = stage.hosts.revert(&first.plan, first.plan.retire_index(), true, &first.context).await.unwrap_err();
    assert_eq!(kept.code, FailureCode::HostUnreachable);
    assert_eq!(stage.names().await.len(), 1, "the gateway may still send to it");
    stage.revert(&first, false).await;
    assert!(stage.names().await.is_empty());
}

#[tokio::test]
async fn a_migration_that_is_cancelled_is_stopped_and_removed_on_the_way_back() {
    let mut stage = active_release_1().await;
    let file = format!("migrate = {{ command = [\"sleep\", \"60000\"], timeout = \"90s\" }}\n{WEB}");
    let second = stage.plan(&file, Secrets::default()).await;
    let (prepare, migrate) = (&second.plan.steps[0], &second.plan.steps[1]);
    stage.step(prepare, &second).await.unwrap();
    let cancelled = tokio::time::timeout(Duration::from_secs(1), stage.step(migrate, &second)).await;
    assert!(cancelled.is_err(), "{cancelled:?}");
    assert_eq!(stage.names().await.len(), 2);
    stage.revert(&second, false).await;
    only_release_1_is_left(&stage).await;
}

#[tokio::test]
async fn a_late_switch_of_an_older_generation_is_refused_by_the_gateway() {
    let mut stage = active_release_1().await;
    let (late, newer) = (stage.plan(WEB, Secrets::default()).await, stage.plan(WEB, Secrets::default()).await);
    for deployment in [&late, &newer] {
        for step in &deployment.plan.steps[..deployment.plan.switch_index()] {
            stage.step(step, deployment).await.unwrap();
        }
    }
    let switch = |deployment: &Deployment| deployment.plan.steps[deployment.plan.switch_index()].clone();
    stage.step(&switch(&newer), &newer).await.unwrap();
    let failure = stage.step(&switch(&late), &late).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::SwitchFailed, "{failure:?}");
    assert!(failure.summary.contains("did not switch to release 2"), "{failure:?}");
    assert!(stage.get("/").await.contains("release 3 "));
}

#[tokio::test]
async fn hosts_are_found_as_the_servers_file_has_them() {
    let stage = Stage::open().await;
    let engine = &stage.lab.engine;
    let docker = DockerEndpoint::Unix(crate::lab::SOCKET.into());
    let config = HostConfig { docker, labels: Vec::new(), gateway: None, networks: Subnet::DEFAULT_POOL };
    let hosts = BTreeMap::from([(engine.host().clone(), config.clone())]);
    let hosts = Hosts::connect(&hosts, engine.installation()).await.unwrap();
    let found = hosts.get(engine.host()).unwrap();
    assert!(found.gateway.is_none() && found.engine.ping().await.is_ok());

    let url = "tcp://10.0.0.1:2376".parse().unwrap();
    let docker = DockerEndpoint::Tcp { url, ca: "ca".into(), cert: "cert".into(), key: "key".into() };
    let hosts = BTreeMap::from([("far".parse().unwrap(), HostConfig { docker, ..config })]);
    let error = Hosts::connect(&hosts, engine.installation()).await.unwrap_err();
    assert!(matches!(&error, EngineError::Unsupported { host, .. } if host.as_str() == "far"), "{error}");
    assert!(error.hint().unwrap().contains("unix:///var/run/docker.sock"));
}

#[tokio::test]
async fn a_role_without_a_url_goes_the_same_way() {
    let mut stage = Stage::open().await;
    let worker = "[roles.worker]\ncommand = [\"sleep\", \"600000\"]\nhealth = { stable = \"300ms\" }\nscale = 2\n";
    let first: Deployment =
        stage.plan(&format!("{}{worker}", WEB.replace("port", "primary = true\nport")), Secrets::default()).await;
    stage.run(&first).await.unwrap();
    let boots = first.plan.steps.iter().filter(|step| matches!(step, Step::Boot { .. })).count();
    assert_eq!(boots, 2);
    let observed = stage.lab.engine.observe().await.unwrap();
    assert_eq!(observed.len(), 3);
    assert!(observed.iter().all(|task| task.status == TaskStatus::Running), "{observed:?}");
}

/// Serves, and is killed while it is watched; a second look finds it dead at once.
async fn dies_in_the_watch(stage: &Stage, deployment: &Deployment) -> Failure {
    let (before, [watch, ..]) = deployment.plan.steps.split_at(deployment.plan.switch_index() + 1) else {
        panic!("no watch after the switch")
    };
    for step in before {
        stage.step(step, deployment).await.unwrap();
    }
    let release = deployment.plan.apps.values().next().unwrap().release;
    assert!(stage.get("/").await.contains(&format!("release {release} ")));
    let Step::Watch { tasks, .. } = watch else { panic!("{watch}") };
    let name = tasks[0].name.clone();
    let kill = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        tokio::task::spawn_blocking(move || docker(&["kill", &name])).await.unwrap();
    };
    let begun = Instant::now();
    let (watched, ()) = tokio::join!(stage.step(watch, deployment), kill);
    let failure = watched.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert_eq!(failure.code, FailureCode::TaskExited);
    assert!(!failure.log.is_empty(), "{failure:?}");
    assert_eq!(stage.step(watch, deployment).await.unwrap_err(), failure);
    failure
}

async fn only_release_1_is_left(stage: &Stage) {
    let observed = stage.lab.engine.observe().await.unwrap();
    let left: Vec<_> = observed.iter().map(|task| (task.labels.release.0, task.status)).collect();
    assert_eq!(left, [(1, TaskStatus::Running)]);
    assert!(stage.get("/").await.contains("release 1 "));
}
