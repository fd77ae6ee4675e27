//! Roles whose old tasks give way before the new ones start, under the eyes of a client that never stops asking.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use windlass_core::deployment::FailureCode;
use windlass_core::plan::{Step, StepKind};
use windlass_core::secrets::Secrets;
use windlass_core::task::TaskStatus;

use crate::stage::{Stage, get};

/// One request after the other, and what each was told.
struct Client {
    done: Arc<AtomicBool>,
    asked: JoinHandle<Vec<String>>,
}

impl Client {
    fn start(gateway: SocketAddr) -> Self {
        let done = Arc::new(AtomicBool::new(false));
        let asked = tokio::spawn({
            let done = Arc::clone(&done);
            async move {
                let mut told = Vec::new();
                while !done.load(Ordering::Relaxed) {
                    told.push(summary(&get(gateway, "/").await));
                }
                told
            }
        });
        Self { done, asked }
    }

    /// What it was told, each change once.
    async fn stop(self) -> Vec<String> {
        self.done.store(true, Ordering::Relaxed);
        let mut told = self.asked.await.unwrap();
        told.dedup();
        told
    }
}

/// `release 1`, or the status where it was no release that answered.
fn summary(answer: &str) -> String {
    let status = answer.split(' ').nth(1).unwrap_or("nothing");
    let release = answer.split("release ").nth(1).and_then(|rest| rest.split_whitespace().next());
    release.map_or_else(|| status.to_owned(), |release| format!("release {release}"))
}

fn web(strategy: &str, more: &str) -> String {
    format!(
        "watch = \"200ms\"\n[roles.web]\nport = 3000\nstrategy = \"{strategy}\"\n\
         health = {{ path = \"/up\", interval = \"100ms\", timeout = \"1s\", deadline = \"2s\" }}\n\
         hold = {{ requests = 100, time = \"30s\" }}\nstop = {{ grace = \"5s\", drain = \"5s\" }}\n{more}"
    )
}

async fn active_release_1(file: &str) -> Stage {
    let mut stage = Stage::open().await;
    let first = stage.plan(file, Secrets::default()).await;
    stage.run(&first).await.unwrap();
    stage.succeeded(&first, file);
    stage
}

async fn running(stage: &Stage) -> Vec<u64> {
    let observed = stage.lab.engine.observe().await.unwrap();
    let running = observed.iter().filter(|task| task.status.is_alive());
    running.map(|task| task.labels.release.0).collect()
}

#[tokio::test]
async fn nobody_is_refused_while_a_singleton_or_a_safe_role_changes() {
    for strategy in ["singleton", "safe"] {
        let file = web(strategy, "");
        let mut stage = active_release_1(&file).await;
        let client = Client::start(stage.gateway_address());
        let second = stage.plan(&file, Secrets::default()).await;
        for step in &second.plan.steps {
            stage.step(step, &second).await.unwrap();
            let running = running(&stage).await;
            assert!(running.len() <= 1, "two at once after {}: {running:?}", step.kind());
            stage.step(step, &second).await.unwrap();
        }
        assert_eq!(client.stop().await, ["release 1", "release 2"], "{strategy}");
        assert_eq!(running(&stage).await, [2]);
    }
}

#[tokio::test]
async fn what_replaces_a_singleton_and_is_never_healthy_gives_its_place_back_unnoticed() {
    let file = web("singleton", "");
    let mut stage = active_release_1(&file).await;
    let client = Client::start(stage.gateway_address());
    let never = web("singleton", "env = { SAMPLE_NEVER_HEALTHY = \"1\" }");
    let second = stage.plan(&never, Secrets::default()).await;
    let (step, failure) = stage.run(&second).await.unwrap_err();
    assert_eq!((step, failure.code), (StepKind::Verify, FailureCode::Unhealthy));
    stage.revert(&second, false).await;
    assert!(stage.get("/").await.contains("release 1 "));
    assert_eq!(client.stop().await, ["release 1"]);
    assert_eq!(stage.names().await.len(), 1);
    assert_eq!(running(&stage).await, [1]);
}

#[tokio::test]
async fn a_singleton_goes_back_after_the_switch_without_a_refused_request_and_never_twice_at_once() {
    let file = web("singleton", "");
    let mut stage = active_release_1(&file).await;
    let client = Client::start(stage.gateway_address());
    let second = stage.plan(&file, Secrets::default()).await;
    for step in &second.plan.steps[..=second.plan.switch_index()] {
        stage.step(step, &second).await.unwrap();
    }
    assert!(stage.get("/").await.contains("release 2 "));
    stage.revert(&second, true).await;
    assert!(stage.get("/").await.contains("release 1 "));
    assert_eq!(client.stop().await, ["release 1", "release 2", "release 1"]);
    assert_eq!(running(&stage).await, [1]);
}

