//! A disk that is full, at any moment, and has room again: nothing needs a restart.

mod small_disk;

use std::time::Duration;

use windlass_core::api::{DeploymentView, StepState};
use windlass_core::deployment::{DeploymentState, FailureCode};
use windlass_core::plan::StepKind;
use windlass_testing::github::{Attempt, CheckState, Conclusion};

use crate::world::{PATIENCE, World, end_at_once, stage_path, start_windlass, write};
use small_disk::SmallDisk;

/// What the service logs when a deployment's record could not be written.
const BROKE_OFF: &str = "stage cannot be brought on";

/// Looks until it is so.
async fn until<F: Future<Output = bool>>(what: &str, so: impl Fn() -> F) {
    let looks = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, looks).await.is_ok(), "in vain: {what}");
}

async fn readiness(world: &World) -> (u16, String) {
    let answer = reqwest::get(format!("http://{}/readyz", world.service_address)).await.unwrap();
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (answer.status().as_u16(), kind)
}

async fn until_readiness(world: &World, wanted: u16) {
    until(&format!("readyz {wanted}"), async || readiness(world).await.0 == wanted).await;
}

async fn begin(world: &World, release: u64) -> String {
    let body = serde_json::json!({ "kind": "deploy", "releases": { "default": release } });
    world.post::<DeploymentView>(&format!("{}/deployments", stage_path()), &body).await.id.to_string()
}

async fn until_step(world: &World, id: &str, step: StepKind, state: StepState) {
    until(&format!("{step:?} {state:?}"), async || {
        let view: DeploymentView = world.get(&format!("/deployments/{id}")).await;
        view.steps.iter().any(|it| it.step == step && it.state == state)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_105_a_disk_is_full_in_each_phase_of_a_deployment_and_with_room_again_all_goes_on_without_a_restart() {
    let mut world = World::start().await;
    let disk = SmallDisk::under_the_data_of(&mut world).await;
    let image = world.build(&[("SAMPLE_START_DELAY_MS", "1500")]).await;
    let slow = world
        .config_with("migrate = { command = [\"migrate\"] }\nenv = { SAMPLE_MIGRATE_MS = \"1500\" }")
        .replace("watch = \"500ms\"", "watch = \"2s\"");
    world.release("first", &image, &world.config()).await;
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    assert_eq!(readiness(&world).await.0, 200);

    for (release, step) in [(2, StepKind::Migrate), (3, StepKind::Boot), (4, StepKind::Verify), (5, StepKind::Watch)] {
        world.release(&format!("release {release}"), &image, &slow).await;
        let id = begin(&world, release).await;
        until_step(&world, &id, step, StepState::Running).await;
        let broke_off = world.service_log().matches(BROKE_OFF).count();
        disk.fill().await;
        until_readiness(&world, 503).await;
        assert_eq!(readiness(&world).await, (503, "application/problem+json".to_owned()));
        let lock = world.request(reqwest::Method::PUT, &format!("{}/lock", stage_path()));
        let locked = lock.json(&serde_json::json!({ "reason": "full" })).send().await.unwrap();
        assert_eq!(locked.status().as_u16(), 503);
        assert_eq!(world.stage().await.project.as_str(), crate::world::PROJECT, "who reads is answered");
        until("the record breaks off", async || world.service_log().matches(BROKE_OFF).count() > broke_off).await;
        disk.make_room();
        let ended = world.until_ended(&id).await;
        assert_eq!(ended.state, DeploymentState::Succeeded, "full in {step:?}: {ended:?}");
        until_readiness(&world, 200).await;
        assert!(world.answer().await.starts_with(&format!("release {release} ")));
    }

    // It waits for its check, and the delivery that tells of it finds no room.
    let commit = world.merge("waits");
    world.register(&commit, &image, &world.config()).await;
    world.repository.until_status(&commit, "queued", PATIENCE).await.unwrap();
    world.github.until_delivered(PATIENCE).await.unwrap();
    disk.fill().await;
    until_readiness(&world, 503).await;
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    let delivered = world.github.until_delivered(PATIENCE).await.unwrap();
    let refused = delivered.into_iter().find(|it| it.attempts == [Attempt::Answered(503)]).expect("one is refused");
    disk.make_room();
    until("GitHub is asked to deliver again", async || {
        let same = world.github.deliveries().into_iter().find(|it| it.guid == refused.guid).unwrap();
        same.attempts.contains(&Attempt::Answered(202))
    })
    .await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    let lock = world.request(reqwest::Method::PUT, &format!("{}/lock", stage_path()));
    let locked = lock.json(&serde_json::json!({ "reason": "room" })).send().await.unwrap();
    assert!(locked.status().is_success(), "{}", locked.status());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_whose_disk_is_full_refuses_the_switch_and_serves_on_what_it_served() {
    let mut world = World::start().await;
    let disk = SmallDisk::at(world.path("gateway-data"));
    world.kill_gateway().await;
    let file = world.path("windlass-server.toml");
    let text = std::fs::read_to_string(&file).unwrap();
    let (data, other) = (world.path("data"), world.path("gateway-data"));
    let other_file = world.path("gateway.toml");
    write(&other_file, &text.replace(&*data.to_string_lossy(), &other.to_string_lossy()));
    let log = world.path("gateway.log");
    let gateway = start_windlass("gateway", &other_file, &["--host", "a"], &log, world.gateway_address).await;

    let image = world.build(&[]).await;
    for title in ["one", "two"] {
        world.release(title, &image, &world.config()).await;
    }
    assert_eq!(world.deploy("deploy", Some(1)).await.state, DeploymentState::Succeeded);
    disk.fill().await;
    let id = begin(&world, 2).await;
    until_step(&world, &id, StepKind::Switch, StepState::Failed).await;
    assert!(world.answer().await.starts_with("release 1 "));
    assert!(!other.join("gateway-a.json.new").exists(), "half a snapshot takes no room");
    disk.make_room();
    let ended = world.until_ended(&id).await;
    assert_eq!(ended.state, DeploymentState::Failed, "{ended:?}");
    assert_eq!(ended.failure.unwrap().code, FailureCode::SwitchFailed);
    assert!(world.answer().await.starts_with("release 1 "));
    assert_eq!(world.deploy("deploy", Some(2)).await.state, DeploymentState::Succeeded);
    assert!(world.answer().await.starts_with("release 2 "));
    end_at_once([gateway].into_iter());
}
