//! What should run comes back: whatever somebody does to containers and gateways behind the service's back.

use std::time::{Duration, Instant};

use windlass_core::deployment::DeploymentState;
use windlass_core::labels::Kind;
use windlass_core::task::{ObservedTask, TaskHealth, TaskStatus};
use windlass_engine::GatewayClient;
use windlass_testing::github::{CheckState, Conclusion};

use crate::world::{PATIENCE, World, write};

/// Two tasks of release 1.
async fn serving(world: &World) -> Vec<ObservedTask> {
    let image = world.build(&[]).await;
    let commit = world.merge("first");
    world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
    world.register(&commit, &image, &world.config_with("scale = 2")).await;
    world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
    tasks(world).await
}

async fn tasks(world: &World) -> Vec<ObservedTask> {
    let mut tasks = world.engine.observe().await.unwrap();
    tasks.retain(|task| task.labels.kind == Kind::Service);
    tasks
}

async fn until(world: &World, what: &str, mut is_so: impl AsyncFnMut() -> bool) -> Duration {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "waited for {what}\n{}", world.service_log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    begun.elapsed()
}

async fn docker(arguments: &[&str]) {
    let ended = tokio::process::Command::new("docker").args(arguments).output().await.unwrap();
    assert!(ended.status.success(), "{arguments:?}: {ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_removed_is_made_again() {
    let world = World::start().await;
    let before = serving(&world).await;
    assert_eq!(before.len(), 2);
    docker(&["rm", "--force", &before[0].name]).await;
    let took = until(&world, "the task", async || {
        let now = tasks(&world).await;
        now.len() == 2 && now.iter().all(|task| task.status == TaskStatus::Running)
    })
    .await;
    println!("a task that was removed runs again after {took:?}");
    // It may have got another address: both get requests once it is healthy.
    let kept = tasks(&world).await;
    for task in &kept {
        until(&world, "Docker's word to start it again", async || {
            world.engine.find_task(&task.name).await.unwrap().is_some_and(|found| found.kept)
        })
        .await;
        until(&world, "the gateway", async || {
            world
                .stage()
                .await
                .apps
                .values()
                .flat_map(|app| &app.tasks)
                .any(|view| view.name == task.name && view.health == TaskHealth::Healthy)
        })
        .await;
    }
    for _ in 0..20 {
        assert!(world.answer().await.starts_with("release 1 "));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_somebody_stopped_is_started_again() {
    let world = World::start().await;
    let before = serving(&world).await;
    for task in &before {
        docker(&["stop", "--time", "1", &task.name]).await;
    }
    until(&world, "both tasks", async || tasks(&world).await.iter().all(|task| task.status == TaskStatus::Running))
        .await;
    until(&world, "an answer", async || world.answer().await.starts_with("release 1 ")).await;
    let after = tasks(&world).await;
    assert!(after.iter().zip(&before).all(|(now, then)| now.container == then.container), "the same ones");
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_106_a_stranger_who_has_a_tasks_address_gets_none_of_its_requests() {
    let mut world = World::start().await;
    let before = serving(&world).await;
    // As after a reboot: a container that somebody put on the network was quicker, and listens on the same port.
    world.kill_service().await;
    for task in &before {
        docker(&["kill", &task.name]).await;
    }
    let network = world.engine.network_name(&before[0].labels);
    let image = world.build(&[]).await;
    let strangers: Vec<String> = before.iter().map(|task| format!("{}-stranger", task.name)).collect();
    for (name, task) in strangers.iter().zip(&before) {
        let address = task.address.unwrap().to_string();
        let run = ["run", "--detach", "--env", "PORT=3000", "--name", name, "--network", &network, "--ip", &address];
        docker(&[&run[..], &[image.as_str()]].concat()).await;
    }
    world.until_answer("release unknown").await;
    world.start_service().await;
    world.until_answer("release 1 ").await;
    for _ in 0..50 {
        let answer = world.answer().await;
        assert!(answer.starts_with("release 1 "), "{answer}");
    }
    until(&world, "both tasks", async || tasks(&world).await.iter().all(|task| task.status == TaskStatus::Running))
        .await;
    let after = tasks(&world).await;
    for name in &strangers {
        docker(&["rm", "--force", name]).await;
    }
    assert!(after.iter().zip(&before).all(|(now, then)| now.address != then.address), "{after:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_removed_while_the_service_was_dead_is_back_after_its_start() {
    let mut world = World::start().await;
    let before = serving(&world).await;
    world.kill_service().await;
    for task in &before {
        docker(&["rm", "--force", &task.name]).await;
    }
    world.kill_gateway().await;
    std::fs::remove_file(world.path("data/gateway-a.json")).unwrap();
    world.start_gateway().await;
    world.start_service().await;
    let took = until(&world, "an answer", async || world.answer().await.starts_with("release 1 ")).await;
    println!("two tasks and a gateway without memory serve {took:?} after the service's start");
    assert_eq!(tasks(&world).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_a_gateway_lost_of_its_snapshot_is_written_again() {
    let mut world = World::start().await;
    serving(&world).await;
    world.kill_service().await;
    world.ask_gateway_to_stop().await.wait().await.unwrap();
    let file = world.folder.path().join("data/gateway-a.json");
    let mut snapshot: serde_json::Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    snapshot["services"][0]["hold"] = "what?".into();
    write(&file, &snapshot.to_string());
    world.start_gateway().await;
    let gateway = GatewayClient::new(world.folder.path().join("gateway.sock"));
    let lost = gateway.status().await.unwrap();
    assert_eq!((lost.lost.len(), lost.services.len()), (1, 0));

    world.start_service().await;
    world.until_answer("release 1 ").await;
    let found = gateway.status().await.unwrap();
    assert_eq!((found.lost.len(), found.services.len()), (0, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stale_is_listed_and_stopped_and_nothing_else_is() {
    let world = World::start().await;
    let before = serving(&world).await;
    let none = world.windlass(&["app", "stale", "--json"]).output().await.unwrap();
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&none.stdout).unwrap()["tasks"], serde_json::json!([]));

    // A container with all labels of the stage's tasks that no plan has.
    let mut arguments: Vec<String> = ["run", "--detach", "--network", "none", "--name"].map(str::to_owned).into();
    let stray = format!("{}-stray", before[0].name);
    arguments.push(stray.clone());
    for (key, value) in before[0].labels.to_map() {
        arguments.extend(["--label".to_owned(), format!("{key}={value}")]);
    }
    let image = tokio::process::Command::new("docker")
        .args(["inspect", "--format", "{{.Image}}", &before[0].name])
        .output()
        .await
        .unwrap();
    arguments.push(String::from_utf8(image.stdout).unwrap().trim().to_owned());
    docker(&arguments.iter().map(String::as_str).collect::<Vec<_>>()).await;

    let listed = world.windlass(&["app", "stale"]).output().await.unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(listed.contains(&stray) && listed.contains("1 task of no deployment"), "{listed}");
    let stopped = world.windlass(&["app", "stale", "--stop"]).output().await.unwrap();
    assert!(stopped.status.success(), "{stopped:?}");
    let left: Vec<String> = tasks(&world).await.into_iter().map(|task| task.container).collect();
    assert_eq!(left, before.iter().map(|task| task.container.clone()).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn rule_090_images_of_old_releases_go_and_those_that_may_run_again_stay() {
    let world = World::start_with("").await;
    let mut images = Vec::new();
    for number in 1..=7_u64 {
        let image = world.build(&[("SAMPLE_NAME", &number.to_string())]).await;
        let commit = world.merge(&format!("change-{number}"));
        world.repository.add_check_run(&commit, "test", CheckState::Completed(Conclusion::Success));
        world.register(&commit, &image, &world.config()).await;
        world.repository.until_status(&commit, "success", PATIENCE).await.unwrap();
        images.push(image);
    }
    let there = async || {
        let mut there = Vec::new();
        for image in &images {
            there.push(world.engine.inspect_image(image.as_str()).await.unwrap().is_some());
        }
        there
    };
    until(&world, "old images to go", async || there().await[..2] == [false, false]).await;
    assert_eq!(there().await, [false, false, true, true, true, true, true], "five are kept");
    let back = world.deploy("rollback", Some(3)).await;
    assert_eq!(back.state, DeploymentState::Succeeded, "{back:?}");
    let gone = world.deploy("rollback", Some(1)).await;
    assert_eq!(gone.state, DeploymentState::Failed, "{gone:?}");
    assert_eq!(gone.reason.as_deref(), Some("image_missing"));
    assert!(world.answer().await.starts_with("release 3 "), "nothing was touched");
}