#[tokio::test]
async fn an_old_task_that_is_about_to_end_when_somebody_cancels_is_started_again() {
    let file = web("singleton", "");
    let mut stage = active_release_1(&file).await;
    let client = Client::start(stage.gateway_address());
    let old = stage.lab.engine.observe().await.unwrap().remove(0);
    // Past the gateway, which would wait for it: so the task takes a while to end.
    let slow = tokio::spawn(async move { get((old.address.unwrap(), 3000).into(), "/slow?ms=1500").await });
    let second = stage.plan(&file, Secrets::default()).await;
    let boot = second.plan.steps.iter().position(|step| step.kind() == StepKind::Boot).unwrap();
    let asked = async {
        while stage.lab.engine.find_task(&old.name).await.unwrap().unwrap().kept {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        // Docker has heard of the signal, too.
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    tokio::select! {
        done = stage.step(&second.plan.steps[boot], &second) => panic!("it was to be cut: {done:?}"),
        () = asked => {}
    }
    assert!(stage.lab.engine.look(&old.name).await.unwrap().status.is_alive(), "it ended too soon to show anything");
    stage.hosts.revert(&second.plan, boot, false, &second.context).await.unwrap();
    assert!(stage.get("/").await.contains("release 1 "));
    assert!(slow.await.unwrap().contains("200 OK"));
    assert_eq!(client.stop().await, ["release 1"]);
    assert_eq!(running(&stage).await, [1]);
}

#[tokio::test]
async fn with_stop_first_requests_are_refused_meanwhile_and_no_other_way() {
    let file = web("stop-first", "");
    let mut stage = active_release_1(&file).await;
    let client = Client::start(stage.gateway_address());
    let second = stage.plan(&file, Secrets::default()).await;
    stage.run(&second).await.unwrap();
    assert_eq!(client.stop().await, ["release 1", "503", "release 2"]);
}

#[tokio::test]
async fn a_worker_that_stops_first_does_so_after_the_switch_and_comes_back_when_its_successor_fails() {
    let with_worker = |command: &str| {
        let web = web("start-first", "primary = true");
        format!(
            "{web}\n[roles.worker]\ncommand = {command}\nstrategy = \"stop-first\"\nhealth = {{ stable = \"300ms\" }}\n"
        )
    };
    let works = with_worker("[\"serve\"]");
    let mut stage = active_release_1(&works).await;
    let client = Client::start(stage.gateway_address());
    let second = stage.plan(&with_worker("[\"exit\", \"3\"]"), Secrets::default()).await;
    let (step, failure) = stage.run(&second).await.unwrap_err();
    assert_eq!(failure.code, FailureCode::TaskExited, "{step}: {failure:?}");
    assert!(failure.summary.contains("exit status 3"), "{failure:?}");
    stage.revert(&second, true).await;
    assert_eq!(client.stop().await, ["release 1", "release 2", "release 1"]);
    assert_eq!(running(&stage).await, [1, 1], "its worker, too");
}

#[tokio::test]
async fn a_task_that_only_stopped_serves_again_and_one_that_is_gone_is_made_anew() {
    let file = web("start-first", "");
    let mut stage = active_release_1(&file).await;
    let first = stage.plan(&file, Secrets::default()).await;
    stage.run(&first).await.unwrap();
    stage.succeeded(&first, &file);
    let stopped = stage.lab.engine.observe().await.unwrap();
    let stopped = stopped.into_iter().find(|task| task.status == TaskStatus::Stopped).unwrap();

    // What the planner is told is the release of the stopped task, made by the same configuration.
    let second = stage.plan(&file, Secrets::default()).await;
    let Some(Step::Boot { tasks, .. }) = second.plan.steps.iter().find(|step| step.kind() == StepKind::Boot) else {
        panic!("nothing boots")
    };
    let mut known = tasks[0].clone();
    known.name.clone_from(&stopped.name);
    known.labels = stopped.labels.clone();
    known.env.insert("WINDLASS_RELEASE".to_owned(), "1".to_owned());
    let again = stage.lab.engine.boot_again(&known, &Secrets::default()).await;
    assert!(again.is_ok(), "{again:?}");
    let found = stage.lab.engine.look(&stopped.name).await.unwrap();
    assert_eq!(found.container, stopped.container, "the very same container");
    assert!(found.status.is_alive());
    stage.lab.engine.remove(&stopped.name).await.unwrap();
    stage.lab.engine.boot_again(&known, &Secrets::default()).await.unwrap();
    assert_ne!(stage.lab.engine.look(&stopped.name).await.unwrap().container, stopped.container);
}
